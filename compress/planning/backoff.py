"""Backing off in a plan: which steps can be tried again with milder options, which compress less,
and with which ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compress.artifact import Traits
from compress.options import Options
from compress.planning.budget import Budget
from compress.planning.resolver import Resolver
from compress.planning.types import Plan, Step
from compress.recipes.places import KeyPath
from compress.stage import has_back_off

_LIMIT_QUALITY = (
    "give quality: '>= 99% of teacher': less taken from a model makes it no smaller and no faster"
)


def check_can_back_off(step: Step, path: KeyPath, resolver: Resolver) -> None:
    """Add a mistake where the step's budget, at ``path``, says ``back_off`` and the step cannot."""
    budget = step.budget
    if budget is None or budget.on_miss != "back_off":
        return
    on_miss, stage = (*path, "on_miss"), step.entry.name
    if not _limits_quality(budget):
        message = "on_miss: a step backs off for quality, which the budget does not limit"
        resolver.wrong(on_miss, message, _LIMIT_QUALITY)
    if milder_options(step) is not None:
        return
    if has_back_off(step.entry.cls):
        message = f"on_miss: with these options {stage!r} has nothing less to take"
        hint = "give it options that take more, or leave back_off out"
        resolver.wrong(on_miss, message, hint)
    else:
        message = f"on_miss: {stage!r} has no rule to back off by"
        resolver.wrong(on_miss, message, _stages_that_can(resolver))


def steps_with_limits(
    budget: Budget, steps: Mapping[str, Step], task: str, resolver: Resolver
) -> dict[str, Step]:
    """The steps; those that can back off get the recipe's limit of quality as their budget.

    They are steps for the recipe's ``task`` without a budget of their own. A step is tried again
    for quality only: size and speed are judged on the whole result. A mistake is added where the
    recipe asks to back off and no step can."""
    if budget.on_miss != "back_off":
        return dict(steps)
    path = ("budget", "on_miss")
    limited = {
        step.name: replace(step, budget=_quality_of(budget))
        for step in steps.values()
        if step.budget is None and step.task.name == task and milder_options(step) is not None
    }
    if not _limits_quality(budget):
        message = "on_miss: a recipe backs off for quality, which the budget does not limit"
        hint = "give quality: '>= 99% of teacher', or the step a budget of its own"
        resolver.wrong(path, message, hint)
    elif not limited and not resolver.mistakes:
        # A step with a mistake of its own may be the one that can.
        message = "on_miss: no step without a budget of its own can back off"
        resolver.wrong(path, message, _stages_that_can(resolver))
    return {**steps, **limited}


def milder_options(step: Step) -> Options | None:
    """The step's options for another try, which compress less; None where none exist."""
    milder: Options | None = step.entry.cls.back_off(step.options)
    return milder


def with_options(step: Step, options: Options, plan: Plan) -> Step:
    """The step with other options, and the traits that follow from them."""
    before = plan.step(step.parent or "") or plan.input(step.parent or "")
    traits = before.traits if before and before.traits else Traits()
    new_traits = step.entry.cls.produces(traits, options, step.task.name)
    return replace(step, options=options, traits=new_traits)


def _quality_of(budget: Budget) -> Budget:
    """The part of a recipe's budget that a step can meet."""
    limits = tuple(limit for limit in budget.limits if limit.quantity == "quality")
    return replace(budget, limits=limits, of_recipe=True)


def _limits_quality(budget: Budget) -> bool:
    return any(limit.quantity == "quality" for limit in budget.limits)


def _stages_that_can(resolver: Resolver) -> str:
    stages = resolver.registry.stages.items()
    able = sorted(name for name, entry in stages if has_back_off(entry.cls))
    return f"stages that can: {', '.join(able)}" if able else "no installed stage can"
