"""The pages' templates: every text goes through Jinja's escaping, and nothing in it that would not be seen comes through."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from compress.report.table import visible

_FOLDER = Path(__file__).parent / "templates"


@cache
def template(name: str) -> Template:
    """The template of a page. Its content security policy allows the page's own style and no more."""
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True, finalize=_finalize)
    return environment.get_template(name)


def _finalize(value: Any) -> Any:
    """Text without what would not be seen; markup of the page's own is left as it is."""
    return visible(value) if type(value) is str else value
