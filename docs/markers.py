"""Generated parts of hand-written pages: the text between two marker comments is replaced, the rest
stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def filled(text: str, parts: Mapping[str, str], page: str) -> str:
    """``text`` with each part between its markers, ``<!-- kind:name -->`` and ``<!-- /kind -->``.
    Raises SystemExit where a marker is missing."""
    for name, body in parts.items():
        opening, closing = f"<!-- {name} -->", f"<!-- /{name.partition(':')[0]} -->"
        before, found, rest = text.partition(opening)
        _, ends, after = rest.partition(closing)
        if not (found and ends):
            raise SystemExit(f"{page} lacks the markers {opening} and {closing}")
        text = f"{before}{opening}\n{body}\n{closing}{after}"
    return text


def settle(pages: Mapping[Path, str], *, check: bool) -> None:
    """Write the pages that are stale. With ``check``, write none, and raise SystemExit with their
    names."""
    stale = [
        path
        for path, text in pages.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if check and stale:
        raise SystemExit("\n".join(f"{path} is stale: run `make docs`" for path in stale))
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")


def cell(text: str) -> str:
    """Text that is safe in a cell of a Markdown table."""
    return text.replace("\n", " ").replace("|", "\\|")


def table(headers: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; cells may hold Markdown."""
    lines = []
    for cells in [headers, ["---"] * len(headers), *rows]:
        lines.append("| " + " | ".join(map(cell, cells)) + " |")
    return "\n".join(lines)
