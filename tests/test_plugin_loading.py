"""Loading plugins: the message for each kind of bad plugin, and that the others still work."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from compress.errors import UsageError
from compress.registry.plugins import KINDS, load_plugins

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
            installed("third", stage("shrink.mine")),
        ]
    )
    assert [problem.count("\n") for problem in registry.problems] == [0, 0]
    assert (
        "RuntimeError: first line" in registry.problems[0] and "SyntaxError" in registry.problems[1]
    )
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
        "plugin 'mine' of compress-mine 1.2: there is no hook 'compress_stage' "
        "(did you mean 'compress_stages'?)"
    ]
    assert registry.stages == {}


def test_plugin_with_one_misspelt_hook_is_left_out_whole(installed: Installed) -> None:
    """Half a plugin would be a surprise that is found late."""
    more = "\n@hookimpl\ndef compress_metres():\n    return []\n"
    registry = load_plugins(
        [installed("mine", stage("shrink") + more), installed("other", stage("shrink.other"))]
    )
    (problem,) = registry.problems
    assert "no hook 'compress_metres' (did you mean 'compress_meters'?)" in problem
    assert list(registry.stages) == ["shrink.other"]


def test_hook_with_arguments_that_it_does_not_have_is_one_line(installed: Installed) -> None:
    points = [
        installed(
            "mine", stage("shrink").replace("compress_stages()", "compress_stages(settings)")
        ),
        installed("other", stage("shrink.other")),
    ]
    registry = load_plugins(points)
    (problem,) = registry.problems
    assert problem.startswith(
        "plugin 'mine' of compress-mine 1.2 is refused: PluginValidationError"
    )
    assert list(registry.stages) == ["shrink.other"]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("[object]", "AttributeError: type object 'object' has no attribute 'name'"),
        ("3", "TypeError"),
        ("1 / 0", "ZeroDivisionError"),
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
    assert (
        problem.startswith("plugin 'mine' of compress-mine 1.2: compress_tasks failed: ")
        and words in problem
    )
    assert list(registry.stages) == ["shrink"]


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
    assert all(registry.of(kind) for kind in KINDS)
