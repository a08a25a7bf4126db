"""The reference in other engines: steps that a plan has besides those of the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compress.artifact import Traits
from compress.engine import Conversion
from compress.machine import is_there
from compress.planning.edges import edge_mistake
from compress.planning.types import DataChoice, Plan, Step, TaskChoice
from compress.registry.plugins import Registry


@dataclass(frozen=True)
class _Reference:
    """The reference, with the task and the data that it was made for."""

    name: str
    traits: Traits
    task: TaskChoice
    data: DataChoice | None


def asks_for_engines(plan: Plan) -> bool:
    """Whether the reference is measured in other engines too: at any effort but ``quick``, and at
    that one if a limit compares with its fastest float engine."""
    budgets = [plan.budget, *(step.budget for step in plan.steps)]
    limits = [limit for budget in budgets if budget for limit in budget.limits]
    return plan.effort != "quick" or any(limit.asks_for_engines for limit in limits)


def conversion_steps(plan: Plan, registry: Registry) -> list[Step]:
    """Steps that turn the reference into each engine's float format, one for each way that the
    installed engine knows. They are named ``reference@engine``. Empty while the reference is not
    known, and where nothing asks for other engines."""
    reference = _reference(plan)
    if reference is None or not asks_for_engines(plan):
        return []
    steps = []
    for engine, conversion in _conversions(registry):
        if conversion.thorough_only and plan.effort != "thorough":
            continue
        step = _step(plan, reference, engine, conversion, registry)
        if step is not None:
            steps.append(step)
    return steps


def _reference(plan: Plan) -> _Reference | None:
    step, model = plan.step(plan.reference or ""), plan.input(plan.reference or "")
    if step is not None:
        return _Reference(step.name, step.traits, step.task, step.data)
    if model is not None and model.traits is not None:
        return _Reference(model.name, model.traits, plan.task, plan.data)
    return None


def _conversions(registry: Registry) -> Iterator[tuple[str, Conversion]]:
    for entry in registry.engines.values():
        if all(map(is_there, entry.cls.packages)):
            for conversion in entry.cls.conversions:
                yield entry.name, conversion


def _step(
    plan: Plan, reference: _Reference, engine: str, conversion: Conversion, registry: Registry
) -> Step | None:
    """The step of one conversion; None where its stage is not installed or cannot take the
    reference."""
    entry = registry.stages.get(conversion.stage)
    if entry is None:
        return None
    if edge_mistake(entry.cls, reference.traits, reference.name, plan.task.name, []):
        return None
    options = entry.cls.Options.model_validate(conversion.options)
    return Step(
        name=f"{reference.name}@{engine}{conversion.suffix}",
        entry=entry,
        options=options,
        task=reference.task,
        data=reference.data,
        seed=plan.seed,
        parent=reference.name,
        references={},
        traits=entry.cls.produces(reference.traits, options, plan.task.name),
        place="",
    )
