"""The reference of a plan: the artifact that the others are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from compress.artifact import Traits
from compress.errors import suggestion
from compress.planning.edges import UNKNOWN_TASK, served_by
from compress.planning.graph import Graph
from compress.planning.resolver import Resolver
from compress.planning.types import MODEL, Input, Plan, Step, TaskChoice
from compress.recipes.places import Section

_PATH = ("reference",)


def read_reference(
    top: Section, graph: Graph, task: TaskChoice | None, resolver: Resolver
) -> str | None:
    """The name under ``reference``, checked; without the key the first artifact of the recipe's
    task. None while a hub model's head is not known."""
    if "reference" not in top:
        name = task.name if task else ""
        return first_of_task(graph.inputs.get(MODEL), graph.steps.values(), name)
    name = str(top["reference"])
    if top["reference"] is None:
        resolver.wrong(_PATH, "reference: names no step", "name one, or leave it out")
    elif not graph.knows(name):
        hint = suggestion(name, graph.names)
        resolver.wrong(_PATH, f"reference: there is no step {name!r}", hint)
    elif task is not None and name not in graph.broken:
        _check_task(name, task.name, graph, resolver)
    return name


def _check_task(name: str, task: str, graph: Graph, resolver: Resolver) -> None:
    """Add a mistake where the reference serves another task, for then nothing is compared."""
    traits = graph.traits_of(name)
    if traits is None or traits.task in (task, UNKNOWN_TASK):
        return
    serving = []
    for other in graph.names:
        known = graph.traits_of(other)
        if known is not None and known.task == task:
            serving.append(other)
    message = f"reference: {name!r} {served_by(traits)}, and the recipe is for {task}"
    hint = f"name one of {', '.join(serving)}" if serving else "leave it out"
    resolver.wrong(_PATH, message, hint)


def first_of_task(model: Input | None, steps: Iterable[Step], task: str) -> str | None:
    """The name of the first artifact of a task, the input model included; None while a hub model's
    head is not known."""
    if model is not None:
        if model.traits is None:
            return None
        if model.traits.task == task:
            return MODEL
    return next((step.name for step in steps if step.traits.task == task), None)


def with_model_traits(plan: Plan, traits: Mapping[str, Traits]) -> Plan:
    """The plan with these traits of its models, which are known once the models are here, and with
    the reference that follows from them."""
    inputs = [replace(model, traits=traits.get(model.name, model.traits)) for model in plan.inputs]
    known = replace(plan, inputs=inputs)
    reference = plan.reference or first_of_task(known.input(MODEL), plan.steps, plan.task.name)
    return replace(known, reference=reference)
