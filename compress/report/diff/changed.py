"""What differs between two mappings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.report.diff.types import Changed


def changed(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> Changed:
    """``{dotted key: (value in first, value in second)}`` of what differs in nested mappings; None
    for a missing key."""
    differing: Changed = {}
    for key in dict.fromkeys([*first, *second]):
        one, other = first.get(key), second.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            differing |= changed(one, other, f"{prefix}{key}.")
        elif one != other:
            differing[prefix + str(key)] = (one, other)
    return differing
