"""Loading plugins: the message for each kind of bad plugin, and that the others still work."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import pytest

from compress.cli.modelcommands import predict_command
from compress.errors import UsageError
from compress.predictor import Predictor
from compress.registry.kinds import KINDS
from compress.registry.plugins import load_plugins
from compress.request import ARGUMENTS

GOOD = """
from compress import hookimpl
from compress.options import Options
from compress.stage import Stage

class {cls}(Stage):
    name = "{stage}"
    summary = "Does nothing."
    Options = Options
    def apply(self, context):
        raise NotImplementedError

@hookimpl
def compress_stages():
    return [{cls}]
"""
Installed = Callable[..., EntryPoint]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """``installed("mine", source)``: the entry point of a module of that source, as an installed
    distribution has it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, source: str, distribution: str = "", version: str = "1.2") -> EntryPoint:
        module = f"fake_{tmp_path.name}_{name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        dist = SimpleNamespace(name=distribution or f"compress-{name}", version=version)
        return EntryPoint(name, module, "compress")._for(dist)  # type: ignore[attr-defined]

    return install


def stage(name: str) -> str:
    return GOOD.format(cls="Mine", stage=name)


def test_stage_is_registered_with_the_distribution_that_brings_it(installed: Installed) -> None:
    registry = load_plugins([installed("mine", stage("shrink.mine"))])
    assert registry.problems == []
    entry = registry.stages["shrink.mine"]
    assert (entry.origin, entry.cls.summary) == ("compress-mine 1.2", "Does nothing.")
    assert registry.plugins == [("mine", "compress-mine", "1.2")]


def test_broken_import_is_one_line_and_the_others_go_on(installed: Installed) -> None:
    points = [
        installed("a_broken", "import a_package_that_is_not_there"),
        installed("mine", stage("shrink.mine")),
    ]
    registry = load_plugins(points)
    assert registry.problems == [
        "plugin 'a_broken' of compress-a_broken 1.2 cannot be imported: ModuleNotFoundError: "
        "No module named 'a_package_that_is_not_there'"
    ]
    assert list(registry.stages) == ["shrink.mine"]


def test_module_that_fails_in_any_way_is_one_line(installed: Installed) -> None:
    registry = load_plugins(
        [
            installed("mine", "raise RuntimeError('first line\\nsecond line')"),
            installed("other", "def f(:"),
            installed("script", "import sys\nsys.exit(3)"),
            installed("third", stage("shrink.mine")),
        ]
    )
    assert [problem.count("\n") for problem in registry.problems] == [0, 0, 0]
    assert (
        "RuntimeError: first line" in registry.problems[0] and "SyntaxError" in registry.problems[1]
    )
    assert "SystemExit: 3" in registry.problems[2]
    assert list(registry.stages) == ["shrink.mine"]


def test_clash_names_both_distributions_and_nobody_gets_the_name(installed: Installed) -> None:
    points = [
        installed("mine", stage("shrink")),
        installed("other", stage("shrink"), version="7"),
        installed("third", stage("shrink.third")),
    ]
    registry = load_plugins(points)
    (problem,) = registry.problems
    assert problem == (
        "stage 'shrink' is registered by compress-mine 1.2 and compress-other 7; "
        "uninstall or disable one of them"
    )
    assert list(registry.stages) == ["shrink.third"]
    assert registry.clashes == {("stages", "shrink"): problem}


def test_two_entry_points_of_one_name_are_both_loaded(installed: Installed, tmp_path: Path) -> None:
    first = installed("mine", stage("shrink.one"), distribution="dist-one")
    (tmp_path / "another_module.py").write_text(stage("shrink.two"), encoding="utf-8")
    dist = SimpleNamespace(name="dist-two", version="1")
    second = EntryPoint("mine", "another_module", "compress")._for(dist)  # type: ignore[attr-defined]
    registry = load_plugins([first, second])
    assert registry.problems == []
    assert sorted(registry.stages) == ["shrink.one", "shrink.two"]


def test_the_message_for_a_misspelt_hook_names_the_nearest_one(installed: Installed) -> None:
    registry = load_plugins(
        [installed("mine", stage("shrink").replace("def compress_stages", "def compress_stage"))]
    )
    assert registry.problems == [
        "plugin 'mine' of compress-mine 1.2: there is no hook 'compress_stage'; its other hooks "
        "are used (did you mean 'compress_stages'?)"
    ]
    assert registry.stages == {}


def test_an_unknown_hook_costs_a_plugin_nothing_else(installed: Installed) -> None:
    """A plugin for a newer version gives its stages to this one."""
    more = "\n@hookimpl\ndef compress_metres():\n    return []\n"
    registry = load_plugins([installed("mine", stage("shrink") + more)])
    (problem,) = registry.problems
    assert "no hook 'compress_metres'; its other hooks are used" in problem
    assert "(did you mean 'compress_meters'?)" in problem
    assert list(registry.stages) == ["shrink"]


def test_hook_with_arguments_costs_a_plugin_nothing_else(installed: Installed) -> None:
    more = "\n@hookimpl\ndef compress_meters(settings, more=1):\n    return []\n"
    registry = load_plugins([installed("mine", stage("shrink") + more)])
    assert registry.problems == [
        "plugin 'mine' of compress-mine 1.2: compress_meters takes arguments (settings, more): "
        "define it without any"
    ]
    assert list(registry.stages) == ["shrink"]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("[object]", "compress_tasks: object does not derive from compress.task.Task"),
        ("['mine']", "compress_tasks: 'mine' is no class: return classes that derive from "),
        ("3", "compress_tasks returned 3: return a list of classes"),
        ("None", "compress_tasks returned None: return a list of classes"),
        ("'Mine'", "compress_tasks returned 'Mine': return a list of classes"),
        ("(x for x in ())", "compress_tasks returned <generator"),
        ("1 / 0", "compress_tasks failed: ZeroDivisionError: division by zero"),
    ],
)
def test_hook_that_gives_no_classes_is_one_line(
    returned: str, words: str, installed: Installed
) -> None:
    source = (
        f"from compress import hookimpl\n@hookimpl\ndef compress_tasks():\n    return {returned}\n"
    )
    registry = load_plugins([installed("mine", source), installed("other", stage("shrink"))])
    (problem,) = registry.problems
    assert problem.startswith(f"plugin 'mine' of compress-mine 1.2: {words}")
    assert list(registry.stages) == ["shrink"]


INCOMPLETE = """
from pydantic import Field
from compress import hookimpl
from compress.architecture import Architecture
from compress.command import Command
from compress.engine import Engine
from compress.meter import Meter
from compress.options import Options
from compress.source import Source
from compress.stage import Stage
from compress.task import Task
from compress.tracker import Tracker
from compress.view import View
from compress_tasks.fill_mask import FillMask

class Inner(Options):
    deep: int = 1

class Mine(Options):
    share: float = 0.5
    inner: Inner = Field(default=Inner(), description="Inner.")

class NoApply(Stage):
    name, summary = "no.apply", "x"

class Odd(Stage):
    name, summary, Options, libraries = 3, " ", Mine, "torch"
    def apply(self, context):
        pass

class Tree(Options):
    branch: "Tree | None" = Field(default=None, description="x")

class Endless(Stage):
    name, summary, Options = "../end\\nless", "x", Tree
    def apply(self, context):
        pass

class Untyped(Stage):
    name, summary, Options = "untyped", "x", dict
    def apply(self, context):
        pass

class Whole(Stage):
    name, summary = "whole", "x"
    def apply(self, context):
        pass

class Bare(Architecture): pass
class BareEngine(Engine): pass
class BareSource(Source): pass
class BareTask(Task): pass
class Ask(Options):
    file: bool = Field(default=False, description="x")
    beams: int = Field(default=1, description="x")
class AskingTask(FillMask):
    name, RequestOptions = "asking", Ask
class Count(Meter):
    name, summary, efforts = "count", "x", ("quick", "slow")
class BareTracker(Tracker): pass
class BareView(View): pass
class Run(Command):
    name, summary, function = "run", "x", "somewhere"
class Spaced(Command):
    name, summary, function = "a b", "x", "mine.commands:go"

@hookimpl
def compress_stages():
    return [NoApply, Odd, Endless, Untyped, Whole, Whole()]
@hookimpl
def compress_architectures():
    return [Bare]
@hookimpl
def compress_engines():
    return [BareEngine]
@hookimpl
def compress_sources():
    return [BareSource]
@hookimpl
def compress_tasks():
    return [BareTask, AskingTask]
@hookimpl
def compress_meters():
    return [Count]
@hookimpl
def compress_trackers():
    return [BareTracker]
@hookimpl
def compress_views():
    return [BareView]
@hookimpl
def compress_commands():
    return [Run, Spaced]
"""


def test_everything_that_is_wrong_with_classes_is_told_in_one_pass(installed: Installed) -> None:
    registry = load_plugins([installed("mine", INCOMPLETE)])
    where = "plugin 'mine' of compress-mine 1.2: compress_"
    assert all(problem.startswith(where) for problem in registry.problems)
    told = [problem.removeprefix(where) for problem in registry.problems]
    assert [line for line in told if line.startswith("stages")] == [
        "stages: NoApply does not implement apply",
        "stages: Odd.name is 3: expected str",
        "stages: Odd.summary is empty",
        "stages: Odd.Options: 'share' has no description: give it Field(description=...)",
        "stages: Odd.Options: 'inner.deep' has no description: give it Field(description=...)",
        "stages: Odd.libraries is 'torch': expected tuple[str, ...]",
        "stages: Endless.name is '../end\\nless': expected letters, digits, '.', '_' and '-', "
        "as in 'prune.structured'",
        "stages: Endless.Options: 'branch' holds options that hold themselves: nest them to a "
        "fixed depth",
        "stages: Untyped.Options is <class 'dict'>: expected type[Options]",
        "stages: an instance of Whole was returned: return the class itself",
    ]
    assert {
        "architectures: Bare sets no name: expected str",
        "architectures: Bare sets no summary: expected str",
        "architectures: Bare sets no model_types: expected tuple[str, ...]",
        "engines: BareEngine does not implement open",
        "engines: BareEngine sets no formats: expected tuple[str, ...]",
        "sources: BareSource does not implement identity, read",
        "sources: BareSource sets no Options: expected type[SourceOptions]",
        "tasks: BareTask sets no columns: expected tuple[Column, ...]",
        "tasks: AskingTask.RequestOptions: 'file' is an argument of every request: choose another "
        "name",
        "meters: Count does not implement sample, summarise",
        "trackers: BareTracker does not implement finish, start",
        "views: BareView does not implement section",
        "commands: 'run' is a command of the core: choose another name",
        "commands: Run.function is 'somewhere': expected 'module:function'",
        "commands: Spaced.name is 'a b': expected a word such as 'make-card'",
    } <= set(told)
    (efforts,) = (line for line in told if "efforts" in line)
    assert "('quick', 'slow')" in efforts and "'standard'" in efforts
    assert list(registry.stages) == ["whole"]
    assert all(registry.of(kind) == {} for kind in KINDS if kind != "stages")


def test_no_argument_of_a_request_can_be_hidden_by_an_option_of_a_task() -> None:
    flags = {word.removeprefix("--") for p in predict_command.params for word in p.opts}
    of_calls = signature(Predictor.__call__).parameters.keys() - {"options"}
    assert flags | {p.name for p in predict_command.params} | of_calls <= ARGUMENTS


def test_two_classes_of_one_name_in_one_plugin_are_named(installed: Installed) -> None:
    more = """
class Again(Mine):
    pass

@hookimpl
def compress_stages():
    return [Mine, Again]
"""
    registry = load_plugins([installed("mine", stage("shrink") + more)])
    assert registry.problems == [
        "stage 'shrink' is registered twice by compress-mine 1.2, as Mine and Again: rename one "
        "of them"
    ]
    assert registry.stages == {}


def test_function_without_the_mark_is_no_hook(installed: Installed) -> None:
    registry = load_plugins([installed("mine", stage("shrink").replace("@hookimpl", ""))])
    assert registry.stages == {} and registry.problems == []


def test_disabled_plugins_are_not_even_imported(installed: Installed) -> None:
    points = [
        installed("mine", "raise RuntimeError"),
        installed("other", stage("shrink")),
        installed("third", "1 / 0"),
    ]
    registry = load_plugins(points, {"COMPRESS_DISABLE_PLUGINS": "mine, third"})
    assert registry.problems == []
    assert [name for name, _, _ in registry.plugins] == ["other"]


def test_disabling_a_plugin_that_is_not_there_is_a_mistake(installed: Installed) -> None:
    points = [installed("mine", stage("shrink"))]
    with pytest.raises(UsageError) as caught:
        load_plugins(points, {"COMPRESS_DISABLE_PLUGINS": "mime, mine,"})
    assert str(caught.value) == (
        "COMPRESS_DISABLE_PLUGINS: there is no plugin 'mime' (did you mean 'mine'?)"
    )


def test_disabling_one_of_two_ends_a_clash(installed: Installed) -> None:
    points = [installed("mine", stage("shrink")), installed("other", stage("shrink"))]
    registry = load_plugins(points, {"COMPRESS_DISABLE_PLUGINS": "other"})
    assert registry.problems == [] and registry.stages["shrink"].distribution == "compress-mine"


def test_installed_plugins_load_without_a_complaint_and_bring_every_kind() -> None:
    registry = load_plugins(environ={})
    assert registry.problems == []
    assert len(registry.plugins) >= 10
    none_of_these = {"commands"}
    assert {kind for kind in KINDS if not registry.of(kind)} == none_of_these
