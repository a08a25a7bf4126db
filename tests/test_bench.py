"""Measuring models side by side, and the check of the instrument itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reports import rich_report
from running import GIVEN, finish, start, write_place
from tiny import save_bert, task_named

from compress.cli import main
from compress.errors import EnvironmentFailure, UsageError
from compress.machine import threads
from compress.measurement import Measured, Measurement
from compress.pretrained.families import Families
from compress.registry.plugins import load_plugins
from compress.running.bench import names_of, unfinished_folder
from compress.selfcheck import self_check
from compress.store.files import write_json
from compress.store.runfolder import RunFolder
from compress.workers.jobs.loads import Slowed
from compress.workers.jobs.probing import open_probe
from compress.workers.protocol import Chosen, ProbeArtifact, Subject
from compress.workers.supervisor import worker_environment


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a tiny model, its data and a recipe."""
    made = write_place(tmp_path_factory.mktemp("bench"), given=GIVEN)
    save_bert(made / "model", task_named("text-classification"), num_hidden_layers=2)
    return made


@pytest.mark.slow
def test_models_are_measured_side_by_side_and_the_first_is_the_reference(place: Path) -> None:
    process = start(
        place,
        "bench",
        "model",
        "./model/../model",
        "--data",
        "given.yaml",
        "--store",
        "store",
        environ={"COMPRESS_DISABLE_PLUGINS": "onnx"},
    )
    done = finish(process, place)
    first, second, *_ = done.report["steps"]
    assert (
        done.report["reference"] == first["name"]
        and second["against_reference"]["name"] == first["name"]
    )
    assert second["against_reference"]["comparisons"]["speedup"]["value"] > 0
    assert second["against_reference"]["changes"]["size"]["quotient"] == 1.0
    assert done.report["overrides"] == [] and str(place) not in (
        done.folder / "report.html"
    ).read_text(encoding="utf-8")
    assert done.report["effort"] == "quick" and done.report["seconds"]["measuring"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["./nothing", "--data", "given.yaml"], "there is no model folder './nothing'"),
        (["model"], "bench needs models and the recipe"),
        (["--self-check", "model"], "takes one model folder with --data RECIPE, or neither"),
        (
            ["--self-check", "--data", "given.yaml"],
            "takes one model folder with --data RECIPE, or neither",
        ),
        (
            ["--self-check", "--set", "seed=1"],
            "--set changes the recipe of --data, and --self-check without one",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(
    place: Path,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["compress", "bench", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    output = "".join(capfd.readouterr())
    assert ended.value.code == 2 and said in output and "Traceback" not in output


def test_who_benches_again_gets_new_timings_and_who_was_cut_off_goes_on(tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "bench-x")
    assert unfinished_folder(first) == first
    report = rich_report()
    write_json(first.report, {**report, "state": "running"})
    assert unfinished_folder(first) == first
    write_json(first.report, report)
    second = unfinished_folder(first)
    assert second.root.name == "bench-x-2"
    write_json(second.report, report)
    assert unfinished_folder(first).root.name == "bench-x-3"
    write_json(second.report, {**report, "report_version": 0})
    first.report.write_text("{", encoding="utf-8")
    assert unfinished_folder(first).root.name == "bench-x-3", (
        "what cannot be read is not written over"
    )


def test_models_of_one_name_are_told_apart() -> None:
    assert names_of(["a/model", "b/model", "a/model"]) == ["a-model", "b-model", "a-model-2"]
    assert names_of(["a/one", "b/two"]) == ["one", "two"]
    assert names_of(["x", "x", "x-2"]) == ["x", "x-3", "x-2"]


def test_a_model_in_the_working_directory_is_called_like_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "small"
    (place / "inner").mkdir(parents=True)
    monkeypatch.chdir(place)
    assert names_of(["."]) == names_of(["./"]) == ["small"] and names_of(["inner/..", "x"]) == [
        "small",
        "x",
    ]
    assert names_of([".", "."]) == ["small", "small-2"]


def test_a_machine_on_which_nothing_was_timed_does_not_pass(
    place: Path, monkeypatch: pytest.MonkeyPatch, families: Families
) -> None:
    from compress import selfcheck
    from compress.planning import load_plan
    from compress.store.store import open_store

    monkeypatch.setattr(
        selfcheck,
        "compare",
        lambda *a, **k: {n: Measured({}, {"model": {}}) for n in ("again", "slowed")},
    )
    monkeypatch.setattr(selfcheck, "Artifact", SimpleNamespace(open=lambda folder: folder))
    monkeypatch.chdir(place)
    registry = load_plugins()
    plan = load_plan("given.yaml", (), registry, families)
    with pytest.raises(EnvironmentFailure, match="nothing was timed"):
        self_check(
            place / "model",
            plan,
            registry,
            open_store(place / "store"),
            place / "runs",
            lambda event: None,
        )
    with pytest.raises(UsageError, match="no data to measure on"):
        self_check(
            place / "model",
            replace(plan, data=None),
            registry,
            open_store(place / "store"),
            place / "runs",
            lambda event: None,
        )


@pytest.mark.parametrize(("given", "count"), [("3", 3), ("2,1", 2), (" 4 ", 4)])
def test_the_threads_are_those_of_openmp_where_it_says(given: str, count: int) -> None:
    assert threads({"OMP_NUM_THREADS": given}) == count
    assert worker_environment({"OMP_NUM_THREADS": given})["OMP_NUM_THREADS"] == str(count)


def test_threads_that_are_no_number_are_refused() -> None:
    assert threads({}) == threads({"OMP_NUM_THREADS": ""}) >= 1
    for given in ("0", "two", "-1"):
        with pytest.raises(UsageError, match=f"OMP_NUM_THREADS is '{given}'"):
            threads({"OMP_NUM_THREADS": given})


def test_an_artifact_is_loaded_last_and_when_its_turn_has_come(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = load_plugins()
    entry, happened = registry.engines["torch"], list[str]()

    class Recorded(entry.cls):  # type: ignore[misc, name-defined]
        def start(self) -> None:
            happened.append("start")

        def open(self, *given: Any) -> Any:
            happened.append("open")
            return super().open(*given)

    monkeypatch.setattr(
        "compress.workers.jobs.probing.stay_on_cores", lambda count: None
    )  # this process has other tests to run
    open_probe(
        ProbeArtifact(
            Subject("model", place / "model", Chosen("text-classification", {}), None), "quick"
        ),
        replace(registry, engines={"torch": replace(entry, cls=Recorded)}),
        lambda: happened.append("turn"),
    )
    assert happened == ["start", "turn", "open"]


def test_a_slowed_session_gives_the_same_later() -> None:
    import time

    class Session:
        inputs = ("x",)

        def run(self, batch: Any) -> Any:
            time.sleep(0.01)
            return {"y": batch["x"]}

        def generate(self, batch: Any, limits: Any, on_token: Any = None) -> Any:
            for token in (7, 8):
                time.sleep(0.01)
                on_token(0, token)
            return [[7, 8]]

    slowed: Any = Slowed(Session(), 0.5)
    start_time = time.perf_counter()
    assert slowed.run({"x": 1}) == {"y": 1} and slowed.inputs == ("x",)
    assert time.perf_counter() - start_time >= 0.015
    told = [time.perf_counter()]
    answers = slowed.generate({"x": 1}, None, lambda *_: told.append(time.perf_counter()))
    assert answers == [[7, 8]]
    assert min(after - before for before, after in pairwise(told)) >= 0.015


Compared = Callable[..., dict[str, Measured]]


@pytest.mark.parametrize(
    ("again", "slowed", "ok"),
    [
        ((1.001, 0.99, 1.01), (0.971, 0.96, 0.98), True),
        ((1.03, 1.01, 1.05), (0.971, 0.96, 0.98), False),
        ((1.0, 0.97, 1.03), (0.971, 0.96, 0.98), False),
        ((1.001, 0.99, 1.01), (0.9, 0.89, 0.91), False),
        ((1.0, 0.99, 1.01), (0.99, 0.97, 1.01), False),
    ],
)
def test_a_machine_passes_where_the_same_reads_one_and_the_slowed_is_found(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    families: Families,
    again: tuple[float, ...],
    slowed: tuple[float, ...],
    ok: bool,
) -> None:
    from compress import selfcheck
    from compress.planning import load_plan
    from compress.pretrained.modelfolder import folder_traits
    from compress.store.store import open_store

    def compared(subjects: Any, *rest: Any, **more: Any) -> dict[str, Measured]:
        assert [s.slowdown for s in subjects] == [0.0, 0.0, 0.03] and more["timings_only"]
        ratios = {"again": again, "slowed": slowed}
        return {
            n: Measured(
                {}, {"model": {"speedup": Measurement("speedup", *v[:1], "x", "higher", *v[1:], 9)}}
            )
            for n, v in ratios.items()
        }

    monkeypatch.setattr(selfcheck, "compare", compared)
    monkeypatch.setattr(selfcheck, "Artifact", SimpleNamespace(open=lambda folder: folder))
    monkeypatch.chdir(place)
    registry = load_plugins()
    assert folder_traits(place / "model", registry).task == "text-classification"
    found = self_check(
        place / "model",
        load_plan("given.yaml", (), registry, families),
        registry,
        open_store(place / "store"),
        place / "runs",
        lambda event: None,
    )
    assert found.ok is ok and found.same["speedup"].value == again[0]


@pytest.mark.slow
def test_the_self_check_makes_its_own_model_and_says_how_the_machine_measures(place: Path) -> None:
    process = start(place, "bench", "--self-check", "--store", "store", "--json")
    assert process.wait(600) in (0, 3)
    output = (place / "output").read_text()
    assert '"slowdown": 0.03' in output and '"speedup"' in output


def test_an_unknown_effort_is_refused_with_a_suggestion(place: Path, families: Families) -> None:
    from compress.planning import load_plan

    with pytest.raises(UsageError, match="effort: got 'quik'.*did you mean 'quick'"):
        load_plan(str(place / "given.yaml"), ["benchmark.effort=quik"], load_plugins(), families)
    with pytest.raises(UsageError, match="benchmark has no 'efort'.*did you mean 'effort'"):
        load_plan(str(place / "given.yaml"), ["benchmark.efort=quick"], load_plugins(), families)
