"""Text in pictures: estimate its width, break it into lines, shorten it.

The page runs no script that could ask the browser for widths, so characters are counted."""

from __future__ import annotations

import textwrap
import unicodedata

CHARACTER = 7.0
"""Width of a character of 12 px: an upper bound of the average over a name or a line of numbers."""
SOFT = 6.4
"""The same for a character of 11 px."""


def width(text: str, character: float = CHARACTER) -> float:
    """An estimate of the width of a text."""
    return len(text) * _widest(text, character)


def lines(text: str, room: float, character: float = CHARACTER) -> list[str]:
    """The text in lines no wider than ``room``, broken at spaces, or within a word that is too
    wide. No lines for an empty text."""
    return textwrap.wrap(text, max(1, int(room / _widest(text, character))), break_on_hyphens=False)


def shortened(text: str, room: float, character: float = CHARACTER) -> str:
    """The text, without its middle where it is wider than ``room``: names that begin alike often
    end differently."""
    most = max(1, int(room / _widest(text, character)))
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def centred(x: float, text: str, room: float, character: float = CHARACTER) -> float:
    """The place nearest to ``x`` for the middle of a text that stays inside a picture as wide as
    ``room``."""
    half = width(text, character) / 2
    return max(half, min(x, room - half))


def _widest(text: str, character: float) -> float:
    """The width to count for each character: twice ``character`` if any is full-width (Unicode TR
    11)."""
    return character * (2 if any(unicodedata.east_asian_width(c) in "WF" for c in text) else 1)
