"""``report.html``: the report as one page that needs no network and runs nothing.

Every text goes through Jinja's escaping, and the page's content security policy allows its own style and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from compress.report import charts
from compress.report.table import absences, changes_table, per_class, quantity, reference_text, remarks, results_table, show

_TEMPLATES = Path(__file__).parent / "templates"


def page(report: Mapping[str, Any]) -> str:
    """The report as an HTML page."""
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("report.html").render(
        report=report, summary=summary(report), results=results_table(report), changes=changes_table(report),
        remarks=remarks(report), absences=absences(report), reference=reference_text(report), bars=charts.bars(report),
        plot=charts.plot(report), plot_size=charts.PLOT, per_class=per_class(report), show=show, quantity=quantity)


def summary(report: Mapping[str, Any]) -> str:
    """One sentence: what the last step made, against the reference."""
    steps = [s for s in report["steps"] if s["role"] == "step" and s["against_reference"]]
    chosen = report["budget"]["best"] if report["budget"] and report["budget"]["best"] else None
    last = next((s for s in steps if s["name"] == chosen), steps[-1] if steps else None)
    if last is None:
        return "No step can be compared with a reference."
    headers, rows = changes_table(report)
    row = dict(zip(headers, next(r for r in rows if r[0] == last["name"]), strict=True))
    reference = report["reference"]
    return (f"{last['name']} against {reference}: quality {row[f'quality vs {reference}']}, speed "
            f"{row[f'speed vs {reference}']}, {row[f'size vs {reference}']}.")
