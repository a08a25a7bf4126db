"""Whether the heads of models fit their use: the kind of head, and its labels, which must be the
data's labels in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compress.artifact import Artifact
from compress.errors import Mistake, UsageError
from compress.heads import is_numbered, meant_labels
from compress.planning import DataChoice, Input, Plan, Step, TaskChoice
from compress.pretrained.configs import read_config
from compress.running.making import Products

_TRAIN_FIRST = "fine-tune it on these data first"
_SHOWN = 6
"""Labels that a message lists."""


def refuse_wrong_labels(plan: Plan, artifacts: Mapping[str, Artifact], products: Products) -> None:
    """Raise UsageError where a head does not fit its use: the head of a model from outside, or the
    head of a step that a later step uses with other labels."""
    mistakes = []
    for model in plan.inputs:
        for task, data in _uses_of_head(plan, model):
            mistake = _head_mistake(model.source, artifacts[model.name], task, data, products)
            if mistake:
                hint = mistake.hint or _other_reference(plan, model)
                mistakes.append(Mistake(model.place, mistake.message, hint))
    mistakes += _relabelled_heads(plan, products)
    if mistakes:
        raise UsageError(dict.fromkeys(mistakes))


def can_be_measured(plan: Plan, artifact: Artifact, products: Products) -> bool:
    """Whether the head of a model from outside fits the plan's task and data. If not, a step may
    give the model another head."""
    if plan.data is None or artifact.traits.task != plan.task.name:
        return False
    return _head_mistake("", artifact, plan.task, plan.data, products) is None


def numbered_heads(
    plan: Plan, artifacts: Mapping[str, Artifact], products: Products
) -> Iterator[str]:
    """A line for each model from outside whose head numbers its labels and gets the names of the
    data's labels."""
    for model in plan.inputs:
        own = artifacts[model.name].manifest.labels
        for labels in sorted(_labels_used_with(model, plan, artifacts, products)):
            if meant_labels(own, labels) != own:
                yield (
                    f"the head of {model.source} names no labels: its outputs are taken for "
                    f"{_short(labels)}, the data's labels in their order; state another order with "
                    "data.labels"
                )


def _labels_used_with(
    model: Input, plan: Plan, artifacts: Mapping[str, Artifact], products: Products
) -> set[tuple[str, ...]]:
    """The labels of all data that a model's head may be used with."""
    uses = [(plan.task, plan.data)]
    for step in plan.steps:
        if model.name in (step.parent, *step.references.values()):
            uses.append((step.task, step.data))
    return {
        tuple(products.prepared(data, task).labels)
        for task, data in uses
        if data is not None and task.name == artifacts[model.name].traits.task
    }


def _head_mistake(
    source: str, artifact: Artifact, task: TaskChoice, data: DataChoice | None, products: Products
) -> Mistake | None:
    """The mistake, without a place, where the model from ``source`` serves ``task`` but its head
    has another kind or other labels than needed; None where it fits or serves another task."""
    if artifact.traits.task != task.name:
        return None
    labels = list(products.prepared(data, task).labels) if data else []
    own = list(meant_labels(artifact.manifest.labels, labels))
    is_named = own and not is_numbered(artifact.manifest.labels)
    unfit = task.make().head_mistake(read_config(artifact.folder), [] if is_named else labels)
    if unfit:
        return Mistake("", f"the head of {source} {unfit}")
    if not own or not labels or labels == own:
        return None
    message = f"the labels of {source} are {_short(own)}, and those of the data {_short(labels)}"
    can_be_stated = sorted(own) == sorted(labels) or _are_indices(labels, own)
    hint = "state the model's order with data.labels" if can_be_stated else ""
    return Mistake("", message, hint)


def _are_indices(labels: Sequence[str], own: Sequence[str]) -> bool:
    """Whether the data may use the numbers of the model's labels. A source reads numbers as indices
    once ``data.labels`` gives the names."""
    return len(own) == len(labels) and all(map(str.isdecimal, labels))


def _uses_of_head(plan: Plan, model: Input) -> list[tuple[TaskChoice, DataChoice | None]]:
    """The tasks and data that a model's own head is used with: by steps that start from it or refer
    to it, and when the model itself is measured.

    It is measured if it is the reference, or if no step uses it."""
    uses = [(step.task, step.data) for step in plan.steps if _needs_head(step, model.name)]
    is_used = any(step.parent == model.name for step in plan.steps) or bool(uses)
    if plan.data is not None and (plan.reference == model.name or not is_used):
        uses.append((plan.task, plan.data))
    return uses


def _needs_head(step: Step, name: str) -> bool:
    stage = step.entry.cls
    is_asked = any(
        stage.accepts_reference(option).task
        for option, other in step.references.items()
        if other == name
    )
    return is_asked or (step.parent == name and stage.accepts.task)


def _other_reference(plan: Plan, model: Input) -> str:
    """The hint for a head that does not fit: make a later step the reference, unless a step needs
    the model's own head."""
    if any(_needs_head(step, model.name) for step in plan.steps):
        return _TRAIN_FIRST
    name = next((step.name for step in plan.steps if step.traits.task == plan.task.name), None)
    return f"set reference: {name}" if name else ""


def _relabelled_heads(plan: Plan, products: Products) -> Iterator[Mistake]:
    """Steps that use the head of an earlier step, and have data of their own with other labels."""
    for step in plan.steps:
        for other in _steps_whose_head_it_needs(step, plan):
            own, labels = _labels(other, plan, products), _labels(step, plan, products)
            if own and labels and own != labels:
                message = (
                    f"the labels of {other.name!r} are {_short(own)}, and those of the data "
                    f"{_short(labels)}"
                )
                is_reordered = sorted(own) == sorted(labels)
                hint = "state the order with the step's data.labels"
                yield Mistake(step.place, message, hint if is_reordered else _TRAIN_FIRST)


def _steps_whose_head_it_needs(step: Step, plan: Plan) -> Iterator[Step]:
    for name in (step.parent, *step.references.values()):
        other = plan.step(name or "")
        if other and other.task.name == step.task.name and _needs_head(step, other.name):
            yield other


def _labels(step: Step, plan: Plan, products: Products) -> Sequence[str]:
    """The labels of a step's model: those of its data, else of the step before."""
    if step.data is not None:
        return products.prepared(step.data, step.task).labels
    before = plan.step(step.parent or "")
    return _labels(before, plan, products) if before and before.task.name == step.task.name else ()


def _short(names: Sequence[str]) -> str:
    return "[" + ", ".join(names[:_SHOWN]) + (", ...]" if len(names) > _SHOWN else "]")
