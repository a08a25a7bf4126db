"""What is refused before the first step: mistakes that only the data and the models from outside can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compress.artifact import Artifact
from compress.errors import Mistake, UsageError
from compress.maker import Maker
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


def _uses(step: Step, name: str) -> bool:
    return name in step.references.values() or (step.parent == name and step.entry.cls.accepts.task)


def _short(names: Sequence[str]) -> str:
    return "[" + ", ".join(names[:6]) + (", ...]" if len(names) > 6 else "]")
