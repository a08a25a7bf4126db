"""Words for a terminal."""

from __future__ import annotations

from rich.text import Text

from compress.report.text import visible


def plain(words: str) -> Text:
    """Words as they are: no markup of rich's, and no escape code that a terminal would obey."""
    return Text(visible(words))
