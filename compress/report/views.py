"""Writing ``report.json`` and the views that are made from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.report.markdown import markdown
from compress.report.page import page
from compress.runfolder import RunFolder, write_json, write_text


def write_views(report: Mapping[str, Any], folder: RunFolder) -> None:
    """Write ``report.json``, ``report.md`` and ``report.html``; ``report.json`` first, for it is the truth."""
    write_json(folder.report, report)
    write_text(folder.root / "report.md", markdown(report))
    write_text(folder.root / "report.html", page(report))
