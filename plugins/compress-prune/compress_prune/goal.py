"""A target that can be reached, and the error of one that cannot."""

from __future__ import annotations

from typing import Any, Protocol

from compress.errors import Mistake, UsageError
from compress_prune.costs import Scores, Units


class Goal(Protocol):
    """A target of which it is known what every unit costs, and that it can be reached."""

    def kept(self, units: Units, scores: Scores) -> tuple[list[list[int]], dict[str, Any]]:
        """How many of the units each block keeps, so that the target is reached and the sum of the
        scores that go is the least; and notes, JSON-ready."""
        ...


def out_of_reach(nearest: str, is_free: bool) -> UsageError:
    """The error of a target beyond ``nearest``, which is what the narrowest model has."""
    more = "" if is_free else ", let heads go too (shape: free)"
    return UsageError(
        [
            Mistake(
                "target",
                f"it cannot be reached: the nearest that can is {nearest}",
                f"ask for that{more}, or keep fewer layers",
            )
        ]
    )
