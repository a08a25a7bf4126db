"""``report.html``: the report as one page that needs no network and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.measurement import quantity
from compress.report import detail
from compress.report.pictures import curves, waterfall
from compress.report.pictures import pareto as plot
from compress.report.tables import (
    absences,
    changes_table,
    quality_change,
    reference_text,
    remarks,
    results_table,
    size_change,
    speed_change,
)
from compress.report.views.template import template
from compress.results.examples import elsewhere
from compress.tracker import against_references

_SIZES = {
    "waterfall": waterfall.WIDTH,
    "lines": (waterfall.LINE, waterfall.SOFT_LINE),
    "pareto": plot.PLOT,
    "plot": plot.FRAME,
    "chart": curves.PLOT,
    "frame": (curves.LEFT, curves.RIGHT, curves.BOTTOM),
}


def page(report: Mapping[str, Any]) -> str:
    """The report as an HTML page."""
    return template("report.html").render(
        report=report,
        summary=summary(report),
        reference=reference_text(report),
        cost=detail.cost(report),
        remarks=remarks(report),
        results=results_table(report),
        absences=absences(report),
        changes=changes_table(report),
        every_measurement=detail.every_measurement(report),
        every_comparison=detail.every_comparison(report),
        tables=detail.tables(report),
        conditions=detail.conditions(report),
        waterfalls=waterfall.waterfalls(report),
        pareto=plot.pareto(report),
        elsewhere=elsewhere(report),
        charts=curves.charts(report),
        compared_charts=curves.compared_charts(report),
        mark_path=curves.mark_path,
        quantity=quantity,
        sizes=_SIZES,
    )


def summary(report: Mapping[str, Any]) -> str:
    """A sentence on the step that meets the budget best, else on each step that no other was made
    from."""
    steps = [s for s in report["steps"] if s["role"] == "step" and s["against_reference"]]
    best = report["budget"]["best"] if report["budget"] else None
    parents = {s["parent"] for s in steps}
    told = [s for s in steps if s["name"] == best] or [s for s in steps if s["name"] not in parents]
    return " ".join(_sentence(step) for step in told) or "No step can be compared with a reference."


def _sentence(step: Mapping[str, Any]) -> str:
    against = against_references(step)
    of, in_engine = against["reference"], against.get("fastest")
    engine = f" ({speed_change(in_engine)} against {in_engine['name']})" if in_engine else ""
    return (
        f"{step['name']} against {of['name']}: quality {quality_change(of)}, speed "
        f"{speed_change(of)}{engine}, size "
        f"{size_change(of)}."
    )
