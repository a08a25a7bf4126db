"""Writing ``report.json`` and the views that are made from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.report.views.card import card, deployable
from compress.report.views.markdown import markdown
from compress.report.views.page import page
from compress.store.files import write_json, write_text
from compress.store.runfolder import RunFolder


def write_report(report: Mapping[str, Any], folder: RunFolder) -> None:
    """Write ``report.json``, which is the truth, then its views. Only who holds the folder may: the
    run itself."""
    write_json(folder.report, report)
    write_views(report, folder)
    cards = {folder.card(step["name"]) for step in deployable(report)}
    for old in set((folder.root / "cards").glob("*.md")) - cards:
        old.unlink(
            missing_ok=True
        )  # while the run went on, a step that others were made from later stood last


def write_views(report: Mapping[str, Any], folder: RunFolder) -> None:
    """Write ``report.md``, ``report.html`` and the model cards."""
    write_text(folder.root / "report.md", markdown(report))
    write_text(folder.root / "report.html", page(report))
    for step in deployable(report):
        write_text(folder.card(step["name"]), card(step, report))


def schema_text() -> str:
    """The JSON Schema (2020-12) of ``report.json``."""
    return (Path(__file__).parent.parent / "schema.json").read_text(encoding="utf-8")
