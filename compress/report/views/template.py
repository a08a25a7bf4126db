"""The pages' templates. Every text is escaped by Jinja, and invisible characters in it are made
visible."""

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
    """The template of a page. Its content security policy allows only its own style, by the
    digest."""
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
    """A content security policy that forbids loading, scripts, forms and a base address, and allows
    only this style."""
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _finalize(value: Any) -> Any:
    """Text with invisible characters made visible. The page's own markup is a subclass of str, and
    stays as it is."""
    return visible(value) if type(value) is str else value
