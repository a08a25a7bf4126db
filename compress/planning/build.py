"""Building a plan from a recipe: resolve every word, then check every edge of the graph; all
mistakes in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from compress.artifact import Traits
from compress.errors import Mistake, UsageError, suggestion
from compress.options import ArtifactReferenceMark, Options, fields_marked, splits_asked
from compress.planning.benchmark import read_effort
from compress.planning.budget import BASELINES
from compress.planning.budgetsection import check_step_budget, read_budget, with_recipe_limits
from compress.planning.choices import Resolver
from compress.planning.edges import edge_mistake
from compress.planning.fresh import check_configured, check_fresh, check_of_fresh
from compress.planning.layers import layers_of, layers_of_input
from compress.planning.reference import find_reference
from compress.planning.types import MODEL, DataChoice, Input, Plan, Step, TaskChoice
from compress.planning.validate import resolve_paths, validated
from compress.pretrained.families import Families
from compress.recipes.recipe import Recipe, StepText
from compress.registry.plugins import Registry
from compress.source import SPLITS, FileOptions
from compress.stage import Stage

_LATER = "it stands after this step; a step takes from one that stands before it"


def make_plan(recipe: Recipe, registry: Registry, families: Families) -> Plan:
    """The plan of a recipe. ``families`` are asked about a fresh model and where a folder's config
    leaves its number of layers to its family.

    Raises UsageError with every mistake that can be found without touching a model."""
    builder = _Builder(Resolver(recipe, registry, families, list(recipe.mistakes)))
    plan = builder.build()
    if builder.resolver.mistakes:
        raise UsageError(sorted(dict.fromkeys(builder.resolver.mistakes), key=_by_place))
    assert plan is not None  # without a mistake, every part was resolved
    return plan


def _by_place(mistake: Mistake) -> tuple[str, int, int]:
    file, _, rest = mistake.where.partition(":")
    numbers = [int(n) for n in rest.split(":") if n.isdigit()]
    return (file, *(numbers + [0, 0])[:2])  # type: ignore[return-value]


@dataclass
class _Builder:
    resolver: Resolver
    inputs: dict[str, Input] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    fresh: dict[str, Any] | None = None
    layers: dict[str, int | None] = field(default_factory=dict)

    def build(self) -> Plan | None:
        top = self.resolver.recipe.top
        task = self._top_task(top)
        data = self.resolver.data(top["data"], ("data",), task) if "data" in top else None
        seed = self._seed(top.get("seed", 0), ("seed",))
        self._model(top)
        previous = MODEL if MODEL in self.inputs or "model" in self.broken else None
        for text in self.resolver.recipe.steps:
            self._step(text, previous, task, data, seed)
            previous = text.name
        reference = self._reference(top, task)
        budget = None
        if "budget" in top:
            budget = read_budget(
                top["budget"],
                ("budget",),
                self._tasks(),
                task.name if task else None,
                self.resolver,
            )
        if budget and task:
            self.steps = with_recipe_limits(budget, self.steps, task.name, self.resolver)
        effort = read_effort(top["benchmark"], self.resolver) if "benchmark" in top else "standard"
        if task is None:
            return None
        return Plan(
            self.resolver.recipe.name,
            task,
            data,
            list(self.inputs.values()),
            self.fresh,
            list(self.steps.values()),
            reference,
            seed,
            budget,
            effort,
            model_place=self.resolver.recipe.place("model", of_value=True),
        )

    def _tasks(self) -> dict[str, str | None]:
        """The tasks of the models and steps so far, None where one is not known."""
        inputs = {
            name: model.traits.task if model.traits else None for name, model in self.inputs.items()
        }
        steps = {name: step.task.name for name, step in self.steps.items()}
        return {**dict.fromkeys(self.broken), **inputs, **steps}

    def _top_task(self, top: Mapping[str, Any]) -> TaskChoice | None:
        if "task" in top:
            return self.resolver.task(top["task"], ("task",))
        self.resolver.wrong((), "the recipe has no task", "task: text-classification")
        return None

    def _seed(self, value: Any, path: tuple[str | int, ...]) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
            self.resolver.wrong(
                path, f"seed must be a whole number from 0 to 4294967295, got {value!r}"
            )
            return 0
        return value

    def _model(self, top: Mapping[str, Any]) -> None:
        value = top.get("model")
        if isinstance(value, dict) and isinstance(value.get("type"), str):
            self.fresh = dict(value)
            check_fresh(value, self.resolver)
            return
        found = None
        if isinstance(value, dict):
            self.resolver.wrong(
                ("model",), "a fresh model needs its type", "model: {type: bert, hidden_size: 256}"
            )
        elif isinstance(value, str):
            found = self.resolver.outside_model(value, MODEL, ("model",))
        else:
            self.resolver.wrong(
                ("model",),
                "the recipe has no model" if value is None else f"model: got {value!r}",
                "a hub id, a folder, or a fresh model: {type: bert, ...}",
            )
        if found:
            self.inputs[MODEL] = found
        else:
            self.broken.add(MODEL)

    def _step(
        self,
        text: StepText,
        previous: str | None,
        task: TaskChoice | None,
        data: DataChoice | None,
        seed: int,
    ) -> None:
        resolver, keys, before = self.resolver, text.keys, len(self.resolver.mistakes)
        self._check_name(text)
        entry = resolver.registered("stages", text.stage, (*text.path, text.stage), of_value=False)
        if "task" in keys:
            task = resolver.task(keys["task"], (*text.path, "task"))
        if "data" in keys:
            data = resolver.data(keys["data"], (*text.path, "data"), task)
        if "seed" in keys:
            seed = self._seed(keys["seed"], (*text.path, "seed"))
        options = self._options(text, entry.cls) if entry else None
        parent = self._parent(text, previous)
        references = self._references(text, options) if options else {}
        if entry is None or options is None or task is None:
            self.broken.add(text.name)
            return
        if data is not None and "data" not in keys and "task" in keys:
            resolver.check_columns(data, task, ("data",))
        traits = self._edges(text, entry.cls, options, parent, task, data)
        self._check_references(text, entry.cls, references, task)
        if parent is None and self.fresh:
            check_configured(self.fresh, entry.cls, resolver)
        if parent is not None:
            check_of_fresh(text, options, parent, resolver)
        self._follow_layers(text, entry.cls, options, parent)
        if len(resolver.mistakes) > before:
            self.broken.add(text.name)
        self.steps[text.name] = Step(
            text.name,
            entry,
            options,
            task,
            data,
            seed,
            parent,
            references,
            traits,
            resolver.recipe.place(*text.path),
        )
        if "budget" in keys:
            others = {name: served for name, served in self._tasks().items() if name != text.name}
            budget = read_budget(
                keys["budget"], (*text.path, "budget"), others, task.name, resolver
            )
            self.steps[text.name] = replace(self.steps[text.name], budget=budget)
            if budget:
                check_step_budget(budget, self.steps[text.name], (*text.path, "budget"), resolver)

    def _check_references(
        self,
        text: StepText,
        stage: type[Stage[Any]],
        references: Mapping[str, str],
        task: TaskChoice,
    ) -> None:
        for option, name in references.items():
            if name not in self.broken:
                problem = edge_mistake(
                    stage, self._traits_of(name), name, task.name, [], stage.references
                )
                if problem:
                    self.resolver.wrong(
                        (*text.path, text.stage, option), f"{option}: {problem[0]}", problem[1]
                    )

    def _check_name(self, text: StepText) -> None:
        path = (*text.path, "name") if "name" in text.keys else (*text.path, text.stage)
        if not isinstance(text.keys.get("name", ""), str):
            self.resolver.wrong(path, f"name must be text, got {text.keys['name']!r}")
        if not text.name.isprintable():
            self.resolver.wrong(
                path, f"a step cannot be named {text.name!r}", "its characters must be seen"
            )
        elif text.name in ("", MODEL, *BASELINES) or "@" in text.name or "/" in text.name:
            self.resolver.wrong(
                path,
                f"a step cannot be named {text.name!r}",
                "'model' is the input, B0 and B1 are the reference in budgets; no @ or /",
            )
        if text.name in self.names:
            self.resolver.wrong(
                path,
                f"two steps are named {text.name!r}",
                "give one of them a name:",
                of_value=False,
            )
        self.names.add(text.name)

    def _options(self, text: StepText, stage: type[Stage[Any]]) -> Options | None:
        path = (*text.path, text.stage)
        options = validated(
            stage.Options, text.options, self.resolver.recipe.place, path, self.resolver.mistakes
        )
        if options is None:
            return None
        options = resolve_paths(
            options,
            self.resolver.recipe.place,
            path,
            self.resolver.recipe.folder,
            self.resolver.mistakes,
        )
        for name, message, hint in stage.check(options):
            self.resolver.wrong((*path, name), message, hint)
        return options

    def _follow_layers(
        self, text: StepText, stage: type[Stage[Any]], options: Options, parent: str | None
    ) -> None:
        """Check the options against the layers of the step's input and note those of its result,
        where they are known."""
        before = self._layers_of(parent)
        if before is None:
            return
        mistakes = stage.check_layers(options, before)
        for name, message, hint in mistakes:
            self.resolver.wrong((*text.path, text.stage, *name.split(".")), message, hint)
        self.layers[text.name] = None if mistakes else stage.layers_left(options, before)

    def _layers_of(self, name: str | None) -> int | None:
        if name in self.broken:
            return None
        if name is None:
            fresh = self.fresh or {}
            config = {**fresh, "model_type": fresh.get("type")}
            return layers_of(config, self.resolver.registry, self.resolver.families)
        if name in self.inputs:
            model = self.inputs[name]
            return layers_of_input(model, self.resolver.registry, self.resolver.families)
        return self.layers.get(name)

    def _parent(self, text: StepText, previous: str | None) -> str | None:
        if "from" not in text.keys:
            return previous
        if text.keys["from"] is None:
            self.resolver.wrong(
                (*text.path, "from"), "from: names no step", "name an earlier one, or leave it out"
            )
            return previous
        name = str(text.keys["from"])
        if name in self.steps or name in self.inputs or name in self.broken:
            return name
        later = any(s.name == name for s in self.resolver.recipe.steps)
        hint = _LATER if later else suggestion(name, [*self.steps, *self.inputs])
        self.resolver.wrong((*text.path, "from"), f"from: there is no earlier step {name!r}", hint)
        self.broken.add(name)
        return name

    def _references(self, text: StepText, options: Options) -> dict[str, str]:
        found = {}
        for option in fields_marked(type(options), ArtifactReferenceMark):
            value = getattr(options, option)
            if value is None:
                continue
            if value in self.steps or value in self.inputs or value in self.broken:
                found[option] = value
            else:
                found[option] = self._outside_reference(text, option, value)
        return found

    def _outside_reference(self, text: StepText, option: str, value: str) -> str:
        path = (*text.path, text.stage, option)
        hint = None if self.resolver.is_folder(value, path) else self._misnamed(value)
        if hint is not None:
            self.resolver.wrong(path, f"{option}: there is no earlier step {value!r}", hint)
            self.broken.add(value)
            return value
        found = self.resolver.outside_model(value, value, path)
        if found:
            self.inputs[value] = found
        else:
            self.broken.add(value)
        return value

    def _misnamed(self, name: str) -> str | None:
        """The hint for a word that is no folder and no earlier step, but a later one or nearly one;
        None for any other."""
        if any(step.name == name for step in self.resolver.recipe.steps):
            return _LATER
        near = suggestion(name, self.steps)
        return near if near.startswith("did you mean") and "/" not in name else None

    def _edges(
        self,
        text: StepText,
        stage: type[Stage[Any]],
        options: Options,
        parent: str | None,
        task: TaskChoice,
        data: DataChoice | None,
    ) -> Traits:
        """The step's traits; mistakes are added where its input or its data cannot serve it."""
        resolver = self.resolver
        if parent not in self.broken:
            problem = edge_mistake(
                stage, self._traits_of(parent), parent, task.name, self._serving(stage, task)
            )
            if problem:
                resolver.wrong((*text.path, text.stage), *problem, of_value=False)
        if stage.serves and task.name not in stage.serves:
            resolver.wrong(
                (*text.path, text.stage),
                f"{text.stage!r} does not work for {task.name}",
                f"give the step `task: {stage.serves[0]}`",
                of_value=False,
            )
        missing = [s for s in stage.needs_data if s not in _splits(data)]
        if missing and (
            data is not None or not ("data" in text.keys or "data" in resolver.recipe.top)
        ):
            resolver.wrong(
                (*text.path, text.stage),
                f"{text.stage!r} needs {' and '.join(missing)} data",
                "add them under data:",
                of_value=False,
            )
        for asked, split in splits_asked(options):
            if data is not None and split not in _splits(data):
                resolver.wrong(
                    (*text.path, text.stage, *asked),
                    f"{'.'.join(asked)} needs {split} data",
                    f"add {split}: under data, or leave it out",
                    of_value=False,
                )
        made: Traits = stage.produces(self._traits_of(parent) or Traits(), options, task.name)
        return made

    def _traits_of(self, name: str | None) -> Traits | None:
        if name in self.steps:
            return self.steps[name].traits
        if name in self.inputs:
            # A hub model's head is unknown yet: the runner checks the edge again once it is here.
            return self.inputs[name].traits or Traits(task="?")
        return None

    def _serving(self, stage: type[Stage[Any]], task: TaskChoice) -> list[str]:
        names = [*self.inputs, *self.steps]
        return [
            n
            for n in names
            if n not in self.broken
            and edge_mistake(stage, self._traits_of(n), n, task.name, []) is None
        ]

    def _reference(self, top: Mapping[str, Any], task: TaskChoice | None) -> str | None:
        if "reference" in top:
            name = str(top["reference"])
            if top["reference"] is None:
                self.resolver.wrong(
                    ("reference",), "reference: names no step", "name one, or leave it out"
                )
            elif name not in self.steps and name not in self.inputs and name not in self.broken:
                self.resolver.wrong(
                    ("reference",),
                    f"reference: there is no step {name!r}",
                    suggestion(name, [*self.steps, *self.inputs]),
                )
            elif task:
                self._check_reference(name, task.name)
            return name
        return find_reference(
            self.inputs.get(MODEL), list(self.steps.values()), task.name if task else ""
        )

    def _check_reference(self, name: str, task: str) -> None:
        """Add the mistake of a reference that serves another task, for then nothing is compared."""
        traits = self._traits_of(name)
        if name in self.broken or traits is None or traits.task in (task, "?"):
            return
        serving = [
            n
            for n in (*self.inputs, *self.steps)
            if (known := self._traits_of(n)) and known.task == task
        ]
        has = f"serves {traits.task}" if traits.task else "has no task head"
        self.resolver.wrong(
            ("reference",),
            f"reference: {name!r} {has}, and the recipe is for {task}",
            f"name one of {', '.join(serving)}" if serving else "leave it out",
        )


def _splits(data: DataChoice | None) -> tuple[str, ...]:
    if data is None:
        return ()
    if isinstance(data.options, FileOptions):
        return tuple(s for s in SPLITS if getattr(data.options, s) is not None)
    return SPLITS
