"""Placing the labels of points so that none leaves the picture or covers another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from compress.report.pictures.fitting import shortened, width

PLOT = (380.0, 340.0)
"""Width and height of the picture."""

_LINE, _HIGHEST, _LOWEST = 16.0, 12.0, PLOT[1] - 28
_STEP = 2.0
"""How far a label is moved up at a time."""


@dataclass(frozen=True)
class Label:
    """A text at its place. ``anchor`` says which end of the text is at ``x``: ``start`` or
    ``end``."""

    text: str
    x: float
    y: float
    anchor: str

    def ends(self) -> tuple[float, float]:
        """Its left and right end."""
        wide = width(self.text)
        return (self.x - wide, self.x) if self.anchor == "end" else (self.x, self.x + wide)

    def covers(self, others: Sequence[Label]) -> bool:
        """Whether it overlaps another."""
        return any(self._overlaps(other) for other in others)

    def _overlaps(self, other: Label) -> bool:
        left, right = self.ends()
        start, end = other.ends()
        return start < right and left < end and abs(self.y - other.y) < _LINE


def placed_label(name: str, x: float, y: float, r: float, others: Sequence[Label]) -> Label:
    """The label of the point at (x, y) with radius ``r``.

    It is above or below the point, to the right or to the left, at the first of these places where
    it covers none of the ``others``. If there is no such place, it moves up until it is free."""
    shown, anchors = _anchors(name, x)
    above, below = max(y - r - 5, _HIGHEST), min(y + r + 13, _LOWEST)
    for anchor in anchors:
        for height in (above, below):
            label = Label(shown, x, height, anchor)
            if not label.covers(others):
                return label
    label = Label(shown, x, above, anchors[0])
    while label.y > _LINE and label.covers(others):
        label = replace(label, y=label.y - _STEP)
    return replace(label, y=max(label.y, _HIGHEST))


def _anchors(name: str, x: float) -> tuple[str, list[str]]:
    """The name, shortened if there is no room for it, and the anchors that keep it in the picture,
    the better first."""
    rooms = {"start": PLOT[0] - x, "end": x}
    order = sorted(rooms, reverse=x <= PLOT[0] * 0.6)
    fitting = [anchor for anchor in order if width(name) <= rooms[anchor]]
    if fitting:
        return name, fitting
    roomy = max(order, key=lambda anchor: rooms[anchor])
    return shortened(name, rooms[roomy]), [roomy]
