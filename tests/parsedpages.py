"""Reading an HTML page: its elements and the policy that it must state."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

ELEMENTS_THAT_ACT = {
    "script",
    "img",
    "iframe",
    "object",
    "embed",
    "form",
    "link",
    "base",
    "a",
    "audio",
    "video",
    "input",
    "button",
    "use",
    "image",
    "foreignobject",
    "animate",
    "set",
}
"""Elements that run, load or link something."""


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag


def parsed(text: str) -> list[tuple[str, dict[str, str | None]]]:
    """The elements of a page in order, each with its attributes."""
    parser = Elements()
    parser.feed(text)
    return parser.found


def policy_of(text: str) -> str:
    """The content security policy that a page must state: its one style element may act, nothing
    else may. Fails where the page has style attributes."""
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert "display" in style
    assert not [tag for tag, attributes in parsed(text) if "style" in attributes]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
