"""What a stage may ask about its candidates: who measures them, on which split, and which errors
come back to the stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from installing import install

from compress.artifact import Artifact, Manifest, Traits, with_files
from compress.errors import CompressError, ModelRefused, UsageError
from compress.measurement import Measured
from compress.options import Options
from compress.registry.plugins import Registered, Registry, load_plugins
from compress.running.candidates import Candidates
from compress.stage import Candidate, Context, Made, Stage
from compress.store.store import Store
from compress.workers.encoding import decode_message, encode
from compress.workers.jobs import staging
from compress.workers.jobs.loads import Loads
from compress.workers.jobs.probing import _obey, open_probe
from compress.workers.protocol import ApplyStage, Chosen, End, Message, Open, ProbeArtifact
from compress.workers.supervisor import _answered

TOY = Traits("toy", trainable=False, task="text-classification")
TASK = Chosen("text-classification", {"max_length": 16})
NUMBERS = {"quality": 0.9, "latency": 8.0, "size": 1000.0, "nonzero": 1.0, "flips": 0.0}
Tried = Callable[[Callable[[Context[Options]], Mapping[str, Any]]], Mapping[str, Any]]


class Line:
    """The line of a stage's worker, answered by the supervisor's code in this process."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates, self._answer = candidates, ""

    def send(self, message: Any) -> None:
        asked: Any = decode_message(encode(message))
        self._answer = encode(_answered(asked, self._candidates.answer))

    def receive(self) -> Message:
        return decode_message(self._answer)


class Here:
    """A probe without a process."""

    def __init__(self, job: ProbeArtifact, registry: Registry, splits: list[str]) -> None:
        self._probe, self._registry = open_probe(job, registry), registry
        splits.append(self._probe.split)

    def reply(self, expected: type[Message]) -> None:
        pass

    def ask(self, command: Any, reply: type[Message]) -> Message | None:
        if isinstance(command, Open | End):
            return None
        return _obey(command, self._probe, Loads(self._probe, 0.0), self._registry)


@pytest.fixture
def splits() -> list[str]:
    """The split of each probe that was opened."""
    return []


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, splits: list[str]) -> Tried:
    """``tried(apply)``: the notes of a stage whose ``apply`` works on a toy model."""
    install(tmp_path / "site", "compress-stated")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr("compress.workers.jobs.probing.stay_on_cores", lambda count: None)
    registry = load_plugins()
    monkeypatch.setattr(
        "compress.measure.side.started",
        lambda job, *files: nullcontext(Here(job, registry, splits)),
    )
    made = tmp_path / "model"
    write(made, NUMBERS)
    manifest = Manifest(TOY, {}, step="toy.make", stage="toy.make", labels=("bad", "good"))
    with_files(manifest, made).write(made)

    def run(apply: Callable[[Context[Options]], Mapping[str, Any]]) -> Mapping[str, Any]:
        class Try(Stage[Options]):
            name, summary, libraries = "try", "Tries.", ()

            def apply(self, context: Context[Options]) -> Made:
                write(context.output, {**NUMBERS, "size": 1.0})
                return Made(notes=apply(context))

        registry.stages["try"] = Registered("try", Try, "acme", "2")
        job = _job(made, tmp_path)
        staging.run(job, Line(Candidates(job, registry, tmp_path / "log", None)), registry)  # type: ignore[arg-type]
        return Artifact.open(job.output).manifest.notes

    return run


def _job(model: Path, place: Path) -> ApplyStage:
    output, work = place / "output", place / "work"
    output.mkdir()
    work.mkdir()
    return ApplyStage(
        stage="try",
        step="try",
        seed=0,
        options={},
        task=TASK,
        traits=TOY,
        store=Store(place / "store"),
        input=model,
        fresh=None,
        references={},
        data=None,
        output=output,
        work=work,
    )


def write(folder: Path, values: Mapping[str, Any]) -> Path:
    """Write a toy model."""
    from compress_stated.model import write as write_toy

    folder.mkdir(exist_ok=True)
    write_toy(folder, values)
    return folder


def test_candidates_are_measured_by_the_named_meters_and_compared_with_the_first(
    tried: Tried, splits: list[str], tmp_path: Path
) -> None:
    def apply(context: Context[Options]) -> Mapping[str, Any]:
        assert context.input is not None
        small = write(context.work / "small", {**NUMBERS, "latency": 4.0})
        measured = context.measure(
            {"as it is": Candidate(context.input.folder), "small": Candidate(small)},
            meters=("stated",),
        )
        again = context.measure({"small": Candidate(small)}, "test", ["stated"])
        return {
            "names": sorted(measured["small"].measurements),
            "speedup": measured["small"].comparisons["as it is"]["speedup"].value,
            "again": again["small"].measurements["latency_p50"].value,
            "step": Artifact.open(small).manifest.step,
            "none": len(context.measure({})),
        }

    notes = tried(apply)
    assert notes["speedup"] == 2.0 and notes["again"] == 4.0 and notes["none"] == 0
    assert notes["names"] == ["latency_p50", "nonzero", "quality", "size"]
    assert splits == ["validation", "validation", "test"]
    assert Manifest.read(tmp_path / "model").step == "toy.make", "the input is left as it is"


def test_a_candidate_of_another_format_is_opened_in_its_own_engine(
    tried: Tried, tmp_path: Path
) -> None:
    def apply(context: Context[Options]) -> Mapping[str, Any]:
        folder = write(context.work / "other", NUMBERS)
        traits = replace(TOY, format="martian", task=None)
        try:
            context.measure({"other": Candidate(folder, traits=traits)}, meters=("stated",))
        except CompressError as error:
            return {"why": str(error), "task": Manifest.read(folder).traits.task}
        return {}

    notes = tried(apply)
    assert notes == {
        "why": "no installed engine opens martian models",
        "task": "text-classification",
    }


def test_errors_come_back_to_the_stage_which_may_catch_them(tried: Tried) -> None:
    def apply(context: Context[Options]) -> Mapping[str, Any]:
        folder, told = write(context.work / "a", NUMBERS), []
        candidates = {"a": Candidate(folder)}
        for meters, effort in ((("stated", "sized"), "quick"), (("latency_by_length",), "quick")):
            with pytest.raises(UsageError) as caught:
                context.measure(candidates, meters=meters, effort=effort)  # type: ignore[arg-type]
            told.append(str(caught.value))
        with pytest.raises(UsageError, match="return a compress.stage.Made"):
            context.measure({"a": Candidate(folder, made=None)})  # type: ignore[arg-type]
        for ask in (context.measure, context.predict):
            given: Any = candidates if ask == context.measure else candidates["a"]
            with pytest.raises(UsageError, match="there is no split 'valid'"):
                ask(given, split="valid")
        return {"told": told}

    first, second = tried(apply)["told"]
    assert first.startswith("context.measure: there is no meter 'sized' (")
    assert second.startswith("context.measure: the meter latency_by_length does not measure at eff")


def test_a_refusal_of_an_engine_stays_one_for_the_stage(
    tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **more: Any) -> Mapping[str, Measured]:
        raise ModelRefused("too long")

    monkeypatch.setattr("compress.running.candidates.compare", refuse)

    def apply(context: Context[Options]) -> Mapping[str, Any]:
        with pytest.raises(ModelRefused, match="too long"):
            context.measure({"a": Candidate(write(context.work / "a", NUMBERS))})
        return {}

    assert tried(apply) == {}


def test_a_candidate_answers_every_row_alone(
    tried: Tried, splits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answers(
        session: Any, task: Any, processor: Any, rows: Any, features: Any, size: int
    ) -> Any:
        asked.append(size)
        return [{"label": 1}]

    monkeypatch.setattr("compress.workers.jobs.probing.predict", answers)

    def apply(context: Context[Options]) -> Mapping[str, Any]:
        return {"answers": context.predict(Candidate(write(context.work / "a", NUMBERS)))}

    assert tried(apply)["answers"] == [{"label": 1}]
    assert asked == [1] and splits == ["validation"]
