"""The pages' templates: every text goes through Jinja's escaping, and nothing in it that would not
be seen comes through."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from compress.report.text import visible

_FOLDER = Path(__file__).parent / "templates"


@cache
def template(name: str) -> Template:
    """The template of a page. Its content security policy allows the one style, by its digest, and
    no more."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    style = (_FOLDER / "style.css").read_text(encoding="utf-8")
    environment.globals |= {"style": style, "policy": _policy(style)}
    return environment.get_template(name)


def _policy(style: str) -> str:
    """Nothing may be loaded, run, sent or made the base of addresses; of styles, only this one
    holds."""
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _finalize(value: Any) -> Any:
    """Text without what would not be seen; markup of the page's own is left as it is."""
    return visible(value) if type(value) is str else value
