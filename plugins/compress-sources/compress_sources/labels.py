"""Label names that a data set's features declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def class_labels(features: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Label names in order, by column, from features as ``datasets.Features.to_dict``
    writes them.

    A list of labels counts as well as a single one (``List``, and ``Sequence`` as older
    releases wrote it). Raises ValueError for names that are no texts."""
    by_column = {column: _names(feature) for column, feature in features.items()}
    return {column: names for column, names in by_column.items() if names}


def _names(feature: Any) -> Sequence[str]:
    if isinstance(feature, list):  # [feature] is how datasets < 2.0 wrote a list
        return _names(feature[0]) if feature else ()
    if not isinstance(feature, Mapping):
        return ()
    if feature.get("_type") == "ClassLabel":
        names = feature.get("names") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("the names of a label are not a list of texts")
        return names
    return _names(feature["feature"]) if "feature" in feature and "_type" in feature else ()
