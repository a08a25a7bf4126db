"""Writing ``report.json`` and the views that are made from it alone."""

from __future__ import annotations

from collections.abc import Sequence

from compress.report.views.card import card, deployable
from compress.report.views.markdown import markdown
from compress.report.views.page import page
from compress.results.report import Report
from compress.store.files import write_json, write_text
from compress.store.runfolder import RunFolder
from compress.view import Section


def write_report(report: Report, folder: RunFolder, sections: Sequence[Section] = ()) -> None:
    """Write ``report.json``, then its views with the ``sections`` of plugins. Only the run itself
    may call this: it has locked the folder."""
    write_json(folder.report, report.model_dump(mode="json"))
    write_views(report, folder, sections)
    cards = {folder.card(step.name) for step in deployable(report)}
    for old in set((folder.root / "cards").glob("*.md")) - cards:
        # Written earlier in the run, when no other step had been made from this one.
        old.unlink(missing_ok=True)


def write_views(report: Report, folder: RunFolder, sections: Sequence[Section] = ()) -> None:
    """Write ``report.md``, ``report.html`` and the model cards."""
    write_text(folder.root / "report.md", markdown(report, sections))
    write_text(folder.root / "report.html", page(report, sections))
    for step in deployable(report):
        write_text(folder.card(step.name), card(step, report))
