"""Measuring models side by side, and the check of the instrument itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import GIVEN, finish, start, write_place
from tiny import save_bert, task_named

from compress.errors import UsageError
from compress.jobs.probing import Slowed
from compress.measurement import Measured, Measurement
from compress.plugins import load_plugins
from compress.selfcheck import self_check


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a tiny model, its data and a recipe."""
    made = write_place(tmp_path_factory.mktemp("bench"), given=GIVEN)
    save_bert(made / "model", task_named("text-classification"))
    return made


def test_models_are_measured_side_by_side_and_the_first_is_the_reference(place: Path) -> None:
    process = start(place, "bench", "model", "./model/../model", "--data", "given.yaml", "--store", "store",
                    environ={"COMPRESS_DISABLE_PLUGINS": "onnx"})
    done = finish(process, place)
    first, second, *_ = done.report["steps"]
    assert done.report["reference"] == first["name"] and second["against_reference"]["name"] == first["name"]
    assert second["against_reference"]["comparisons"]["speedup"]["value"] > 0
    assert second["against_reference"]["changes"]["size"]["quotient"] == 1.0
    assert done.report["effort"] == "quick" and done.report["seconds"]["measuring"] > 0


@pytest.mark.parametrize(("words", "said"), [
    (["./nothing", "--data", "given.yaml"], "there is no model folder './nothing'"),
    (["model"], "bench needs models and the recipe"),
    (["--self-check", "model"], "takes one model folder with --data RECIPE, or neither"),
    (["--self-check", "--data", "given.yaml"], "takes one model folder with --data RECIPE, or neither")])
def test_what_cannot_be_measured_is_refused_in_a_line(place: Path, words: list[str], said: str) -> None:
    process = start(place, "bench", *words)
    assert process.wait(60) == 2
    output = (place / "output").read_text()
    assert said in output and "Traceback" not in output


def test_a_slowed_session_gives_the_same_later() -> None:
    import time

    class Session:
        inputs = ("x",)

        def run(self, batch: Any) -> Any:
            time.sleep(0.01)
            return {"y": batch["x"]}

    slowed: Any = Slowed(Session(), 0.5)
    start_time = time.perf_counter()
    assert slowed.run({"x": 1}) == {"y": 1} and slowed.inputs == ("x",)
    assert time.perf_counter() - start_time >= 0.015


Compared = Callable[..., dict[str, Measured]]


@pytest.mark.parametrize(("again", "slowed", "ok"), [
    ((1.001, 0.99, 1.01), (0.971, 0.96, 0.98), True), ((1.03, 1.01, 1.05), (0.971, 0.96, 0.98), False),
    ((1.0, 0.99, 1.01), (0.99, 0.97, 1.01), False)])
def test_a_machine_passes_where_the_same_reads_one_and_the_slowed_is_found(
        place: Path, monkeypatch: pytest.MonkeyPatch, again: tuple[float, ...], slowed: tuple[float, ...], ok: bool) -> None:
    from compress import selfcheck
    from compress.api import load_plan, open_store
    from compress.modelfolder import folder_traits

    def compared(subjects: Any, *rest: Any, **more: Any) -> dict[str, Measured]:
        assert [s.slowdown for s in subjects] == [0.0, 0.0, 0.03] and more["timings_only"]
        ratios = {"again": again, "slowed": slowed}
        return {n: Measured({}, {"model": {"speedup": Measurement("speedup", *v[:1], "x", "higher", *v[1:], 9)}})
                for n, v in ratios.items()}

    monkeypatch.setattr(selfcheck, "compare", compared)
    monkeypatch.setattr(selfcheck.Artifact, "open", lambda folder: folder)
    monkeypatch.chdir(place)
    registry = load_plugins()
    assert folder_traits(place / "model", registry).task == "text-classification"
    found = self_check(place / "model", load_plan("given.yaml", (), registry), registry, open_store(place / "store"),
                       place / "runs", lambda event: None)
    assert found["ok"] is ok and found["same"]["speedup"]["value"] == again[0]


@pytest.mark.slow
def test_the_self_check_makes_its_own_model_and_says_how_the_machine_measures(place: Path) -> None:
    process = start(place, "bench", "--self-check", "--store", "store", "--json")
    assert process.wait(600) in (0, 3)
    output = (place / "output").read_text()
    assert '"slowdown": 0.03' in output and '"speedup"' in output


def test_an_unknown_effort_is_refused_with_a_suggestion(place: Path) -> None:
    from compress.api import load_plan

    with pytest.raises(UsageError, match="effort: got 'quik'.*did you mean 'quick'"):
        load_plan(str(place / "given.yaml"), ["benchmark.effort=quik"], load_plugins())
    with pytest.raises(UsageError, match="benchmark has no 'efort'.*did you mean 'effort'"):
        load_plan(str(place / "given.yaml"), ["benchmark.efort=quick"], load_plugins())
