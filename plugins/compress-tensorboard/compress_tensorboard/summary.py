"""A report as points and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from compress.tracker import Report, ReportedNumber, reported_numbers


def measured(report: Report) -> Iterator[tuple[str, int, float]]:
    """(tag, place of the step in the run from 0, value) of every measurement that has a
    value, and of every comparison with the reference and with it in its fastest float
    engine.

    ``.low`` and ``.high`` after a name are the ends of its 95 % interval."""
    for number in reported_numbers(report):
        for end, value in number.values().items():
            yield f"{number.side}/{number.name}{end}", number.place, value


def described(report: Report) -> str:
    """The names of the steps by index: a measurement has one point for each."""
    return ", ".join(f"{index}: {step['name']}" for index, step in enumerate(report["steps"]))


def table(report: Report) -> str:
    """A Markdown table of every measurement of every step and its comparisons with the
    reference and with it in its fastest float engine, with 95 % intervals, or why a value
    is absent."""
    lines = [["step", "measurement", "value", "unit"], ["---"] * 4]
    for number in reported_numbers(report):
        lines.append([number.step, _name(number), _value(number), number.unit])
    return "\n".join(map(_line, lines))


def _line(cells: list[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _name(number: ReportedNumber) -> str:
    """The name of a measurement; of a comparison, with what it is against."""
    side = "" if number.side == "measured" else f" {number.side.replace('_', ' ')}"
    return f"{number.name}{side}"


def _value(number: ReportedNumber) -> str:
    if number.value is None:
        return f"absent: {number.absent}"
    if number.low is None or number.high is None:
        return f"{number.value:.6g}"
    return f"{number.value:.6g} [{number.low:.6g}, {number.high:.6g}]"
