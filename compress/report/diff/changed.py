"""The differences of two mappings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.report.diff.types import Changed


def changed(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> Changed:
    """The values that differ in nested mappings: ``{dotted key: (in first, in second)}``. A missing
    key counts as None."""
    differing: Changed = {}
    for key in dict.fromkeys([*first, *second]):
        one, other = first.get(key), second.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            differing |= changed(one, other, f"{prefix}{key}.")
        elif one != other:
            differing[prefix + str(key)] = (one, other)
    return differing
