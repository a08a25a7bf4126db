"""Reading a ``budget`` section, a recipe's or a step's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.errors import suggestion
from compress.planning.budget import (
    BASELINES,
    DECISIONS,
    MOST_TRIES,
    POLICIES,
    QUANTITIES,
    TRIES,
    Budget,
    Limit,
)
from compress.planning.resolver import Resolver
from compress.planning.sections.limits import parse_limit
from compress.recipes.places import KeyPath, Section

_KEYS = (*QUANTITIES, "on_miss", "tries", "decide")
_EXAMPLE = "budget: {quality: '>= 99% of teacher', size: '<= 20 MB'}"


def read_budget(
    value: Any, path: KeyPath, steps: Mapping[str, str | None], task: str | None, resolver: Resolver
) -> Budget | None:
    """The budget that ``value`` describes; None with a mistake added.

    ``steps`` holds the names that a limit may refer to, each with its task (None: not known).
    ``task`` is the task of the step, or of the recipe, that the budget is for."""
    if not isinstance(value, dict) or not value:
        resolver.wrong(path, "a budget is a mapping of limits", _EXAMPLE)
        return None
    for key in value:
        if key not in _KEYS:
            hint = suggestion(str(key), _KEYS)
            resolver.wrong((*path, key), f"a budget has no {key!r}", hint, of_value=False)
    if not any(key in QUANTITIES for key in value):
        resolver.wrong(path, "the budget limits nothing", _EXAMPLE)
    return Budget(
        on_miss=_one_of(value, "on_miss", POLICIES, path, resolver),
        decide=_one_of(value, "decide", DECISIONS, path, resolver),
        limits=_read_limits(value, path, steps, task, resolver),
        tries=_read_tries(value, path, resolver),
    )


def _read_limits(
    value: Section,
    path: KeyPath,
    steps: Mapping[str, str | None],
    task: str | None,
    resolver: Resolver,
) -> tuple[Limit, ...]:
    entry = resolver.registry.tasks.get(task or "")
    higher_is_better = entry is None or entry.cls.higher_is_better
    limits = []
    for key in [key for key in value if key in QUANTITIES]:
        try:
            limits.append(parse_limit(key, value[key], higher_is_better))
        except ValueError as error:
            resolver.wrong((*path, key), str(error))
    for limit in limits:
        if limit.of is not None:
            _check_other(limit, limit.of, path, steps, task, resolver)
    return tuple(limits)


def _check_other(
    limit: Limit,
    other: str,
    path: KeyPath,
    steps: Mapping[str, str | None],
    task: str | None,
    resolver: Resolver,
) -> None:
    """Add a mistake where a limit names a step that does not exist, or one of another task."""
    if other not in steps and other not in BASELINES:
        message = f"{limit.quantity}: there is no step {other!r}"
        hint = suggestion(other, (*steps, *BASELINES))
        resolver.wrong((*path, limit.quantity), message, hint)
    its_task = steps.get(other)
    if limit.quantity == "quality" and its_task and task and its_task != task:
        message = (
            f"quality: {other!r} is for {its_task}, and this for {task}: scores of two tasks are "
            "no shares of each other"
        )
        resolver.wrong((*path, "quality"), message, f"name a step for {task}")


def _one_of(
    value: Section, key: str, choices: Sequence[str], path: KeyPath, resolver: Resolver
) -> str:
    chosen = value.get(key, choices[0])
    if chosen not in choices:
        resolver.wrong((*path, key), f"{key}: got {chosen!r}", f"one of {', '.join(choices)}")
    return str(chosen)


def _read_tries(value: Section, path: KeyPath, resolver: Resolver) -> int:
    tries = value.get("tries", TRIES)
    if "tries" in value and value.get("on_miss") != "back_off":
        message = "tries: a step is tried again only with on_miss: back_off"
        resolver.wrong((*path, "tries"), message, "add on_miss: back_off, or leave tries out")
    if not isinstance(tries, int) or isinstance(tries, bool) or not 1 <= tries <= MOST_TRIES:
        message = f"tries must be a whole number from 1 to {MOST_TRIES}, got {tries!r}"
        resolver.wrong((*path, "tries"), message)
        return TRIES
    return tries
