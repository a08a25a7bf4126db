"""The matrix of docs/families.md, made from benchmarks/results/families.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEADERS = ["family", "answers", "export", "int8", "bitsandbytes", "distill", "prune"]
OPERATIONS = ("onnx", "int8", "bitsandbytes", "distill", "prune")
Table = Sequence[Sequence[str]]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each family: its answers, and what came of each operation. Numbers point to
    ``notes``."""
    numbers = {text: number for number, text in enumerate(_texts(values), start=1)}

    def cell(outcome: Mapping[str, Any] | None) -> str:
        if outcome is None:
            return "–"
        mark = f" ({numbers[_plain(outcome)]})" if outcome["text"] else ""
        return f"{outcome['status']}{mark}"

    return [
        [
            f"`{row['family']}`",
            cell(row["answers"]),
            *(cell(row["operations"].get(name)) for name in OPERATIONS),
        ]
        for row in values["rows"]
    ]


def notes(values: Mapping[str, Any]) -> list[str]:
    """The numbered lines below the table."""
    return [f"{number}. {text}" for number, text in enumerate(_texts(values), start=1)]


def summary(values: Mapping[str, Any]) -> str:
    """How many families answer as transformers does."""
    answers = [row["answers"]["status"] for row in values["rows"]]
    return (
        f"{answers.count('works')} of {len(answers)} families answer as transformers does, within "
        f"{values['tolerance']:g}. Of the others, {answers.count('refused')} are refused."
    )


def _texts(values: Mapping[str, Any]) -> list[str]:
    """Every different reason, in the order of the table."""
    return list(dict.fromkeys(_plain(outcome) for outcome in _outcomes(values) if outcome["text"]))


def _outcomes(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for row in values["rows"]:
        yield row["answers"]
        for name in OPERATIONS:
            if name in row["operations"]:
                yield row["operations"][name]


def _plain(outcome: Mapping[str, Any]) -> str:
    """The reason of an outcome, without the place in the recipe."""
    text: str = outcome["text"]
    return text.removeprefix("error: ").partition("recipe.yaml:")[2].partition(": ")[2] or (
        text.removeprefix("error: ")
    )
