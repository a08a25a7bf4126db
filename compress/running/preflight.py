"""What is refused before the first step: mistakes that only the data and the models from outside
can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compress.artifact import Artifact
from compress.errors import Mistake, UsageError
from compress.planning import DataChoice, Input, Plan, Step, TaskChoice
from compress.planning.edges import edge_mistake
from compress.pretrained.modelfolder import read_config
from compress.running.families import known_families
from compress.running.making import Products
from compress.sizes import positions
from compress.task import is_numbered, meant_labels


def refuse_wrong_edges(plan: Plan) -> None:
    """Check again what hub models serve, now that they are here. Raises UsageError."""
    mistakes = []
    for step in plan.steps:
        model = plan.input(step.parent) if step.parent else None
        problem = model and edge_mistake(
            step.entry.cls, model.traits, model.name, step.task.name, []
        )
        if problem:
            mistakes.append(Mistake(step.place, *problem))
        mistakes += _wrong_references(step, plan)
    if mistakes:
        raise UsageError(mistakes)


def _wrong_references(step: Step, plan: Plan) -> Iterator[Mistake]:
    for option, name in step.references.items():
        model, cls = plan.input(name), step.entry.cls
        problem = model and edge_mistake(
            cls, model.traits, name, step.task.name, [], cls.references
        )
        if problem:
            yield Mistake(step.place, f"{option}: {problem[0]}", problem[1])


def refuse_long_examples(plan: Plan, artifacts: Mapping[str, Artifact]) -> None:
    """A model must have a position for each token that its steps' tasks, or its measuring, keep.
    Raises UsageError."""
    mistakes: dict[tuple[str | None, int], Mistake] = {}
    for who, place, model, task in _readers(plan, artifacts):
        limit, wanted = positions(_config(plan, artifacts, model)), task.options.max_length
        if limit is not None and wanted > limit:
            message = (
                f"{who} keeps {wanted} tokens of an example, and the model has {limit} positions"
            )
            hint = f"task: {{{task.name}: {{max_length: {limit}}}}}"
            mistakes.setdefault((model, wanted), Mistake(place, message, hint))
    if mistakes:
        raise UsageError(mistakes.values())


def refuse_wrong_labels(plan: Plan, artifacts: Mapping[str, Artifact], products: Products) -> None:
    """The head of a model from outside must fit what it is used for: its kind, and the data's
    labels in the data's order.

    Raises UsageError."""
    mistakes = []
    for model in plan.inputs:
        for task, data in _uses_of_head(plan, model):
            problem = _head_mistake(model.source, artifacts[model.name], task, data, products)
            if problem:
                message, remedy = problem
                mistakes.append(
                    Mistake(model.place, message, remedy or _other_reference(plan, model))
                )
    mistakes += _relabelled_heads(plan, products)
    if mistakes:
        raise UsageError(dict.fromkeys(mistakes))


def _relabelled_heads(plan: Plan, products: Products) -> Iterator[Mistake]:
    """Steps that take or ask the head of an earlier step, and have data of their own with other
    labels."""
    for step in plan.steps:
        for name in (step.parent, *step.references.values()):
            other = plan.step(name or "")
            if (
                other is None
                or other.task.name != step.task.name
                or not _needs_head(step, other.name)
            ):
                continue
            own, labels = _labels(other, plan, products), _labels(step, plan, products)
            if own and labels and own != labels:
                message = f"the labels of {other.name!r} are {_short(own)}, and those of the data {_short(labels)}"
                yield Mistake(
                    step.place,
                    message,
                    "state the order with the step's data.labels"
                    if sorted(own) == sorted(labels)
                    else "fine-tune it on these data first",
                )


def _labels(step: Step, plan: Plan, products: Products) -> Sequence[str]:
    """The labels of a step's model: those of its data, else of the step before."""
    if step.data is not None:
        return products.prepared(step.data, step.task).labels
    before = plan.step(step.parent or "")
    return _labels(before, plan, products) if before and before.task.name == step.task.name else ()


def numbered_heads(
    plan: Plan, artifacts: Mapping[str, Artifact], products: Products
) -> Iterator[str]:
    """A line for each model from outside whose head numbers its labels and is given the names of
    the data's."""
    for model in plan.inputs:
        own, uses = artifacts[model.name].manifest.labels, [(plan.task, plan.data)]
        uses += [
            (s.task, s.data) for s in plan.steps if model.name in (s.parent, *s.references.values())
        ]
        found = {
            products.prepared(data, task).labels
            for task, data in uses
            if data is not None and task.name == artifacts[model.name].traits.task
        }
        for labels in sorted(found):
            if meant_labels(own, labels) != own:
                yield (
                    f"the head of {model.source} names no labels: its outputs are taken for "
                    f"{_short(labels)}, the data's "
                    "labels in their order; state another order with data.labels"
                )


def refuse_wrong_configuration(plan: Plan, products: Products) -> None:
    """A fresh model must be one that its family can build, for each task that it is made for.
    Raises UsageError.

    A family that transformers does not know is its plugin's matter."""
    if plan.fresh is None:
        return
    families = known_families(products.store, lambda text: products.tell("note", text=text))
    if plan.fresh["type"] not in families.model_types():
        return
    for step in plan.steps:
        if step.parent is None:
            try:
                products.configured(plan.fresh, step)
            except UsageError as error:
                raise UsageError([Mistake(plan.model_place, str(error))]) from error


def can_be_measured(plan: Plan, artifact: Artifact, products: Products) -> bool:
    """Whether a model from outside answers the plan's task about the plan's data as it is; a step
    may give it another head."""
    return (
        plan.data is not None
        and artifact.traits.task == plan.task.name
        and _head_mistake("", artifact, plan.task, plan.data, products) is None
    )


def _readers(
    plan: Plan, artifacts: Mapping[str, Artifact]
) -> Iterator[tuple[str, str, str | None, TaskChoice]]:
    """Who reads examples with which model: (name, place, input that the model descends from,
    task)."""
    for step in plan.steps:
        for name in (step.parent, *step.references.values()):
            yield repr(step.name), step.place, _origin(name, plan), step.task
    for model in plan.inputs:
        if artifacts[model.name].traits.task == plan.task.name and plan.data is not None:
            yield "the task", model.place, model.name, plan.task


def _uses_of_head(plan: Plan, model: Input) -> list[tuple[TaskChoice, DataChoice | None]]:
    """The tasks and data that a model's own head is used for: by steps that start from it or ask
    it, and to be measured as what others are compared with, or because nothing else is done with
    it."""
    uses = [(step.task, step.data) for step in plan.steps if _needs_head(step, model.name)]
    is_taken = any(step.parent == model.name for step in plan.steps) or bool(uses)
    if plan.data is not None and (plan.reference == model.name or not is_taken):
        uses.append((plan.task, plan.data))
    return uses


def _needs_head(step: Step, name: str) -> bool:
    return name in step.references.values() or (step.parent == name and step.entry.cls.accepts.task)


def _head_mistake(
    source: str, artifact: Artifact, task: TaskChoice, data: DataChoice | None, products: Products
) -> tuple[str, str] | None:
    """(message, hint) where the model of ``source`` serves ``task``, but not in the kind or the
    labels asked for."""
    if artifact.traits.task != task.name:
        return None
    labels = list(products.prepared(data, task).labels) if data else []
    own = list(meant_labels(artifact.manifest.labels, labels))
    is_named = own and not is_numbered(artifact.manifest.labels)
    unfit = task.make().head_mistake(read_config(artifact.folder), [] if is_named else labels)
    if unfit:
        return f"the head of {source} {unfit}", ""
    if own and labels and labels != own:
        # Numbers are read as indices where the labels that are declared have names.
        mendable = sorted(own) == sorted(labels) or (
            len(own) == len(labels) and all(map(str.isdecimal, labels))
        )
        return (
            f"the labels of {source} are {_short(own)}, and those of the data {_short(labels)}",
            "state the model's order with data.labels" if mendable else "",
        )
    return None


def _other_reference(plan: Plan, model: Input) -> str:
    """The hint for a head that does not fit: that of a later step may, where no step needs the
    model's own."""
    if any(_needs_head(step, model.name) for step in plan.steps):
        return "fine-tune it on these data first"
    name = next((step.name for step in plan.steps if step.traits.task == plan.task.name), None)
    return f"set reference: {name}" if name else ""


def _origin(name: str | None, plan: Plan) -> str | None:
    """Name of the input that the model ``name`` descends from; None where it is a fresh one."""
    while name is not None and (parent := plan.step(name)) is not None:
        name = parent.parent
    return name


def _config(plan: Plan, artifacts: Mapping[str, Artifact], model: str | None) -> Mapping[str, Any]:
    if model is not None:
        return read_config(artifacts[model].folder)
    fresh = dict(plan.fresh or {})
    return {**fresh, "model_type": fresh.get("type")}


def _short(names: Sequence[str]) -> str:
    return "[" + ", ".join(names[:6]) + (", ...]" if len(names) > 6 else "]")
