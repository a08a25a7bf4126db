"""Sections that a plugin adds to the views of a report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from compress.tracker import Report


@dataclass(frozen=True)
class SectionTable:
    """A table below its ``title``: ``headers``, and ``rows`` of as many cells, all of them texts.
    Without a title it stands below the section's own."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A section of a report: its ``title``, ``lines`` of text and ``tables``. All views show it,
    and escape its texts."""

    title: str
    lines: Sequence[str] = ()
    tables: Sequence[SectionTable] = ()


class View(ABC):
    """One section of a report. The terminal, ``report.md`` and ``report.html`` show it.

    An exception becomes one line of the report that names the plugin."""

    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def section(self, report: Report) -> Section | None:
        """The section for ``report``, the content of ``report.json``; None if it has nothing to
        show.

        Called whenever the views are written: after each step of a run, and by ``compress
        report``. It depends on the report alone, so that the same report gives the same views. It
        takes milliseconds, and imports nothing heavy."""
