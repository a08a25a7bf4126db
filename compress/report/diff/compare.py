"""What differs between two runs, as JSON-ready values made from their reports and kept samples
alone.

Significance is stated with what it rests on. ``paired``: both artifacts answered the same examples,
and the 95 % interval of the difference, as the meter that kept the answers computes it, leaves out
0. ``not in turns``: timings of different runs met different moments of the machine, so a change
counts only where the 95 % intervals do not overlap. ``intervals``: the same rule for what else has
intervals. Without an interval nothing is claimed. ``other task``: scores of different tasks, or
under different headline metrics, and ``other examples``: scores of different test examples; neither
are compared at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

from compress.measurement import Measurement
from compress.meter import Meter
from compress.report.diff.side import Kept, Side

DIFF_VERSION = 1
Values = Mapping[str, Any]
_TIMES = ("s", "ms", "us")
_QUALITY = "quality"
_DIFFERENCE = "{}_difference"
"""Name of the paired comparison that judges a measurement: ``quality_difference`` judges
``quality``."""


def compare_runs(first: Side, second: Side, meters: Mapping[str, Meter]) -> dict[str, Any]:
    """The differences from ``first`` to ``second``; every pair of values is in that order. Steps
    are matched by name."""
    mine, theirs = ({s["name"]: s for s in side.report["steps"]} for side in (first, second))
    steps = [
        _step(
            name,
            mine.get(name),
            theirs.get(name),
            first.kept.get(name, Kept()),
            second.kept.get(name, Kept()),
            meters,
        )
        for name in dict.fromkeys([*mine, *theirs])
    ]
    found = {
        "diff_version": DIFF_VERSION,
        "runs": [_run(side) for side in (first, second)],
        "environment": changed(first.report["environment"], second.report["environment"]),
        "recipe": _recipe(first.report, second.report),
        "steps": steps,
    }
    return {**found, "remarks": _remarks(found)}


def changed(first: Values, second: Values, prefix: str = "") -> dict[str, list[Any]]:
    """``{dotted key: [value in first, value in second]}`` of what differs in nested mappings; None
    for a missing key."""
    found: dict[str, list[Any]] = {}
    for key in dict.fromkeys([*first, *second]):
        a, b = first.get(key), second.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found |= changed(a, b, f"{prefix}{key}.")
        elif a != b:
            found[prefix + str(key)] = [a, b]
    return found


def _run(side: Side) -> dict[str, Any]:
    report = side.report
    return {
        "folder": side.folder,
        **{key: report[key] for key in ("name", "state", "seed", "effort", "compress_version")},
    }


def _recipe(first: Values, second: Values) -> dict[str, Any]:
    """Changed lines of the recipe with one line around them, and the overrides that only one run
    has."""
    lines = unified_diff(
        first["recipe"].splitlines(), second["recipe"].splitlines(), lineterm="", n=1
    )
    only = [
        [o for o in a["overrides"] if o not in b["overrides"]]
        for a, b in ((first, second), (second, first))
    ]
    return {"lines": list(lines)[2:], "overrides": only}  # less the two lines that name files


def _step(
    name: str,
    first: Values | None,
    second: Values | None,
    mine: Kept,
    theirs: Kept,
    meters: Mapping[str, Meter],
) -> dict[str, Any]:
    if first is None or second is None:
        return {"name": name, "in": "second" if first is None else "first"}
    same_examples = first["test"] == second["test"] if first["test"] and second["test"] else None
    same_task = _same_task(first, second)
    paired = _paired(mine, theirs, meters) if same_examples and same_task else {}
    strange = "other task" if not same_task else "other examples" if same_examples is False else ""
    names = [n for n in first["measurements"] if n in second["measurements"]]
    return {
        "name": name,
        "in": "both",
        "same_model": first["digest"] == second["digest"],
        "same_examples": same_examples,
        "same_task": same_task,
        "scored": [_scored(first), _scored(second)],
        "options": changed(first["options"], second["options"]),
        "stage": [first["stage"], second["stage"]],
        "measurements": [
            _measurement(
                first["measurements"][n],
                second["measurements"][n],
                paired.get(_DIFFERENCE.format(n)),
                strange,
            )
            for n in names
        ],
        "paired": [m.as_dict() for m in paired.values()],
        "only_in": [
            [n for n in a["measurements"] if n not in b["measurements"]]
            for a, b in ((first, second), (second, first))
        ],
    }


def _same_task(first: Values, second: Values) -> bool:
    """Whether both were scored for one task by one headline metric."""
    titles = [
        m["title"]
        for s in (first, second)
        if (m := s["measurements"].get(_QUALITY)) and m["value"] is not None
    ]
    return bool(first["task"] == second["task"] and (len(titles) < 2 or titles[0] == titles[1]))


def _scored(step: Values) -> str:
    """What a step was scored for, such as ``text-classification, accuracy``."""
    quality = step["measurements"].get(_QUALITY)
    return ", ".join(
        [
            step["task"] or "no task",
            *([quality["title"]] if quality and quality["value"] is not None else []),
        ]
    )


def _paired(mine: Kept, theirs: Kept, meters: Mapping[str, Meter]) -> dict[str, Measurement]:
    """What the meters that keep samples say of second against first, example by example; samples of
    two versions of a meter are not mixed."""
    found: dict[str, Measurement] = {}
    for name, meter in meters.items():
        a, b = mine.samples.get(name), theirs.samples.get(name)
        if meter.keeps and a and b and mine.origins.get(name) == theirs.origins.get(name):
            found.update(
                {m.name: m for m in meter.compare([dict(s) for s in b], [dict(s) for s in a])}
            )
    return found


def _measurement(
    first: Values, second: Values, paired: Measurement | None, strange: str
) -> dict[str, Any]:
    """A measurement in both runs; ``strange`` says why scores are not compared, and is empty where
    they are."""
    a, b = first["value"], second["value"]
    known = a is not None and b is not None
    basis, significant = _significance(first, second, paired) if known else ("absent", None)
    if known and strange and _is_score(first):
        known, basis, significant = False, strange, None
    better = None
    if significant and first["direction"] != "neither":
        better = "second" if (b > a) == (first["direction"] == "higher") else "first"
    return {
        "name": first["name"],
        "title": _title(first, second),
        "unit": first["unit"],
        "direction": first["direction"],
        "values": [a, b],
        "intervals": [[m["low"], m["high"]] for m in (first, second)],
        "absent": [first["absent"], second["absent"]],
        "difference": b - a if known else None,
        "quotient": b / a if known and a else None,
        "basis": basis,
        "significant": significant,
        "better": better,
        "conditions": changed(first["conditions"], second["conditions"]),
    }


def _title(first: Values, second: Values) -> str:
    """The title that both have, or the two, where the headline metrics differ."""
    return (
        str(first["title"])
        if first["title"] == second["title"]
        else f"{first['title']} / {second['title']}"
    )


def _is_score(m: Values) -> bool:
    """Whether a measurement is of the answers: its quality, or any other number without a unit."""
    return bool(m["name"] == _QUALITY or m["unit"] == "")


def _significance(
    first: Values, second: Values, paired: Measurement | None
) -> tuple[str, bool | None]:
    """(what the judgement rests on, whether the change is significant; None where nothing can be
    said)."""
    if paired is not None and paired.low is not None and paired.high is not None:
        return "paired", not paired.low <= 0 <= paired.high
    if any(m[end] is None for m in (first, second) for end in ("low", "high")):
        return "no interval", None
    apart = first["high"] < second["low"] or second["high"] < first["low"]
    return "not in turns" if is_timing(first["unit"]) else "intervals", apart


def is_timing(unit: str) -> bool:
    """Whether a unit is a time or a number per second, which depends on the moment it was taken."""
    return unit in _TIMES or unit.endswith("/s")


def _remarks(found: Values) -> list[str]:
    """What a reader should know before the numbers, a sentence each."""
    both = [s for s in found["steps"] if s["in"] == "both"]
    lines = [
        f"{s['name']} is only in the {s['in']} run" for s in found["steps"] if s["in"] != "both"
    ]
    if any(m["basis"] == "not in turns" for s in both for m in s["measurements"]):
        lines.append(
            "timings of the two runs were not taken in turns: a change counts only where 95 % "
            "intervals do not "
            "overlap; compress bench takes turns"
        )
    lines += [
        f"measured on a different machine or software: {k} {a} / {b}"
        for k, (a, b) in found["environment"].items()
    ]
    strange = [f"{s['name']} ({' / '.join(s['scored'])})" for s in both if not s["same_task"]]
    if strange:
        lines.append(
            "scored for another task or by another metric, so quality is not compared, and what "
            "was timed had "
            f"other inputs: {'; '.join(strange)}"
        )
    other = [s["name"] for s in both if s["same_examples"] is False and s["same_task"]]
    if other:
        lines.append(
            "measured on other test examples, so scores are not compared, and what was timed had "
            "other inputs: "
            f"{', '.join(other)}"
        )
    drifted = [
        f"{s['name']} {m['name']}"
        for s in both
        if s["same_model"]
        for m in s["measurements"]
        if m["significant"] and m["basis"] == "not in turns"
    ]
    if drifted:
        lines.append(
            "the same model was timed differently, so the machine changed between the runs: "
            f"{', '.join(drifted)}"
        )
    return lines
