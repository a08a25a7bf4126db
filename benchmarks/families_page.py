"""The matrix of docs/families.md, made from benchmarks/results/families.json."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

HEADERS = ["family", "answers", "export", "int8", "bitsandbytes", "distill", "prune"]
OPERATIONS = ("onnx", "int8", "bitsandbytes", "distill", "prune")
Table = Sequence[Sequence[str]]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each family: its answers, and what came of each operation. Numbers point to
    ``notes``."""
    numbers = {text: number for number, text in enumerate(_texts(values), start=1)}

    def cell(row: Mapping[str, Any], outcome: Mapping[str, Any] | None) -> str:
        if outcome is None:
            return "–"
        mark = f" ({numbers[_reason(row, outcome)]})" if outcome["text"] else ""
        return f"{outcome['status']}{mark}"

    return [
        [
            f"`{row['family']}`",
            cell(row, row["answers"]),
            *(cell(row, row["operations"].get(name)) for name in OPERATIONS),
        ]
        for row in values["rows"]
    ]


def notes(values: Mapping[str, Any]) -> list[str]:
    """The numbered lines below the table."""
    return [f"{number}. {text}" for number, text in enumerate(_texts(values), start=1)]


def summary(values: Mapping[str, Any]) -> str:
    """How many families answer as transformers does, and which do not."""
    families = _by_answers(values)
    parts = [
        f"{len(families['works'])} of {len(values['rows'])} families answer as transformers does, "
        f"within {values['tolerance']:g}."
    ]
    for status, words in (("refused", "Refused:"), ("differs", "Wrong:"), ("broken", "Broken:")):
        if families[status]:
            parts.append(f"{words} {', '.join(families[status])}.")
    return " ".join(parts)


def _by_answers(values: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """The families by what came of their answers."""
    families: dict[str, list[str]] = defaultdict(list)
    for row in values["rows"]:
        families[row["answers"]["status"]].append(f"`{row['family']}`")
    return families


def _texts(values: Mapping[str, Any]) -> list[str]:
    """Every different reason, in the order of the table."""
    reasons = (
        _reason(row, outcome)
        for row in values["rows"]
        for outcome in (row["answers"], *row["operations"].values())
        if outcome["text"]
    )
    return list(dict.fromkeys(reasons))


def _reason(row: Mapping[str, Any], outcome: Mapping[str, Any]) -> str:
    """The reason of an outcome. FAMILY stands for the family's name, so that families with one
    reason share a line."""
    family = re.escape(row["family"])
    text: str = outcome["text"]
    return re.sub(rf"(?<![-/\w]){family}(?![-/\w])", "FAMILY", text, count=1)
