"""The differences of two runs as text cells, which the terminal and the page show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.measurement import quantity
from compress.report.text import facts, spread

Table = tuple[list[str], list[list[str]]]


def labels(found: Mapping[str, Any]) -> list[str]:
    """What the columns of the two runs are called: the ends of their folders where these differ."""
    ends = [run["folder"].rstrip("/").rpartition("/")[2] for run in found["runs"]]
    return ends if ends[0] != ends[1] else ["first", "second"]


def heading(step: Mapping[str, Any]) -> str:
    """A step's name with what is known of its two models."""
    return f"{step['name']} (same model)" if step["same_model"] else step["name"]


def step_table(step: Mapping[str, Any], columns: list[str]) -> Table:
    """(headers, rows): every measurement that has a title, and any other whose change is
    significant."""
    rows = [
        [m["title"] or m["name"], *(_value(m, i) for i in (0, 1)), change(m), judgement(m, columns)]
        for m in step["measurements"]
        if (m["title"] or m["significant"]) and m["values"] != [None, None]
    ]
    return ["measurement", *columns, "change", "significant"], rows


def paired_table(step: Mapping[str, Any]) -> Table:
    """(headers, rows): what the meters say of the second against the first, example by example; no
    rows of one model."""
    rows = [
        [
            m["title"] or m["name"],
            quantity(m["value"], m["unit"]),
            spread(m).strip() or "–",
            facts(m) or "–",
        ]
        for m in step["paired"]
        if m["value"] is not None and not step["same_model"]
    ]
    return ["on the same examples", "value", "95 % interval", "more"], rows


def change(m: Mapping[str, Any]) -> str:
    """Shares and scores as differences, everything else in percent of the first."""
    if m["difference"] is None:
        return "–"
    if m["unit"] == "share":
        return f"{100 * m['difference']:+.1f} points"
    if m["unit"] == "" or m["quotient"] is None:
        return f"{m['difference']:+.3f}"
    return f"{100 * (m['quotient'] - 1):+.1f} %"


def judgement(m: Mapping[str, Any], columns: list[str]) -> str:
    """Whether the change is significant, which run is better, and what that rests on."""
    if m["basis"] in ("other task", "other examples"):
        return f"not compared ({m['basis']})"
    if m["significant"] is None:
        return "–"
    better = dict(zip(("first", "second"), columns, strict=True)).get(m["better"])
    word = "no" if not m["significant"] else f"yes, {better} is better" if better else "yes"
    return f"{word} ({m['basis']})"


def option_lines(step: Mapping[str, Any]) -> list[str]:
    """One line for each option of a step that differs."""
    stages = (
        [f"stage: {step['stage'][0]} / {step['stage'][1]}"]
        if step["stage"][0] != step["stage"][1]
        else []
    )
    return [*stages, *(f"{key}: {a} / {b}" for key, (a, b) in step["options"].items())]


def _value(m: Mapping[str, Any], side: int) -> str:
    value, (low, high) = m["values"][side], m["intervals"][side]
    return (
        "absent"
        if value is None
        else quantity(value, m["unit"]) + spread({**m, "low": low, "high": high})
    )
