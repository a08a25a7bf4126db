"""A meter that fails costs its own figures, with the reason, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from compress.errors import ModelRefused, UsageError
from compress.measure.guarded import GuardedMeter, MeterFailed, Taken
from compress.measure.instrument import _taken
from compress.measure.summary import summarise
from compress.measure.turns import take_turns
from compress.measurement import Measured, Measurement
from compress.meter import Effort, Meter, Probe, Rounds, Sample
from compress.registry.plugins import Registered, Registry
from compress.task import Task
from compress.workers.jobs.loads import Loads
from compress.workers.jobs.probing import _obey
from compress.workers.protocol import Chosen, PrepareMeter, Sampled, Subject, TakeSample


class Sound(Meter):
    """Counts its samples."""

    name, summary, takes_turns, keeps = "sound", "Counts.", True, True

    def sample(self, probe: Probe) -> Sample:
        return {"n": 1}

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        return [Measurement("n", len(samples), "", "neither")]

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        return [Measurement("ratio", len(samples) / len(others), "x", "higher")]


def guarded(cls: type[Meter]) -> GuardedMeter:
    return GuardedMeter(Registered(cls.name, cls, "acme", "2"))


def subject(name: str = "a", *compared: str) -> Subject:
    return Subject(name, Path(name), Chosen("t", {}), None, compared=compared)


class FakeSides:
    """Sides whose meter ``failing`` fails on the side b, from the sample ``at`` on."""

    def __init__(self, failing: str = "", at: int = 0) -> None:
        self._failing, self._at, self._taken = failing, at, 0

    def prepare(self, name: str, meter: str) -> None:
        if name == "b" and self._failing == "prepare":
            raise MeterFailed("prepare failed")

    def sample(self, name: str, meter: str) -> Sample:
        if name == "b":
            self._taken += 1
            if self._failing == "sample" and self._taken > self._at:
                raise MeterFailed("sample failed")
        return {"n": 1}


@pytest.mark.parametrize(("failing", "at"), [("prepare", 0), ("sample", 0), ("sample", 2)])
def test_a_side_on_which_a_meter_fails_takes_no_more_turns_and_the_others_go_on(
    failing: str, at: int
) -> None:
    sides: Any = FakeSides(failing, at)
    taken = take_turns(guarded(Sound), Rounds(3, 3), sides, ["a", "b", "c"], {"b": ["a"]})
    assert {side: len(samples) for side, samples in taken.samples.items()} == {"a": 3, "c": 3}
    assert taken.failures == {"b": f"{failing} failed"}
    found = summarise([guarded(Sound)], {"sound": taken}, subject("b", "a"), {})
    assert found.measurements["sound"].absent == f"{failing} failed"
    assert (found.comparisons, found.kept) == ({"a": {}}, {"sound": []})
    whole = summarise([guarded(Sound)], {"sound": taken}, subject("a", "b", "c"), {})
    assert whole.measurements["n"].value == 3
    assert whole.comparisons["b"] == {} and whole.comparisons["c"]["ratio"].value == 1


def test_a_meter_that_cannot_tell_how_wide_an_interval_is_fails_on_both_sides() -> None:
    class Wild(Sound):
        def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
            raise KeyError("n")

    sides: Any = FakeSides()
    taken = take_turns(guarded(Wild), Rounds(1, 5, seconds=9), sides, ["a", "b"], {"a": ["b"]})
    assert taken.failures["a"] == "half_width of the meter sound (acme 2) failed: KeyError: 'n'"
    assert set(taken.failures) == {"a", "b"} and taken.samples == {}


class BadSummary(Sound):
    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        raise ValueError("no\nsecond line")


class NoMeasurements(Sound):
    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        return [3.5]  # type: ignore[list-item]


class Unwritable(Sound):
    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        return [Measurement("n", 1, "", "neither", detail={"array": np.zeros(2)})]


class Told(Sound):
    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        raise UsageError("install the package wattmeter")


@pytest.mark.parametrize(
    ("meter", "why"),
    [
        (BadSummary, "ValueError: no"),
        (NoMeasurements, "TypeError: float is no Measurement"),
        (Unwritable, "TypeError: Object of type ndarray is not JSON serializable"),
        (Told, "install the package wattmeter"),
    ],
)
def test_a_summary_that_fails_is_an_absent_figure(meter: type[Meter], why: str) -> None:
    class Second(Sound):
        name = "second"

        def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
            return []

    taken = Taken({"a": [{}], "b": [{}]})
    samples = {"sound": taken, "second": taken}
    found = summarise([guarded(meter), guarded(Second)], samples, subject("a", "b"), {})
    assert found.measurements["sound"].absent == (
        f"summarise of the meter sound (acme 2) failed: {why}"
    )
    assert found.measurements["n"].value == 1
    assert found.comparisons["b"]["ratio"].value == 1


def test_a_comparison_that_fails_is_an_absent_figure() -> None:
    class BadCompare(Sound):
        def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
            return [Measurement("ratio", 1 / 0, "x", "higher")]

        def inherit(self, own: Sequence[Measurement], parent: Any, name: str) -> list[Measurement]:
            raise LookupError(name)

    taken = {"sound": Taken({"a": [{}], "b": [{}]})}
    side = Subject("a", Path("a"), Chosen("t", {}), None, compared=("b",), parent="b")
    found = summarise([guarded(BadCompare)], taken, side, {"b": Measured({})})
    (ratio,) = found.comparisons["b"].values()
    assert ratio.absent == (
        "compare of the meter sound (acme 2) failed: ZeroDivisionError: division by zero"
    )
    assert found.measurements["n"].value == 1
    assert "inherit of the meter sound" in found.measurements["sound"].absent


class InProbe(Sound):
    name, summary = "probe", "Fails as asked."

    def prepare(self, probe: Probe) -> None:
        probe.state["prepare"]()

    def sample(self, probe: Probe) -> Sample:
        sample: Sample = probe.state["sample"]()
        return sample


OPENED = {"session": None, "placement": SimpleNamespace(device="cuda")}
"""What a probe has that opened a model."""


def raising(error: Exception) -> Any:
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (raising(RuntimeError("the session is gone")), "RuntimeError: the session is gone"),
        (lambda: [1], "TypeError: it returned list, not a dict"),
        (lambda: None, "TypeError: it returned NoneType, not a dict"),
        (
            lambda: {"n": np.zeros(1)},
            "TypeError: Object of type ndarray is not JSON serializable",
        ),
    ],
)
def test_the_measuring_process_outlives_a_meter_that_fails(
    sample: Any, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry(meters={"probe": Registered("probe", InProbe, "acme", "2")})
    state = {"sample": sample, "prepare": raising(OSError("cold"))}
    probe: Any = SimpleNamespace(state=state, **OPENED)
    taken = _obey(TakeSample("probe"), probe, Loads(probe, 0.0), registry)
    assert isinstance(taken, Sampled) and taken.sample == {}
    assert taken.failure == f"sample of the meter probe (acme 2) failed: {why}"
    prepared: Any = _obey(PrepareMeter("probe"), probe, Loads(probe, 0.0), registry)
    assert prepared.failure == "prepare of the meter probe (acme 2) failed: OSError: cold"
    assert "Traceback" in capsys.readouterr().err, "the log has it"


def test_an_engine_that_refuses_the_model_is_no_failure_of_the_meter() -> None:
    registry = Registry(meters={"probe": Registered("probe", InProbe, "acme", "2")})
    probe: Any = SimpleNamespace(state={"sample": raising(ModelRefused("too long"))}, **OPENED)
    with pytest.raises(ModelRefused, match="too long"):
        _obey(TakeSample("probe"), probe, Loads(probe, 0.0), registry)


def test_a_meter_that_cannot_say_its_rounds_is_absent() -> None:
    class Roundless(Sound):
        def rounds(self, effort: Effort) -> Rounds:
            raise NotImplementedError(effort)

    taken = _taken(guarded(Roundless), Task, "quick", Any, ["a"], {})
    assert taken.failures["a"].startswith("rounds of the meter sound (acme 2) failed: ")


def test_a_meter_that_cannot_be_made_is_absent() -> None:
    class Unmade(Sound):
        def __init__(self) -> None:
            raise OSError("no sensor")

    taken = _taken(guarded(Unmade), Task, "quick", Any, ["a"], {})
    assert taken.failures["a"] == "measures of the meter sound (acme 2) failed: OSError: no sensor"
    found = summarise([guarded(Unmade)], {"sound": taken}, subject(), {})
    assert found.measurements["sound"].absent == taken.failures["a"]


def test_a_name_that_two_meters_give_is_absent_and_no_figure_of_either() -> None:
    class Louder(Sound):
        name = "louder"

        def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
            return [Measurement("n", 99, "", "neither"), Measurement("loud", 3, "", "neither")]

    taken = Taken({"a": [{}], "b": [{}]})
    samples = {"sound": taken, "louder": taken}
    found = summarise([guarded(Sound), guarded(Louder)], samples, subject("a", "b"), {})
    why = "the meters sound (acme 2), louder (acme 2) give this name: rename one"
    assert found.measurements["n"].absent == why
    assert found.comparisons["b"]["ratio"].absent == why
    assert found.measurements["loud"].value == 3


def test_a_meter_without_anything_to_measure_is_silent() -> None:
    class Elsewhere(Sound):
        @classmethod
        def measures(cls, task: type[Task[Any]]) -> bool:
            return False

    meter: Any = guarded(Elsewhere)
    taken = _taken(meter, Task, "quick", Any, ["a"], {})
    assert taken == Taken({})
    assert summarise([meter], {"sound": taken}, subject(), {}).measurements == {}
