"""Reading a ``benchmark`` section: how much a run spends on measuring."""

from __future__ import annotations

from typing import Any

from compress.errors import suggestion
from compress.meter import EFFORTS, Effort
from compress.planning.choices import Resolver

_EXAMPLE = f"benchmark: {{effort: {' | '.join(EFFORTS)}}}"


def read_effort(value: Any, resolver: Resolver) -> Effort:
    """The effort that the section states, ``standard`` where it states none; mistakes are added."""
    path = ("benchmark",)
    if not isinstance(value, dict) or not value:
        resolver.wrong(path, f"benchmark: got {value!r}", _EXAMPLE)
        return "standard"
    for key in value:
        if key != "effort":
            resolver.wrong(
                (*path, key),
                f"benchmark has no {key!r}",
                suggestion(key, ("effort",)),
                of_value=False,
            )
    named = value.get("effort", "standard")
    found: Effort | None = next((e for e in EFFORTS if e == named), None)
    if found is None:
        resolver.wrong((*path, "effort"), f"effort: got {named!r}", suggestion(str(named), EFFORTS))
    return found or "standard"
