"""The HTML report: nothing in it runs, loads or comes from data unescaped."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE, poisoned
from markdown_it import MarkdownIt
from parsedpages import ELEMENTS_THAT_ACT, parsed, policy_of
from reports import as_report, held_report, rich_report
from rich.console import Console

from compress.report.text import visible
from compress.report.views.card import card, deployable
from compress.report.views.escaped import escape
from compress.report.views.markdown import markdown
from compress.report.views.page import page
from compress.report.views.terminal import print_report

UNSEEN = "[\x00\x1b\u202e\u200b\u2060\ufeff\U000e0041\U000e007f]"
HEADINGS = (
    "Findings",
    "Results",
    "What each step changed",
    "Step by step",
    "Quality against latency",
    "Curves",
    "By class and other tables",
    "How it was measured",
    "Recipe",
    "Environment",
)
CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--dump-dom",
)

MEASURE = """
<pre></pre>
<script>
window.onload = () => {
  const tables = [], wider = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument;
    for (const fold of page.querySelectorAll("details")) fold.open = true;
    tables.push(...page.querySelectorAll(".wide"), page.documentElement);
  }
  for (const table of tables)
    if (table.scrollWidth > table.clientWidth) wider.push(table.innerText);
  document.querySelector("pre").textContent =
    tables.length + " tables, wider: " + (wider.join("; ") || "none");
};
</script>
"""
"""Opens all folds of the framed pages, and says how many tables there are and which are too wide
for their place."""


@pytest.fixture
def report() -> dict[str, Any]:
    return rich_report()


@pytest.fixture(scope="module")
def harmless_shape() -> list[tuple[str, list[str]]]:
    """Elements and attributes of a page in whose report all names are harmless."""
    return [
        (tag, sorted(attributes))
        for tag, attributes in parsed(page(as_report(poisoned(held_report(), "harmless"))))
    ]


def test_the_page_shows_every_part_and_number(report: dict[str, Any]) -> None:
    text = page(as_report(report))
    for shown in (
        "teacher",
        "small",
        "0.880 [0.860, 0.900]",
        "12.00x [11.76, 12.24]",
        "10.0x smaller",
        "PER",
        "engine torch",
        "p 0.030",
        "5.0 % (20 were right before)",
        "Measuring took 1.7 min of 6.7 min (25 %)",
        "absent: the model ran on the cpu",
        "f1_macro",
        "latency by length",
        "McNemar exact",
        "quality difference, change by class",
    ):
        assert shown in text, shown
    assert (
        "small against teacher: quality -0.020 [-0.030, -0.010] (97.8 %), p 0.030, speed 12.00x "
        "[11.76, 12.24] "
        "(5.00x [4.90, 5.10] against teacher@onnxruntime), size 10.0x smaller"
    ) in text
    assert [h for h in HEADINGS if f"<h2>{h}</h2>" not in text] == []
    assert [tag for tag, _ in parsed(text)].count("circle") == 5


def test_the_pages_policy_forbids_everything_but_its_own_style(report: dict[str, Any]) -> None:
    policies = [
        a["content"]
        for tag, a in parsed(page(as_report(report)))
        if tag == "meta" and "http-equiv" in a
    ]
    assert policies == [policy_of(page(as_report(report)))]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_element_and_no_attribute(
    harmless_shape: list[Any], text: str
) -> None:
    hostile = poisoned(held_report(), text)
    assert hostile["data"]["name"] == hostile["overrides"][0] == text in hostile["step_budgets"]
    assert hostile["steps"][3]["name"] == text and text in hostile["steps"][0]["measurements"]
    made = page(as_report(hostile))
    found = parsed(made)
    assert [(tag, sorted(attributes)) for tag, attributes in found] == harmless_shape
    assert not {tag for tag, _ in found} & ELEMENTS_THAT_ACT
    assert not [
        name
        for _, attributes in found
        for name in attributes
        if name.startswith("on") or name in ("src", "href")
    ]
    assert not re.search(UNSEEN, made)


def test_the_same_json_gives_the_same_page(report: dict[str, Any]) -> None:
    made = as_report(report)
    assert page(as_report(made.model_dump(mode="json"))) == page(made)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_markdown_holds_no_tag_and_no_link_and_breaks_no_table(text: str) -> None:
    hostile = as_report(poisoned(held_report(), text))
    for shown in (
        markdown(hostile).split("## Recipe")[0],
        *(
            card(step, hostile).partition("\n---\n")[2].split("## Loading")[0]
            for step in deployable(hostile)
        ),
    ):
        lines = shown.splitlines()
        assert not [line for line in lines if re.search(r"<[a-zA-Z/!]", line)]
        assert not re.search(r"(?<!\\)\]\(", shown) and not re.search(UNSEEN, shown)
        assert not re.search(
            r"://|www\.|(?<!\w)@\w|@[\w.]+\.\w", re.sub(r"(?<!\\)`[^`]+`", " ` ", shown), re.I
        )
        for before, row in zip(lines, lines[1:], strict=False):
            if before.startswith("|") and row.startswith("|"):
                assert len(re.findall(r"(?<!\\)\|", before)) == len(
                    re.findall(r"(?<!\\)\|", row)
                ), row


@pytest.mark.parametrize(
    "text", [*HOSTILE, "teacher@onnxruntime", "a `b` *c* \\ _d_ & 1 < 2", "``x", "@"]
)
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    inline = MarkdownIt().parseInline(f"x {escape(text)} x")[0].children or []
    assert {token.type for token in inline} <= {"text", "text_special", "code_inline"}
    assert "".join(token.content for token in inline) == " ".join(f"x {visible(text)} x".split())


def test_addresses_and_names_are_broken_and_names_of_engines_are_not() -> None:
    assert (
        escape("https://a.b or WWW.a.b, @c and d@e.f")
        == "https`:`//a.b or WWW`.`a.b, `@`c and d`@`e.f"
    )
    assert (
        escape("teacher@onnxruntime and step@try-1: 3.0")
        == "teacher@onnxruntime and step@try-1: 3.0"
    )


def test_the_terminal_shows_no_escape_code_of_the_datas(report: dict[str, Any]) -> None:
    out = StringIO()
    print_report(
        as_report(poisoned(report, "\x1b[2J[red]x")),
        Console(file=out, width=300, force_terminal=False),
    )
    assert "\x1b" not in out.getvalue() and "[red]x" in out.getvalue()


def test_a_browser_shows_the_page_whole(report: dict[str, Any], tmp_path: Path) -> None:
    """In headless Chromium where there is one; elsewhere the file is parsed."""
    file = tmp_path / "report.html"
    file.write_text(page(as_report(poisoned(report, HOSTILE[0]))), encoding="utf-8")
    shown, browser = file.read_text(encoding="utf-8"), shutil.which("chromium")
    if browser:
        words = [browser, *CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()]
        shown = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    tags = [tag for tag, _ in parsed(shown)]
    assert (
        tags.count("figure") == 4 + 1 + 3 and tags.count("circle") == 5
    )  # waterfalls, a curve, compared curves; steps
    assert "script" not in tags and "&lt;script&gt;alert(1)" in shown
    assert [h for h in HEADINGS if f"<h2>{h}</h2>" not in shown] == []


def test_a_browser_fits_every_table_on_a_desk_and_on_a_phone(
    report: dict[str, Any], tmp_path: Path
) -> None:
    """In headless Chromium: no table is wider than its place, though all folds are open."""
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("there is no chromium")
    for step in report["steps"]:
        if step["name"] == "teacher@onnxruntime":
            step["name"] = "teacher@onnxruntime-with-fused-operators"
    shown = re.sub(r"<meta http-equiv=[^>]*>", "", page(as_report(report)))
    frames = [
        f'<iframe width="{width}" height="800" srcdoc="{html.escape(shown)}"></iframe>'
        for width in (360, 480, 1200)
    ]
    file = tmp_path / "frames.html"
    file.write_text("\n".join([*frames, MEASURE]), encoding="utf-8")
    words = [browser, *CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.search(r"<pre>(\d+) tables, wider: (.*?)</pre>", told)
    assert found and int(found[1]) > 30 and found[2] == "none"


def test_a_report_without_measurements_has_a_page(report: dict[str, Any]) -> None:
    for step in report["steps"]:
        step.update(
            measurements={}, against_reference=None, against_fastest=None, against_parent=None
        )
    report.update(
        findings=[],
        fastest_float_engine=None,
        state="running",
        seconds={"making": 0.0, "measuring": 0.0},
    )
    text = page(as_report(report))
    assert "The run goes on" in text and "Nothing is measured yet." in text
    assert not [h for h in ("Results", "Step by step", "Curves") if f"<h2>{h}</h2>" in text]
    made = as_report(report)
    assert markdown(made) and [card(step, made) for step in deployable(made)]
