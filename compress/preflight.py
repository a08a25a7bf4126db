"""What is refused before the first step: mistakes that only the data and the models from outside can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.artifact import Artifact
from compress.errors import Mistake, UsageError
from compress.maker import Maker
from compress.modelfolder import read_config
from compress.planning import Input, Plan, Step
from compress.planning.edges import edge_mistake


def refuse_wrong_edges(plan: Plan) -> None:
    """Check again what hub models serve, now that they are here. Raises UsageError."""
    mistakes = []
    for step in plan.steps:
        model = plan.input(step.parent) if step.parent else None
        problem = model and edge_mistake(step.entry.cls, model.traits, model.name, step.task.name, [])
        if problem:
            mistakes.append(Mistake(step.place, *problem))
    if mistakes:
        raise UsageError(mistakes)


def refuse_long_examples(plan: Plan, artifacts: Mapping[str, Artifact]) -> None:
    """A model must have a position for each token that its steps' tasks keep. Raises UsageError."""
    mistakes = []
    for step in plan.steps:
        model = _origin(step, plan)
        if model is not None or plan.fresh:
            config = read_config(artifacts[model].folder) if model else plan.fresh or {}
            positions, wanted = _positions(config), step.task.options.max_length
            if positions is not None and wanted > positions:
                message = f"{step.name!r} keeps {wanted} tokens of an example, and the model has {positions} positions"
                mistakes.append(Mistake(step.place, message, f"task: {{{step.task.name}: {{max_length: {positions}}}}}"))
    if mistakes:
        raise UsageError(mistakes)


def refuse_wrong_labels(plan: Plan, artifacts: Mapping[str, Artifact], maker: Maker) -> None:
    """A model that serves a step's task already must have the data's labels in the data's order. Raises UsageError."""
    mistakes = []
    for model in plan.inputs:
        own, served = list(artifacts[model.name].manifest.labels), artifacts[model.name].traits.task
        for data in _data_labels(plan, model, served, maker):
            if own and data != own:
                mistakes.append(Mistake(model.place, f"the labels of {model.source} are {_short(own)}, and those of the "
                                        f"data {_short(data)}", "state the model's order with data.labels"))
    if mistakes:
        raise UsageError(dict.fromkeys(mistakes))


def _data_labels(plan: Plan, model: Input, served: str | None, maker: Maker) -> list[list[str]]:
    """Labels of the data that the model is measured on or used with."""
    pairs = [(s.data, s.task) for s in plan.steps if _uses(s, model.name)] + [(plan.data, plan.task)]
    found = [list(maker.prepared(data, task).labels) for data, task in pairs if data is not None and task.name == served]
    return [labels for labels in found if labels]


def _origin(step: Step, plan: Plan) -> str | None:
    """Name of the input that a step's model descends from; None where it is a fresh one."""
    name = step.parent
    while name is not None and (parent := plan.step(name)) is not None:
        name = parent.parent
    return name


def _positions(config: Mapping[str, Any]) -> int | None:
    """Positions that a model's config states; None where it states none (relative positions, or its family's default)."""
    found = next((config[key] for key in ("max_position_embeddings", "n_positions") if key in config), None)
    return found if isinstance(found, int) else None


def _uses(step: Step, name: str) -> bool:
    return name in step.references.values() or (step.parent == name and step.entry.cls.accepts.task)


def _short(names: Sequence[str]) -> str:
    return "[" + ", ".join(names[:6]) + (", ...]" if len(names) > 6 else "]")
