"""What the others of a plan are compared with: which artifact it is, and how other engines come to
run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compress.artifact import Traits
from compress.planning.edges import edge_mistake
from compress.planning.types import MODEL, Input, Plan, Step
from compress.registry.plugins import Registry


def find_reference(model: Input | None, steps: list[Step], task: str) -> str | None:
    """Name of the first artifact of the recipe's task, the input model included; None while a hub
    model's head is not known."""
    if model is not None and model.traits is None:
        return None
    if model is not None and model.traits is not None and model.traits.task == task:
        return MODEL
    return next((step.name for step in steps if step.traits.task == task), None)


def with_model_traits(plan: Plan, traits: Mapping[str, Traits]) -> Plan:
    """The plan with the traits of its inputs as they were found, and the reference that follows
    from them."""
    inputs = [replace(i, traits=traits.get(i.name, i.traits)) for i in plan.inputs]
    known = replace(plan, inputs=inputs)
    reference = plan.reference or find_reference(
        known.input(MODEL), list(plan.steps), plan.task.name
    )
    return replace(known, reference=reference)


def conversion_steps(plan: Plan, registry: Registry) -> list[Step]:
    """Steps that turn the reference into each engine's float format, named ``reference@engine``, in
    every way that the engine knows; none while the reference is not known."""
    owner, model = plan.step(plan.reference or ""), plan.input(plan.reference or "")
    traits = owner.traits if owner else model.traits if model else None
    if plan.reference is None or traits is None:
        return []
    found = []
    task, data = (owner.task, owner.data) if owner else (plan.task, plan.data)
    for entry, conversion in ((e, c) for e in registry.engines.values() for c in e.cls.conversions):
        stage = registry.stages.get(conversion.stage)
        if stage is None or edge_mistake(stage.cls, traits, plan.reference, plan.task.name, []):
            continue
        options = stage.cls.Options.model_validate(conversion.options)
        made = stage.cls.produces(traits, options, plan.task.name)
        name = f"{plan.reference}@{entry.name}{conversion.suffix}"
        found.append(
            Step(name, stage, options, task, data, plan.seed, plan.reference, {}, made, "")
        )
    return found
