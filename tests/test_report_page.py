"""The HTML report: nothing in it runs, loads or comes from data unescaped."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from test_budget import against, step

from compress.report.markdown import markdown
from compress.report.page import page

HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'); alert(1); ('", "<svg/onload=alert(1)>",
           "{{ 7 * 7 }}", "{% include '/etc/passwd' %}", "javascript:alert(1)", "<a href=https://evil.example>x</a>",
           "</pre><script src=//evil.example></script>", "</style><b>", "<!--", "-->", "<base href=//evil.example>",
           "<meta http-equiv=refresh content=0>", "&lt;script&gt;", "`rm -rf`", "| a | b |", "[x](javascript:alert(1))",
           "\u202egnp.exe", "<iframe srcdoc='x'>", "<form action=//evil.example>", "<link rel=stylesheet href=//e>",
           "<object data=x>", "<embed src=x>", "\x00", "onclick=alert(1)", "<details open ontoggle=alert(1)>",
           "<math><mi//xlink:href=data:x>", "expression(alert(1))", "${7*7}"]
ELEMENTS_THAT_ACT = {"script", "img", "iframe", "object", "embed", "form", "link", "base", "a", "audio", "video", "input",
                     "button", "use", "image", "foreignobject", "animate", "set"}


class Elements(HTMLParser):
    """Collects elements and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag


def parsed(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(text)
    return parser.found


@pytest.fixture
def report() -> dict[str, Any]:
    teacher = step("teacher", 0.9, 12.0, 100e6, role="reference")
    small = step("small", 0.8, 1.0, 10e6, parent="teacher", against_reference=against("teacher", 11.0, 0.1),
                 against_fastest=against("teacher", 11.0, 0.1), against_parent=against("teacher", 11.0, 0.1))
    for one in (teacher, small):
        for m in one["measurements"].values():
            m.update(low=None, high=None, conditions={"engine": "torch"}, detail={})
        one["measurements"]["quality"].update(low=0.7, high=0.95, detail={"per_class": {"PER": {"f1": 0.9, "support": 3}}})
        for side in ("against_reference", "against_fastest", "against_parent"):
            if one[side]:
                one[side]["changes"]["quality"] = {"difference": -0.1, "quotient": 0.889}
    return {"name": "tiny", "state": "finished", "task": {"name": "text-classification"}, "reference": "teacher",
            "fastest_float_engine": "teacher", "steps": [teacher, small], "findings": [], "budget": None, "step_budgets": {},
            "recipe": "task: text-classification\n",
            "environment": {"processor": "cpu", "threads": 2, "memory_bytes": 8e9, "system": "Linux", "python": "3.11",
                            "versions": {"torch": "2.13"}}}


def test_the_page_shows_every_step_and_number(report: dict[str, Any]) -> None:
    text = page(report)
    for shown in ("teacher", "small", "0.800", "11.00x [10.78, 11.22]", "10.0x smaller", "PER", "engine torch"):
        assert shown in text
    tags = [tag for tag, _ in parsed(text)]
    assert tags.count("figure") == 4 and tags.count("circle") == 2


def test_the_pages_policy_forbids_everything_but_its_own_style(report: dict[str, Any]) -> None:
    policies = [a["content"] for tag, a in parsed(page(report)) if tag == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_element_and_no_attribute(report: dict[str, Any], text: str) -> None:
    shape = [(tag, sorted(attributes)) for tag, attributes in parsed(page(report))]
    hostile = copy.deepcopy(report)
    hostile.update(name=text, recipe=text, findings=[{"step": text, "kind": "k", "text": text}])
    hostile["environment"]["processor"] = text
    hostile["steps"][1]["name"] = text
    hostile["steps"][1]["measurements"]["quality"].update(conditions={text: text},
                                                          detail={"per_class": {text: {"f1": 0.9, "support": 3}}})
    found = parsed(page(hostile))
    extra = [(tag, sorted(attributes)) for tag, attributes in found]
    for item in shape:
        extra.remove(item)
    assert {tag for tag, _ in extra} <= {"ul", "li"}  # the list of findings, which the plain report has not
    assert not {tag for tag, _ in found} & ELEMENTS_THAT_ACT
    assert not [name for _, attributes in found for name in attributes if name.startswith("on") or name in ("src", "href")]


def test_the_same_json_gives_the_same_page(report: dict[str, Any]) -> None:
    assert page(json.loads(json.dumps(report))) == page(report)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_markdown_holds_no_tag_and_breaks_no_row(report: dict[str, Any], text: str) -> None:
    report["steps"][1]["name"] = text
    lines = markdown(report).split("## Recipe")[0].splitlines()
    assert not [line for line in lines if re.search(r"<[a-zA-Z/!]", line)]
    table = [line for line in lines if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table[:4]}) == 1
