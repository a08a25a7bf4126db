"""Commands and sections of the report that a plugin adds: shown, called, and in their place when
they fail."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from commands import Command
from installing import PLUGINS, describe, install
from reports import as_report, rich_report
from rich.console import Console

from compress.cli import cli
from compress.command import CORE_COMMANDS
from compress.registry.plugins import Registered, Registry, load_plugins
from compress.report.sections import sections_of
from compress.report.views.markdown import markdown
from compress.report.views.page import page
from compress.report.views.terminal import print_report
from compress.view import Section, SectionTable, View

ROOT = Path(__file__).parent.parent
BROKEN = """
from compress import hookimpl
from compress.command import Command

class Gone(Command):
    name, summary, function = "gone", "Is not there.", "compress_broken:gone"

class Plain(Command):
    name, summary, function = "plain", "Is no command.", "compress_broken:plain"

class Run(Command):
    name, summary, function = "run", "Takes a name of the core.", "compress_broken:plain"

def plain():
    pass

@hookimpl
def compress_commands():
    return [Gone, Plain, Run]
"""


@pytest.fixture
def added(tmp_path: Path) -> Mapping[str, str]:
    """The environment of somebody who installed the plugin, and a broken one."""
    environ = install(tmp_path / "site", "compress-seconds")
    (tmp_path / "site" / "compress_broken.py").write_text(BROKEN, encoding="utf-8")
    describe(tmp_path / "site", "compress-broken", "3", {"broken": "compress_broken"})
    return environ


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "rich"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(rich_report()), encoding="utf-8")
    return folder


def test_the_core_s_commands_are_the_names_that_a_plugin_cannot_take() -> None:
    assert sorted(cli.commands) == sorted(CORE_COMMANDS)


def test_the_toolkit_s_own_plugins_add_no_commands() -> None:
    """``--help`` does not load them."""
    registry = load_plugins(environ={})
    own = registry.commands.values()
    assert [entry.name for entry in own if entry.distribution == "compress-toolkit"] == []


def test_commands_of_plugins_stand_below_their_own_heading(
    command: Command, added: Mapping[str, str]
) -> None:
    answer = command("--help", environ=added)
    core, _, plugins = answer.out.partition("Commands of plugins:")
    assert answer.code == 0 and answer.heavy == ""
    assert "seconds  Show what each step of a run took." in plugins
    assert "Takes a name of the core" not in answer.out and "doctor" in core
    assert "Commands of plugins" not in command("--help").out


def test_a_plugin_s_command_has_exit_codes_and_errors_like_the_core_s(
    command: Command, added: Mapping[str, str], run_folder: Path
) -> None:
    shown = command("seconds", run_folder, environ=added)
    assert shown.code == 0 and shown.out.startswith("teacher: ") and shown.heavy == ""
    assert command("seconds", run_folder, "--most", "0", environ=added).code == 7
    wrong = command("seconds", run_folder.parent, environ=added)
    assert wrong.code == 2 and wrong.out == ""
    assert wrong.err == f"error: {run_folder.parent} is not a run's folder: it has no report.json\n"
    assert "--most" in command("seconds", "--help", environ=added).out


def test_a_command_that_cannot_be_called_is_one_line(
    command: Command, added: Mapping[str, str]
) -> None:
    gone = command("gone", environ=added)
    assert gone.code == 2 and gone.err == (
        "error: the command gone (compress-broken 3) cannot be called: compress_commands names "
        "compress_broken:gone: AttributeError: module 'compress_broken' has no attribute 'gone'\n"
    )
    plain = command("plain", environ=added)
    assert plain.code == 2 and "compress_broken:plain is no click.Command: give the" in plain.err
    unknown = command("second", environ=added)
    assert unknown.code == 2 and "No such command 'second'" in unknown.err
    assert "'run' is a command of the core: choose another name" in unknown.err


def test_a_report_shows_the_section_in_every_view(
    command: Command, added: Mapping[str, str], run_folder: Path
) -> None:
    answer = command("report", run_folder, environ=added)
    assert answer.code == 0, answer.err
    for text in (
        answer.out,
        *((run_folder / f"report.{end}").read_text() for end in ("md", "html")),
    ):
        assert "Seconds" in text and "teacher took longest." in text


class Fails(View):
    name, summary = "fails", "Fails."
    given: ClassVar[Any] = None

    def section(self, report: Any) -> Section | None:
        report.clear()
        return self.given if self.given is not None else report["steps"]


class Harsh(View):
    name, summary = "harsh", "Texts that views must escape."

    def section(self, report: Any) -> Section:
        return Section(
            "<b>a|b", [f"{len(report['steps'])} *steps*"], [SectionTable(["x|"], [["<i>"]])]
        )


def shown(*views: type[View]) -> list[str]:
    """The terminal's text, ``report.md`` and ``report.html`` with these views."""
    registry = Registry(views={v.name: Registered(v.name, v, "acme", "2") for v in views})
    report, console = as_report(rich_report()), Console(file=io.StringIO(), width=200)
    sections = sections_of(report, registry)
    print_report(report, console, sections)
    return [console.file.getvalue(), markdown(report, sections), page(report, sections)]  # type: ignore[attr-defined]


def test_a_view_that_fails_is_a_line_that_names_its_plugin_and_costs_nothing_else() -> None:
    for text in shown(Fails, Harsh):
        assert "section of the view fails (acme 2) failed: KeyError: " in text.replace("&#39;", "'")
        assert "steps" in text and "student" in text


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("text", "it returned str, not a compress.view.Section"),
        (Section("t", "lines"), "expected a list of texts, got the text"),
        (Section("t", [3]), "expected a text, got 3"),  # type: ignore[list-item]
        (Section("t", tables=[SectionTable(["a"], [["1", "2"]])]), "a row of 2 cells below 1"),
    ],
)
def test_what_is_no_section_of_texts_is_a_line(given: object, why: str) -> None:
    class Gives(Fails):
        pass

    Gives.given = given
    assert why in shown(Gives)[0]


def test_texts_of_a_section_stay_texts() -> None:
    terminal, md, html = shown(Harsh)
    assert "<b>a|b" in terminal
    assert "## &lt;b&gt;a\\|b" in md and "| &lt;i&gt; |" in md and "\\*steps\\*" in md
    assert "<h2>&lt;b&gt;a|b</h2>" in html and "<i>" not in html


@pytest.mark.parametrize("heading", ["Commands", "Views"])
def test_the_code_of_the_guide_is_the_plugin_s(heading: str) -> None:
    guide = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    section = guide.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    package = PLUGINS / "compress-seconds" / "compress_seconds"
    code = "".join(file.read_text(encoding="utf-8") for file in package.glob("*.py"))
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert blocks and all(block in code for block in blocks)
