"""Texts that are not valid Unicode."""

from __future__ import annotations


def has_lone_surrogate(text: str) -> bool:
    """Whether ``text`` holds half of a character, such as an emoji that was cut in two.

    Python accepts such a text, but it cannot be encoded as UTF-8: tokenizers and files refuse
    it."""
    try:
        text.encode()
    except UnicodeEncodeError:  # nothing else cannot be encoded
        return True
    return False
