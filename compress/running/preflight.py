"""Checks before the first step: mistakes that only the data and the models from outside can
show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from compress.architecture import KnownSizes
from compress.artifact import Artifact
from compress.errors import Mistake, UsageError
from compress.planning import Plan, Step, TaskChoice
from compress.planning.edges import edge_mistake
from compress.planning.steps.sizes import known_sizes
from compress.pretrained.configs import read_config
from compress.pretrained.families import Families
from compress.registry.plugins import Registry
from compress.running.heads import numbered_heads, refuse_wrong_labels
from compress.running.making import Products
from compress.running.run import Run
from compress.sizes import layout_of


def refuse_what_does_not_fit(run: Run) -> None:
    """Raise UsageError for mistakes that the plan could not know before the models were here. Emit
    a note for each head whose labels get names from the data."""
    plan, artifacts = run.plan, run.artifacts
    refuse_wrong_edges(plan)
    refuse_unknown_parts(plan, artifacts, run.registry)
    refuse_unfit_sizes(plan, artifacts, run.registry)
    refuse_unfit_options(plan, artifacts)
    refuse_unfit_processors(plan, artifacts)
    refuse_wrong_labels(plan, artifacts, run.products)
    refuse_wrong_configuration(plan, run.products)
    for line in numbered_heads(plan, artifacts, run.products):
        run.events.note(line)


def refuse_wrong_edges(plan: Plan) -> None:
    """Raise UsageError where a step cannot work on a hub model. Its task is known only now that it
    is here."""
    mistakes = []
    for step in plan.steps:
        model = plan.input(step.parent) if step.parent else None
        stage, task = step.entry.cls, step.task.name
        mistake = model and edge_mistake(stage, model.traits, model.name, task, [])
        if mistake:
            mistakes.append(mistake.placed(step.place))
        mistakes += _wrong_references(step, plan)
    if mistakes:
        raise UsageError(mistakes)


def _wrong_references(step: Step, plan: Plan) -> Iterator[Mistake]:
    stage, task = step.entry.cls, step.task.name
    for option, name in step.references.items():
        model = plan.input(name)
        if model is None:
            continue
        accepts = stage.accepts_reference(option)
        mistake = edge_mistake(stage, model.traits, name, task, [], accepts)
        if mistake:
            yield replace(mistake, where=step.place, message=f"{option}: {mistake.message}")


def refuse_unknown_parts(plan: Plan, artifacts: Mapping[str, Artifact], registry: Registry) -> None:
    """Raise UsageError where a stage looks for parts of a model that no architecture describes. The
    family of a hub model is known only now that it is here."""
    architectures = [entry.cls for entry in registry.architectures.values()]
    mistakes = []
    for step in plan.steps:
        if not step.entry.cls.needs_layout(step.options):
            continue
        config = _config(plan, artifacts, step.parent)
        try:
            layout_of(str(config.get("model_type")), architectures)
        except UsageError as error:
            mistakes.append(Mistake(step.place, str(error)))
    if mistakes:
        raise UsageError(mistakes)


def refuse_unfit_sizes(plan: Plan, artifacts: Mapping[str, Artifact], registry: Registry) -> None:
    """Raise UsageError where the options of a step do not fit the sizes of its input. Those of a
    hub model are known only now that it is here."""
    stated = partial(known_sizes, registry=registry, families=Families(dict))
    known: dict[str | None, KnownSizes | None] = {}
    mistakes = []
    for step in plan.steps:
        stage, built = step.entry.cls, step.entry.cls.builds(step.options)
        if step.parent not in known:
            config, given = _config(plan, artifacts, step.parent), artifacts.get(step.parent or "")
            known[step.parent] = stated(config, given.traits if given else None)
        before = known[step.parent]
        wrong = stage.check_sizes(step.options, before) if before else []
        mistakes += [Mistake(step.place, each.message, each.hint) for each in wrong]
        if built:
            known[step.name] = stated(_whole(built.config), None)
        else:
            known[step.name] = stage.sizes_left(step.options, before) if before else None
    if mistakes:
        raise UsageError(mistakes)


def refuse_unfit_options(plan: Plan, artifacts: Mapping[str, Artifact]) -> None:
    """Raise UsageError where the options of a task do not fit a model, as where it keeps more
    tokens of an example than the model has positions for."""
    mistakes: dict[tuple[str | None, str], Mistake] = {}
    for reader in _readers(plan, artifacts):
        unfit = reader.task.make().limit(reader.config)
        if unfit:
            mistake = Mistake(reader.place, f"{reader.name} {unfit}")
            mistakes.setdefault((reader.model, unfit), mistake)
    if mistakes:
        raise UsageError(mistakes.values())


def refuse_unfit_processors(plan: Plan, artifacts: Mapping[str, Artifact]) -> None:
    """Raise UsageError where the processor of a model from outside does not give what the head of
    a task needs, such as an end token."""
    readers: dict[tuple[str, str], _Reader] = {}  # a tokenizer takes up to a second to be read
    for reader in _readers(plan, artifacts):
        if reader.model is not None:
            readers.setdefault((reader.model, reader.task.name), reader)
    mistakes = []
    for (model, _), reader in readers.items():
        task = reader.task.make()
        mistake = task.processor_mistake(task.processor(artifacts[model].folder))
        if mistake:
            given = plan.input(model)
            source = given.source if given else model
            mistakes.append(Mistake(reader.place, f"{source}: {mistake}"))
    if mistakes:
        raise UsageError(mistakes)


@dataclass(frozen=True)
class _Reader:
    """A step, or the recipe itself, that reads examples for a task.

    ``name`` is its name in a message. ``model`` is the input that its tokenizer is from, None for
    one that a step makes. ``config`` is that of its model, as far as it is known."""

    name: str
    place: str
    model: str | None
    config: Mapping[str, Any]
    task: TaskChoice


def _readers(plan: Plan, artifacts: Mapping[str, Artifact]) -> Iterator[_Reader]:
    for step in plan.steps:
        serving = [
            name
            for option, name in step.references.items()
            if step.entry.cls.accepts_reference(option).task
        ]
        for name in (step.parent, *serving):
            config = _config(plan, artifacts, name)
            yield _Reader(repr(step.name), step.place, _origin(name, plan), config, step.task)
    for model in plan.inputs:
        if artifacts[model.name].traits.task == plan.task.name and plan.data is not None:
            config = _config(plan, artifacts, model.name)
            yield _Reader("the task", model.place, model.name, config, plan.task)


def _origin(name: str | None, plan: Plan) -> str | None:
    """The name of the input that a model descends from; None for a fresh one."""
    step = plan.step(name) if name is not None else None
    return name if step is None else _origin(step.parent, plan)


def _config(plan: Plan, artifacts: Mapping[str, Artifact], name: str | None) -> Mapping[str, Any]:
    """The config of a model: of the input that it descends from, or of the fresh model that a step
    before it builds. ``name`` is None for the recipe's fresh model."""
    step = plan.step(name) if name is not None else None
    if step is not None:
        built = step.entry.cls.builds(step.options)
        return _whole(built.config) if built else _config(plan, artifacts, step.parent)
    return _whole(plan.fresh or {}) if name is None else read_config(artifacts[name].folder)


def _whole(fresh: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**fresh, "model_type": fresh.get("type")}


def refuse_wrong_configuration(plan: Plan, products: Products) -> None:
    """Raise UsageError for a fresh model that its family cannot build, for each task that it is
    made for."""
    for step in plan.steps:
        built = step.entry.cls.builds(step.options)
        fresh = built.config if built else plan.fresh
        if fresh is None or (step.parent is not None and not built):
            continue
        try:
            products.configured(fresh, step)
        except UsageError as error:
            place = plan.model_place if step.parent is None else step.place
            raise UsageError([Mistake(place, str(error))]) from error
