"""Text in pictures: about how wide it is, and how it is broken or shortened where there is less
room. A page that runs nothing cannot ask the browser, so widths are counted in characters."""

from __future__ import annotations

import textwrap
import unicodedata

CHARACTER = 7.0
"""Units that a character of 12 px takes at most, on an average over a name or a line of numbers."""
SOFT = 6.4
"""The same of 11 px."""


def width(text: str, character: float = CHARACTER) -> float:
    """About how wide the text is."""
    return len(text) * _widest(text, character)


def lines(text: str, room: float, character: float = CHARACTER) -> list[str]:
    """The text in lines no wider than ``room``, broken at spaces, and within a word that is wider;
    none of no text."""
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
    """The place nearest to ``x`` at which a text's middle may stand so that it does not leave a
    picture of this width."""
    half = width(text, character) / 2
    return max(half, min(x, room - half))


def _widest(text: str, character: float) -> float:
    """Units that each character is counted for: twice as many where some are as wide as high
    (Unicode TR 11)."""
    return character * (2 if any(unicodedata.east_asian_width(c) in "WF" for c in text) else 1)
