"""Reading a ``budget`` section: every limit parsed, every step it names checked, and who can try
again with less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from compress.artifact import Traits
from compress.errors import suggestion
from compress.options import Options
from compress.planning.budget import (
    BASELINES,
    DECISIONS,
    MOST_TRIES,
    POLICIES,
    QUANTITIES,
    TRIES,
    Budget,
    Limit,
    parse_limit,
)
from compress.planning.choices import Resolver
from compress.planning.types import Plan, Step
from compress.stage import has_back_off

_KEYS = (*QUANTITIES, "on_miss", "tries", "decide")
_EXAMPLE = "budget: {quality: '>= 99% of teacher', size: '<= 20 MB'}"
_Path = tuple[str | int, ...]


def read_budget(
    value: Any, path: _Path, steps: Mapping[str, str | None], task: str | None, resolver: Resolver
) -> Budget | None:
    """The budget that ``value`` describes; None with mistakes added. ``steps`` are the names that a
    limit may refer to, with their tasks where these are known; ``task`` is that of what is
    limited."""
    if not isinstance(value, dict) or not value:
        resolver.wrong(path, "a budget is a mapping of limits", _EXAMPLE)
        return None
    for key in value:
        if key not in _KEYS:
            resolver.wrong(
                (*path, key),
                f"a budget has no {key!r}",
                suggestion(str(key), _KEYS),
                of_value=False,
            )
    if not any(key in QUANTITIES for key in value):
        resolver.wrong(path, "the budget limits nothing", _EXAMPLE)
    policy, decide = (
        _one_of(value, key, choices, path, resolver)
        for key, choices in (("on_miss", POLICIES), ("decide", DECISIONS))
    )
    return Budget(
        _limits(value, path, steps, task, resolver), policy, decide, _tries(value, path, resolver)
    )


def check_step_budget(budget: Budget, step: Step, path: _Path, resolver: Resolver) -> None:
    """Add the mistake of a step that shall back off and cannot."""
    if budget.on_miss != "back_off":
        return
    if not any(limit.quantity == "quality" for limit in budget.limits):
        resolver.wrong(
            (*path, "on_miss"),
            "on_miss: a step backs off for quality, which the budget does not limit",
            "give quality: '>= 99% of teacher': less taken from a model makes it no smaller and no "
            "faster",
        )
    if _first_less(step) is not None:
        return
    if has_back_off(step.entry.cls):
        resolver.wrong(
            (*path, "on_miss"),
            f"on_miss: with these options {step.entry.name!r} has nothing less to take",
            "give it options that take more, or leave back_off out",
        )
    else:
        resolver.wrong(
            (*path, "on_miss"),
            f"on_miss: {step.entry.name!r} has no rule to back off by",
            _who_can(resolver),
        )


def with_recipe_limits(
    budget: Budget, steps: Mapping[str, Step], task: str, resolver: Resolver
) -> dict[str, Step]:
    """The steps, those of the recipe's ``task`` that can back off and have no budget of their own
    held to its quality.

    Only quality is a step's matter: how small and fast the result is shows at the end. A mistake is
    added where the recipe shall back off and no step would."""
    if budget.on_miss != "back_off":
        return dict(steps)
    limits = tuple(limit for limit in budget.limits if limit.quantity == "quality")
    own = replace(budget, limits=limits, of_recipe=True)
    held = {
        s.name: replace(s, budget=own)
        for s in steps.values()
        if s.budget is None and s.task.name == task and _first_less(s) is not None
    }
    if not limits:
        resolver.wrong(
            ("budget", "on_miss"),
            "on_miss: a recipe backs off for quality, which the budget does not limit",
            "give quality: '>= 99% of teacher', or the step a budget of its own",
        )
    elif (
        not held and not resolver.mistakes
    ):  # a step with a mistake of its own may be the one that can
        resolver.wrong(
            ("budget", "on_miss"),
            "on_miss: no step without a budget of its own can back off",
            _who_can(resolver),
        )
    return {**steps, **held}


def with_options(step: Step, options: Options, plan: Plan) -> Step:
    """The step with other options, and the traits that follow from them."""
    before = plan.step(step.parent or "") or plan.input(step.parent or "")
    traits = before.traits if before and before.traits else Traits()
    return replace(
        step, options=options, traits=step.entry.cls.produces(traits, options, step.task.name)
    )


def _limits(
    value: Mapping[str, Any],
    path: _Path,
    steps: Mapping[str, str | None],
    task: str | None,
    resolver: Resolver,
) -> tuple[Limit, ...]:
    limits = []
    for key in [k for k in value if k in QUANTITIES]:
        try:
            scored = resolver.registry.tasks.get(task or "")
            limits.append(
                parse_limit(key, value[key], scored is None or scored.cls.higher_is_better)
            )
        except ValueError as error:
            resolver.wrong((*path, key), str(error))
    for limit in limits:
        if limit.of and limit.of not in (*steps, *BASELINES):
            resolver.wrong(
                (*path, limit.quantity),
                f"{limit.quantity}: there is no step {limit.of!r}",
                suggestion(limit.of, (*steps, *BASELINES)),
            )
        other = steps.get(limit.of or "")
        if limit.quantity == "quality" and other and task and other != task:
            resolver.wrong(
                (*path, "quality"),
                f"quality: {limit.of!r} is for {other}, and this for {task}: scores of two "
                "tasks are no shares of each other",
                f"name a step for {task}",
            )
    return tuple(limits)


def _one_of(
    value: Mapping[str, Any], key: str, choices: Sequence[str], path: _Path, resolver: Resolver
) -> str:
    chosen = value.get(key, choices[0])
    if chosen not in choices:
        resolver.wrong((*path, key), f"{key}: got {chosen!r}", f"one of {', '.join(choices)}")
    return str(chosen)


def _tries(value: Mapping[str, Any], path: _Path, resolver: Resolver) -> int:
    tries = value.get("tries", TRIES)
    if "tries" in value and value.get("on_miss") != "back_off":
        resolver.wrong(
            (*path, "tries"),
            "tries: a step is tried again only with on_miss: back_off",
            "add on_miss: back_off, or leave tries out",
        )
    if not isinstance(tries, int) or isinstance(tries, bool) or not 1 <= tries <= MOST_TRIES:
        resolver.wrong(
            (*path, "tries"), f"tries must be a whole number from 1 to {MOST_TRIES}, got {tries!r}"
        )
        return TRIES
    return tries


def _first_less(step: Step) -> Options | None:
    return step.entry.cls.back_off(step.options)


def _who_can(resolver: Resolver) -> str:
    able = sorted(
        name for name, entry in resolver.registry.stages.items() if has_back_off(entry.cls)
    )
    return f"stages that can: {', '.join(able)}" if able else "no installed stage can"
