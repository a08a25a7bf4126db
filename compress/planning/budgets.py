"""Reading a ``budget`` section: every limit parsed, every step it names checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress.budget import POLICIES, QUANTITIES, Budget, parse_limit
from compress.errors import suggestion
from compress.planning.choices import Resolver

_KEYS = (*QUANTITIES, "on_miss")
_BASELINES = ("B0", "B1")


def read_budget(value: Any, path: tuple[str | int, ...], steps: Sequence[str], resolver: Resolver) -> Budget | None:
    """The budget that ``value`` describes; None with mistakes added. ``steps`` are the names that a limit may refer to."""
    if not isinstance(value, dict) or not value:
        resolver.wrong(path, "a budget is a mapping of limits", "budget: {quality: '>= 99% of teacher', size: '<= 20 MB'}")
        return None
    limits = []
    for key, text in value.items():
        if key not in _KEYS:
            resolver.wrong((*path, key), f"a budget has no {key!r}", suggestion(key, _KEYS), of_value=False)
        elif key != "on_miss":
            try:
                limits.append(parse_limit(key, text))
            except ValueError as error:
                resolver.wrong((*path, key), str(error))
    for limit in limits:
        if limit.of and limit.of not in (*steps, *_BASELINES):
            resolver.wrong((*path, limit.quantity), f"{limit.quantity}: there is no step {limit.of!r}",
                           suggestion(limit.of, (*steps, *_BASELINES)))
    policy = value.get("on_miss", POLICIES[0])
    if policy not in POLICIES:
        resolver.wrong((*path, "on_miss"), f"on_miss: got {policy!r}", f"one of {', '.join(POLICIES)}")
    return Budget(tuple(limits), str(policy))
