"""``report.html``: the report as one page that needs no network and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.report import curves, detail, waterfall
from compress.report import pareto as plot
from compress.report.examples import elsewhere
from compress.report.table import absences, changes_table, quantity, reference_text, remarks, results_table
from compress.report.template import template

_SIZES = {"waterfall": waterfall.WIDTH, "lines": (waterfall.LINE, waterfall.SOFT_LINE),
          "pareto": plot.PLOT, "plot": plot.FRAME, "chart": curves.PLOT,
          "frame": (curves.LEFT, curves.RIGHT, curves.BOTTOM)}


def page(report: Mapping[str, Any]) -> str:
    """The report as an HTML page."""
    return template("report.html").render(
        report=report, summary=summary(report), reference=reference_text(report), cost=detail.cost(report),
        remarks=remarks(report), results=results_table(report), absences=absences(report), changes=changes_table(report),
        every_measurement=detail.every_measurement(report), every_comparison=detail.every_comparison(report),
        tables=detail.tables(report), conditions=detail.conditions(report), waterfalls=waterfall.waterfalls(report),
        pareto=plot.pareto(report), elsewhere=elsewhere(report), charts=curves.charts(report),
        compared_charts=curves.compared_charts(report), mark_path=curves.mark_path, quantity=quantity,
        sizes=_SIZES)


def summary(report: Mapping[str, Any]) -> str:
    """A sentence on the step that meets the budget best, else on each step that no other was made from."""
    steps = [s for s in report["steps"] if s["role"] == "step" and s["against_reference"]]
    best = report["budget"]["best"] if report["budget"] else None
    parents = {s["parent"] for s in steps}
    told = [s for s in steps if s["name"] == best] or [s for s in steps if s["name"] not in parents]
    return " ".join(_sentence(step, report) for step in told) or "No step can be compared with a reference."


def _sentence(step: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    headers, rows = changes_table(report)
    row = dict(zip(headers, next(r for r in rows if r[0] == step["name"]), strict=True))
    reference, fastest = report["reference"], report["fastest_float_engine"]
    own_engine = fastest is None or fastest == reference or row[f"speed vs {fastest}"] == "–"
    engine = "" if own_engine else f" ({row[f'speed vs {fastest}']} against {fastest})"
    return (f"{step['name']} against {reference}: quality {row[f'quality vs {reference}']}, speed "
            f"{row[f'speed vs {reference}']}{engine}, size {row[f'size vs {reference}']}.")
