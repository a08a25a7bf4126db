"""The tables that every view shows, as text cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compress.options import flat
from compress.report.text import show, signed, spread
from compress.results.examples import elsewhere
from compress.results.verdicts import verdict_text


def results_table(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(headers, rows): each measured artifact with every measurement that has a title."""
    steps = [s for s in report["steps"] if s["measurements"]]
    columns = titled(sorted(steps, key=lambda s: bool(s["task"] != report["task"]["name"])))
    rows = [
        [step["name"], *(_cell(step["measurements"].get(name), title) for name, title in columns)]
        for step in steps
    ]
    return ["step", *(title for _, title in columns)], rows


def _cell(m: Mapping[str, Any] | None, title: str) -> str:
    """A value; what it is, where another task's quality stands under this one's title."""
    named = m is not None and m["value"] is not None and m["title"] and m["title"] != title
    return f"{show(m)} ({m['title']})" if m is not None and named else show(m)


def changes_table(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(headers, rows): quality, speed and size of each step against the reference, and against the
    step before it; how many answers changed, where that was counted.

    No rows where nothing can be compared."""
    reference, fastest = report["reference"], report["fastest_float_engine"]
    steps = [step for step in report["steps"] if step["against_reference"] is not None]
    of, before = (
        [step[side] for step in steps] for side in ("against_reference", "against_parent")
    )
    columns = [
        ("step", [step["name"] for step in steps]),
        (f"quality vs {reference}", list(map(quality_change, of))),
        (f"speed vs {reference}", list(map(speed_change, of))),
    ]
    if fastest not in (None, reference):
        columns.append(
            (f"speed vs {fastest}", [speed_change(step["against_fastest"]) for step in steps])
        )
    columns += [
        (f"size vs {reference}", list(map(size_change, of))),
        *(
            (f"{what} vs before", list(map(change, before)))
            for what, change in (
                ("quality", quality_change),
                ("speed", speed_change),
                ("size", size_change),
            )
        ),
    ]
    if any(_flips(one) != "–" for one in of):
        columns.append((f"answers changed vs {reference}", list(map(_flips, of))))
    columns += [
        (f"{title} vs {reference}", [_compared(one, name) for one in of])
        for name, title in _titled_comparisons(of)
    ]
    return [header for header, _ in columns], [
        list(row) for row in zip(*(cells for _, cells in columns), strict=True)
    ]


def _titled_comparisons(against: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(name, title) of the comparisons that ask for a column, as they appear."""
    return list(
        {
            n: m["title"] for one in against for n, m in one["comparisons"].items() if m["title"]
        }.items()
    )


def _compared(against: Mapping[str, Any], name: str) -> str:
    m = against["comparisons"].get(name)
    return show(m) + (spread(m) if m else "")


_SAME_SIZE = 0.005
"""Sizes that differ by less than this share are called equal."""


def quality_change(against: Mapping[str, Any] | None) -> str:
    """The difference with its interval, the share kept and what else is known of it, where answers
    were compared."""
    if not against:
        return "–"
    difference, kept = (
        against["comparisons"].get(n) for n in ("quality_difference", "quality_kept")
    )
    if not difference or difference["value"] is None:
        return "–" if difference else _as_measured(against)  # one that is absent could not be made
    share = f" ({100 * kept['value']:.1f} %)" if kept and kept["value"] is not None else ""
    p = difference["detail"].get("p")
    chance = "" if p is None else ", p < 0.001" if p < 0.001 else f", p {p:.3f}"
    return f"{signed(difference['value'])}{spread(difference, with_sign=True)}{share}{chance}"


def _as_measured(against: Mapping[str, Any]) -> str:
    change = against["changes"].get("quality")
    return (
        f"{signed(change['difference'])} ({100 * change['quotient']:.1f} %)"
        if change and change["quotient"]
        else "–"
    )


def _flips(against: Mapping[str, Any]) -> str:
    flips = against["comparisons"].get("flips")
    if not flips or flips["value"] is None:
        return "–"
    right = flips["detail"].get("right_before")
    return f"{show(flips)}{'' if right is None else f' ({right} of them were right)'}"


def speed_change(against: Mapping[str, Any] | None) -> str:
    """The ratio of latencies that were measured in turns, with its interval; above 1 is faster."""
    ratio = against and against["comparisons"].get("speedup")
    if not ratio or ratio["value"] is None:
        return "–"
    spread = f" [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio["low"] is not None else ""
    return f"{ratio['value']:.2f}x{spread}"


def size_change(against: Mapping[str, Any] | None) -> str:
    """How many times smaller or larger; ``equal`` where no difference would be seen."""
    change = against and against["changes"].get("size")
    if not change or not change["quotient"]:
        return "–"
    quotient = change["quotient"]
    if abs(quotient - 1) <= _SAME_SIZE:
        return "equal"
    return f"{quotient:.1f}x larger" if quotient > 1 else f"{1 / quotient:.1f}x smaller"


def reference_text(report: Mapping[str, Any]) -> str:
    """What the reference is, how it is run, and its fastest float engine; empty where there is
    none."""
    name, fastest = report["reference"], report["fastest_float_engine"]
    traits = next((s["traits"] for s in report["steps"] if s["name"] == name), None)
    if traits is None:
        return ""
    eager = traits["format"] == "pytorch" and traits["precision"] == "float"
    how = "in eager PyTorch float32" if eager else f"as {traits['format']} {traits['precision']}"
    if traits["precision"] != "float":
        return f"The reference is {name}, {how}."
    return f"The reference is {name}, {how}; its fastest float engine here is {fastest or 'not measured'}."


def remarks(report: Mapping[str, Any]) -> list[str]:
    """What ended a run that failed, findings, whose scores stand alone, the tries of steps that
    backed off, and how budgets came out, a line each."""
    lines = [f"failed: {report['failure']}"] if report["failure"] else []
    lines += [f"finding: {f['text']}" for f in report["findings"]]
    if elsewhere(report):
        lines.append(
            f"other test examples than those of {report['reference']} were answered by "
            f"{', '.join(elsewhere(report))}: scores are not compared, and the recipe's budget "
            "leaves them out"
        )
    lines += [
        f"tries of {s['name']}: {_tries(s)}" for s in report["steps"] if len(s["attempts"]) > 1
    ]
    for name, outcome in report["step_budgets"].items():
        lines.append(
            f"budget of {name} {'met' if outcome['met'] else 'missed'}: "
            f"{verdict_text(outcome['verdicts'])}"
        )
    whole = report["budget"]
    if whole:
        name = whole["best"] or whole["nearest"]
        how = f"met; best is {name}" if whole["met"] else f"missed; nearest is {name}"
        lines.append(f"budget {how}: {verdict_text(whole['verdicts'].get(name, []))}")
    return lines


def _tries(step: Mapping[str, Any]) -> str:
    """What each try changed of the options and how its budget came out, in order; the one that
    counts is named."""
    tried = [flat(attempt["options"]) for attempt in step["attempts"]]
    names = [name for name in tried[0] if any(values[name] != tried[0][name] for values in tried)]
    told = []
    for attempt, values in zip(step["attempts"], tried, strict=True):
        options = ", ".join(
            f"{name} {'none' if values[name] is None else values[name]}" for name in names
        )
        counts = ", which counts" if attempt["digest"] == step["digest"] else ""
        told.append(f"{options} ({verdict_text(attempt['verdicts'])}){counts}")
    return "; ".join(told)


def absences(report: Mapping[str, Any]) -> list[str]:
    """One line for each kind of measurement that could not be taken, and for each engine that
    cannot take the reference, with the reason."""
    found = {name: f"{name}: {why}" for name, why in report["unmeasured_engines"].items()}
    for step in report["steps"]:
        for name, m in step["measurements"].items():
            if m["absent"]:
                found.setdefault(name, f"{name}: {m['absent']}")
    return list(found.values())


def titled(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(measurement name, title) of every column that a table of these steps has: quality, then the
    others as they appear."""
    found: dict[str, str] = {}
    for step in steps:
        for name, m in step["measurements"].items():
            if m["title"]:
                found.setdefault(name, m["title"])
    return sorted(found.items(), key=lambda column: column[0] != "quality")
