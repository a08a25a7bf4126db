"""Reading a ``benchmark`` section: how much a run spends on measuring."""

from __future__ import annotations

from typing import Any

from compress.errors import suggestion
from compress.meter import EFFORTS, Effort
from compress.planning.resolver import Resolver

_EXAMPLE = f"benchmark: {{effort: {' | '.join(EFFORTS)}}}"


def read_effort(value: Any, resolver: Resolver) -> Effort:
    """The effort that the section states, ``standard`` where it states none; mistakes are added."""
    path = ("benchmark",)
    if not isinstance(value, dict) or not value:
        resolver.wrong(path, f"benchmark: got {value!r}", _EXAMPLE)
        return "standard"
    for key in value:
        if key != "effort":
            hint = suggestion(key, ("effort",))
            resolver.wrong((*path, key), f"benchmark has no {key!r}", hint, of_value=False)
    named = value.get("effort", "standard")
    for effort in EFFORTS:
        if effort == named:
            return effort
    hint = suggestion(str(named), EFFORTS)
    resolver.wrong((*path, "effort"), f"effort: got {named!r}", hint)
    return "standard"
