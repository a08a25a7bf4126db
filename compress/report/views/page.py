"""``report.html``: the report as one page that needs no network and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from compress.measurement import value_text
from compress.report.conditions import condition_lines, cost
from compress.report.headline import headline
from compress.report.pictures import curves, labels, waterfall
from compress.report.pictures.pareto import FRAME, pareto
from compress.report.recipe import recipe_as_run
from compress.report.remarks import absences, reference_text, remarks
from compress.report.tables.best import best_table
from compress.report.tables.changes import changes_table
from compress.report.tables.data import data_tables
from compress.report.tables.detail import carried_tables, every_comparison, every_measurement
from compress.report.tables.results import results_table
from compress.report.views.summary import summary
from compress.report.views.template import template
from compress.results.examples import incomparable_names
from compress.results.report import Report
from compress.view import Section

_SIZES = {
    "waterfall": waterfall.WIDTH,
    "lines": (waterfall.LINE, waterfall.SOFT_LINE),
    "pareto": labels.PLOT,
    "plot": FRAME,
    "chart": curves.PLOT,
    "frame": (curves.LEFT, curves.RIGHT, curves.BOTTOM),
}


def page(report: Report, sections: Sequence[Section] = ()) -> str:
    """The report as an HTML page, with the ``sections`` of plugins."""
    return template("report.html").render(
        report=report,
        headline=headline(report),
        best=best_table(report),
        summary=summary(report),
        recipe=recipe_as_run(report),
        reference=reference_text(report),
        cost=cost(report),
        remarks=remarks(report),
        results=results_table(report),
        absences=absences(report),
        changes=changes_table(report),
        sections=sections,
        data=data_tables(report),
        every_measurement=every_measurement(report),
        every_comparison=every_comparison(report),
        tables=carried_tables(report),
        conditions=condition_lines(report),
        waterfalls=waterfall.waterfalls(report),
        pareto=pareto(report),
        incomparable=incomparable_names(report),
        charts=curves.charts(report),
        compared_charts=curves.compared_charts(report),
        mark_path=curves.mark_path,
        value_text=value_text,
        sizes=_SIZES,
    )
