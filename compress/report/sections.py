"""The sections that plugins add to the views of a report."""

from __future__ import annotations

from collections.abc import Iterable

from compress.errors import name_and_first_line
from compress.registry.plugins import Registered, Registry
from compress.results.report import Report
from compress.view import Section, View


def sections_of(report: Report, registry: Registry) -> list[Section]:
    """The sections of all installed views, in the order of their names. A view that fails gives a
    section with one line that names its plugin."""
    sections = []
    for _, entry in sorted(registry.views.items()):
        # Each view has values of its own: what it does to them reaches no other.
        section = _section(entry, report.model_dump(mode="json"))
        if section is not None:
            sections.append(section)
    return sections


def _section(entry: Registered[View], report: dict[str, object]) -> Section | None:
    try:
        section = entry.cls().section(report)
        if section is not None:
            _refuse_other_types(section)
        return section
    except Exception as error:  # whatever a plugin raises: the report has more to show
        return Section(
            entry.name, [f"section of the view {entry.called} failed: {name_and_first_line(error)}"]
        )


def _refuse_other_types(section: Section) -> None:
    """Raise TypeError for what is no section of texts, and ValueError for rows of another
    length."""
    if not isinstance(section, Section):
        raise TypeError(f"it returned {type(section).__name__}, not a compress.view.Section")
    _refuse_other_than_texts([section.title])
    _refuse_other_than_texts(section.lines)
    for table in section.tables:
        _refuse_other_than_texts([table.title])
        _refuse_other_than_texts(table.headers)
        for row in table.rows:
            _refuse_other_than_texts(row)
            if len(row) != len(table.headers):
                raise ValueError(f"a row of {len(row)} cells below {len(table.headers)} headers")


def _refuse_other_than_texts(texts: Iterable[object]) -> None:
    if isinstance(texts, str):
        raise TypeError(f"expected a list of texts, got the text {texts!r}")
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"expected a text, got {text!r}")
