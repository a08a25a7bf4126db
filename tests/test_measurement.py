"""Measurements: numbers that JSON can hold, or absent with the reason; and how the sides of a
sitting begin each block."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compress.errors import IntegrityError
from compress.machine import TimingEnvironment
from compress.measure import Subject, compare, measure
from compress.measure.guarded import GuardedMeter, Taken
from compress.measure.reuse import (
    MeasurementFile,
    MeasuringConditions,
    conditions_of,
    copy_unless_equal,
    read_reusable,
)
from compress.measure.summary import summarise
from compress.measure.turns import take_turns
from compress.measurement import Measured, Measurement, finite
from compress.meter import Effort, Meter, Probe, Rounds, Sample
from compress.registry.plugins import Registered, Registry
from compress.store.files import read_sealed, write_sealed
from compress.task import Task
from compress.workers.protocol import (
    Chosen,
    Command,
    End,
    Message,
    Open,
    PrepareMeter,
    ProbeArtifact,
    Sampled,
    Started,
    TakeSample,
    UseLoad,
)

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("value", [NAN, INFINITE, -INFINITE])
def test_a_value_that_is_not_finite_is_absent_with_the_reason(value: float) -> None:
    found = finite(Measurement("loss", value, "", "lower", 0.1, 0.2, title="loss", worst=value))
    assert (found.value, found.absent) == (None, f"its value is {value}")
    assert (found.name, found.direction, found.title, found.low, found.worst) == (
        "loss",
        "lower",
        "loss",
        None,
        None,
    )


def test_what_is_not_finite_beside_a_value_is_left_out() -> None:
    detail: dict[str, Any] = {
        "tables": {"by class": {"PER": {"f1": NAN, "support": 3}}},
        "curve": {"axis": "tokens", "points": [[8, 1.0, 0.9, INFINITE]]},
    }
    found = finite(
        Measurement(
            "quality",
            0.5,
            "",
            "higher",
            0.4,
            NAN,
            9,
            {"metric": "f1"},
            worst=-INFINITE,
            detail=detail,
        )
    )
    assert (found.value, found.low, found.high, found.worst, found.n) == (0.5, 0.4, None, None, 9)
    assert found.detail == {
        "tables": {"by class": {"PER": {"f1": None, "support": 3}}},
        "curve": {"axis": "tokens", "points": [[8, 1.0, 0.9, None]]},
    }
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_finite_measurement_stays_as_it_is() -> None:
    m = Measurement(
        "size", 3.0, "bytes", "lower", detail={"files": {"a": 1}}, conditions={"length": 8}
    )
    assert finite(m) == m


def guarded(cls: type[Meter]) -> GuardedMeter:
    """A meter of the plugin ``mine 1``."""
    return GuardedMeter(Registered(cls.name, cls, "mine", "1"))


@pytest.mark.parametrize(("fresh", "starts", "loads"), [(False, 2, 6), (True, 6, 0)])
def test_a_block_begins_with_a_load_of_its_own_or_in_other_processes(
    fresh: bool, starts: int, loads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[type[Message]] = []
    begun: list[Path] = []

    class Side:
        process = SimpleNamespace(pid=os.getpid())

        def ask(self, command: Command, reply: type[Message]) -> Sampled:
            asked.append(type(command))
            return Sampled({"nanoseconds": [1.0]})

        def reply(self, expected: type[Message]) -> None:
            asked.append(expected)

    class Turns(Meter):
        name, summary, takes_turns = "turns", "Turns.", True

        def rounds(self, effort: Effort) -> Rounds:
            return Rounds(6, 6, block=2, fresh=fresh)

        def sample(self, probe: Probe) -> Sample:
            raise NotImplementedError

        def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
            return [Measurement("blocks", samples[-1]["block"] + 1, "", "neither", n=len(samples))]

    @contextmanager
    def started(job: ProbeArtifact, *files: Path) -> Iterator[Side]:
        begun.append(job.subject.folder)
        yield Side()

    monkeypatch.setattr("compress.measure.side.started", started)
    registry: Any = SimpleNamespace(
        meters={"turns": Registered("turns", Turns, "mine", "1")},
        tasks={"t": SimpleNamespace(cls=Task)},
    )
    first = Subject("a", tmp_path / "a", Chosen("t", {}), None, compared=("b",))
    second = Subject("b", tmp_path / "b", Chosen("t", {}), None)
    found = measure([first], [second], registry, tmp_path)["a"].measurements["blocks"]
    assert (found.value, found.n) == (3, 6)
    assert (len(begun), asked.count(UseLoad)) == (starts, loads)
    assert (
        asked.count(TakeSample) == 12
        and asked.count(PrepareMeter) == 6
        and asked.count(End) == starts
    )
    assert asked[:4] == [Started, Started, Open, Open], "all start together, then each loads alone"
    assert asked.count(Open) == starts


@pytest.mark.parametrize(("width", "turns"), [(0.01, 2), (0.1, 5), (math.nan, 5)])
def test_turns_end_when_the_comparison_is_narrow_and_a_width_that_is_no_number_is_not(
    width: float, turns: int
) -> None:
    class Wide(Meter):
        name, summary, takes_turns = "wide", "Wide.", True

        def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
            return width

        def sample(self, probe: Probe) -> Sample:
            raise NotImplementedError

        def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
            return []

    sides: Any = SimpleNamespace(prepare=lambda *_: None, sample=lambda *_: {})
    rounds = Rounds(2, 5, width=0.02, seconds=60)
    taken = take_turns(guarded(Wide), rounds, sides, ["a", "b"], {"a": ["b"]})
    assert [len(samples) for samples in taken.samples.values()] == [turns, turns]


@pytest.mark.parametrize(
    ("rounds", "turns"),
    [
        (Rounds(9, 12, seconds=60, ceiling=0.0), 2),
        (Rounds(9, 12, seconds=60, ceiling=0.0, block=2), 4),
        (Rounds(3, 12, seconds=60, ceiling=0.0, block=2), 3),
        (Rounds(9, 12, seconds=60, ceiling=60.0), 12),
    ],
)
def test_a_meter_that_takes_too_long_ends_with_the_fewest_rounds(
    rounds: Rounds, turns: int
) -> None:
    class Slow(Meter):
        name, summary, takes_turns = "slow", "Slow.", True

        def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
            return 1.0 if len(samples) != 3 else 0.0

        def sample(self, probe: Probe) -> Sample:
            raise NotImplementedError

        def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
            return []

    sides: Any = SimpleNamespace(
        prepare=lambda *_: None, sample=lambda *_: {}, use_load=lambda *_: None
    )
    taken = take_turns(guarded(Slow), rounds, sides, ["a", "b"], {"a": ["b"]})
    assert [len(samples) for samples in taken.samples.values()] == [turns, turns]


HERE = TimingEnvironment(processor="cpu", gpus=[], threads=2, versions={})
TRIED = MeasuringConditions("quick", "a", {}, None, HERE, "tasks 1", {}, {}, {})


@pytest.mark.parametrize(
    ("held", "kept"),
    [
        (replace(TRIED, others={"reference": "r"}), True),
        ("{", False),
        (None, False),
        (replace(TRIED, artifact="b"), False),
        (replace(TRIED, effort="standard"), False),
    ],
)
def test_a_try_s_measurements_are_copied_unless_more_is_known_of_the_same(
    held: MeasuringConditions | str | None, kept: bool, tmp_path: Path
) -> None:
    tried, step = tmp_path / "step@try-1.json", tmp_path / "step.json"
    MeasurementFile(TRIED, Measured({})).write(tried)
    if isinstance(held, str):
        step.write_text(held, encoding="utf-8")
    elif held is not None:
        MeasurementFile(held, Measured({})).write(step)
    before = step.read_bytes() if held is not None else b""
    copy_unless_equal(tried, step)
    assert step.read_bytes() == (before if kept else tried.read_bytes())


def test_a_file_whose_others_are_no_object_is_not_used(tmp_path: Path, registry: Registry) -> None:
    conditions, file = conditions_of("a", {}, None, "task 1", "quick", registry), tmp_path / "m"
    MeasurementFile(conditions, Measured({})).write(file)
    assert read_reusable(file, conditions) is not None
    values = read_sealed(file)
    values["of"]["others"] = None
    write_sealed(file, values)
    with pytest.raises(IntegrityError, match="is not a run's file of measurements"):
        read_reusable(file, conditions)


def test_measurements_of_a_model_whose_scores_are_no_numbers_are_kept(tmp_path: Path) -> None:
    kept = {"quality": [{"scores": [math.nan, 1], "mean": math.inf, "by row": {10: 1, 9: 2}}]}
    file = tmp_path / "m.json"
    MeasurementFile(TRIED, Measured({}, {}, kept)).write(file)
    found = MeasurementFile.read(file)
    assert found is not None and math.isnan(found.measured.kept["quality"][0]["scores"][0])


def test_no_bit_of_a_file_of_measurements_can_flip_unnoticed(tmp_path: Path) -> None:
    """A flip is noticed, or it changes nothing that is read, such as a space to a line feed."""
    m = Measurement("quality", 0.875, "share", "higher", 0.85, 0.9, 40, {"metric": "f1"})
    kept = {"quality": [{"right": [1, 0, 1], "text": "é"}]}
    file, written = tmp_path / "m.json", MeasurementFile(TRIED, Measured({"quality": m}, {}, kept))
    written.write(file)
    content, noticed = file.read_bytes(), 0
    for place in range(0, len(content), 3):
        for bit in (1 << place % 8, 1 << (place + 3) % 8):
            flipped = bytearray(content)
            flipped[place] ^= bit
            file.write_bytes(flipped)
            try:
                assert MeasurementFile.read(file) == written
            except IntegrityError:
                noticed += 1
    assert noticed > len(content) / 3


def test_no_candidates_have_no_measurements(tmp_path: Path, registry: Registry) -> None:
    assert compare([], registry, tmp_path) == {}


def test_what_disturbs_timings_is_said_of_them_and_of_nothing_else() -> None:
    class Timing(Meter):
        name, summary, takes_turns, keeps = "timing", "Timing.", True, False

        def sample(self, probe: Probe) -> Sample:
            raise NotImplementedError

        def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
            return [Measurement(f"{self.name} of it", 1.0, "ms", "lower")]

        def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
            return [Measurement(f"{self.name} ratio", 2.0, "x", "higher")]

    class Size(Timing):
        name, takes_turns = "size", False

    subject = Subject("a", Path("a"), Chosen("t", {}), None, compared=("b",))
    samples = {"timing": Taken({"a": [{}], "b": [{}]}), "size": Taken({"a": [{}]})}
    for text in ("", "other programs kept 1.5 of 2 cores busy"):
        found = summarise([guarded(Timing), guarded(Size)], samples, subject, {}, text)
        expected = {"machine": text} if text else {}
        assert found.measurements["timing of it"].conditions == expected
        assert found.comparisons["b"]["timing ratio"].conditions == expected
        assert found.measurements["size of it"].conditions == {}
        assert Measured.from_dict(json.loads(json.dumps(found.as_dict()))) == found
