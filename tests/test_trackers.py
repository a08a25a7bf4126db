"""Trackers are told everything and never needed: one that fails is dropped, and the run goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from installing import install
from running import run, start_run

from compress.errors import EnvironmentFailure, UsageError
from compress.registry.plugins import Registered, Registry
from compress.running.tracking import Tracking, open_trackers
from compress.tracker import Event, Tracker

Place = tuple[Path, Mapping[str, str]]


@pytest.fixture
def place(tmp_path: Path, fake_model: Callable[..., Path], csv_data: Path) -> Place:
    """A place with a recipe of two steps of which the second can be made to fail, and an
    environment with the tracker."""
    fake_model()
    stages = (
        "  - toy.nudge: {by: 1.0, seconds: 0.3}\n    name: a\n"
        f"  - toy.nudge: {{switch: {tmp_path}/switch}}\n    name: b\n"
    )
    head = (
        "task: text-classification\nmodel: ./model\n"
        "data: {train: train.csv, test: test.csv}\nstages:\n"
    )
    (tmp_path / "toy.yaml").write_text(head + stages, encoding="utf-8")
    environ = install(tmp_path / "site", "compress-toy", "compress-lines", without="meters,onnx")
    return tmp_path, environ


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in (folder / "lines").read_text(encoding="utf-8").splitlines()
    ]


def test_a_tracker_is_told_every_event_with_progress_and_gets_the_report(place: Place) -> None:
    found = run(place[0], "toy.yaml", "--track", "lines", environ=place[1])
    first, *events, last = lines(found.folder)
    assert first == {"started": "toy"} and last == {"finished": found.report}
    assert [e for e in events if e["event"] not in ("progress", "phase")] == found.events
    phases = [e["text"] for e in events if e["event"] == "phase" and e["seconds"] is None]
    assert phases == ["preparing the data for text-classification", "importing model"]
    told = [e for e in events if e["event"] == "progress"]
    assert told and all({"step", "done", "total", "values"} <= e.keys() for e in told)
    assert "lines: lines in runs/" in found.output


@pytest.mark.slow  # without a whole run it is tested below
@pytest.mark.parametrize("at", ["start", "step_started", "finish"])
def test_a_tracker_that_fails_is_one_line_and_the_run_goes_on(at: str, place: Place) -> None:
    found = run(place[0], "toy.yaml", "--track", "lines", environ={**place[1], "FAIL_AT": at})
    assert (
        found.output.count(f"tracker lines failed and is left out: ConnectionError: no {at}\n") == 1
    )
    assert "and more" not in found.output and "Traceback" not in found.output
    assert found.report["state"] == "finished" and len(found.report["steps"]) == 3


@pytest.mark.slow
def test_a_run_that_fails_hands_over_what_it_earned(place: Place) -> None:
    (place[0] / "switch").write_text("error", encoding="utf-8")
    found = run(place[0], "toy.yaml", "--track", "lines", environ=place[1], code=1)
    last = lines(found.folder)[-1]["finished"]
    assert last["state"] == "failed" and [s["name"] for s in last["steps"]] == ["model", "a"]
    assert "error: the switch is on" in found.output


def test_unknown_and_missing_trackers_are_refused_before_the_run_starts(place: Place) -> None:
    unknown = start_run(place[0], "toy.yaml", "--track", "line", environ=place[1])
    unknown.wait()
    assert unknown.returncode == 2
    assert (
        "error: there is no tracker 'line' (did you mean 'lines'?)"
        in (place[0] / "output").read_text()
    )
    missing = start_run(place[0], "toy.yaml", "--track", "absent", environ=place[1])
    missing.wait()
    assert missing.returncode == 3
    assert (
        "error: tracker absent needs the package 'a_package_that_is_not_there': install "
        "compress-lines[absent]" in (place[0] / "output").read_text()
    )
    assert not (place[0] / "runs").exists()


class Fake(Tracker):
    """Keeps what it is told."""

    name, summary = "fake", "Keeps what it is told."
    broken = False

    def __init__(self) -> None:
        self.told: list[Any] = []

    def start(self, folder: Path, name: str) -> str:
        self.told.append((folder, name))
        return "here"

    def event(self, event: Event) -> None:
        if self.broken:
            raise ZeroDivisionError
        self.told.append(event)

    def finish(self, report: Mapping[str, Any]) -> None:
        self.told.append(report)


class Broken(Fake):
    """Fails at the first event."""

    name, broken = "broken", True


def test_tracker_named_twice_logs_once() -> None:
    registry = Registry(trackers={"fake": Registered("fake", Fake, "d", "1")})
    assert [type(tracker) for tracker in open_trackers(["fake", "fake"], registry)] == [Fake]


def test_one_broken_tracker_does_not_disturb_the_others_or_the_listener(tmp_path: Path) -> None:
    good, bad, heard = Fake(), Broken(), list[dict[str, Any]]()
    tracking = Tracking([bad, good], heard.append)
    tracking.start(tmp_path / "run", "r")
    tracking.event({"event": "one"})
    tracking.event({"event": "two"})
    tracking.finish({"state": "finished"})
    assert good.told == [
        (tmp_path / "run", "r"),
        {"event": "one"},
        {"event": "two"},
        {"state": "finished"},
    ]
    assert bad.told == [(tmp_path / "run", "r")]
    assert [e.get("text") or e["event"] for e in heard] == [
        "broken: here",
        "fake: here",
        "one",
        "warning: tracker broken failed and is left out: ZeroDivisionError: ",
        "two",
    ]


def test_a_failure_of_the_listener_is_no_trackers() -> None:
    """An interrupt or a bug while an event is shown must not be taken for a tracker's."""

    def listen(event: dict[str, Any]) -> None:
        raise KeyError("shown")

    with pytest.raises(KeyError):
        Tracking([Fake()], listen).event({"event": "one"})


def test_a_name_that_two_distributions_claim_is_told_with_both() -> None:
    clash = "tracker 'fake' is registered by a 1 and b 2; uninstall or disable one of them"
    with pytest.raises(UsageError, match="a 1 and b 2"):
        open_trackers(["fake"], Registry(clashes={("trackers", "fake"): clash}))


def test_all_unknown_trackers_are_told_at_once() -> None:
    with pytest.raises(UsageError, match=r"no tracker 'one'[^\n]*\nthere is no tracker 'two'"):
        open_trackers(["one", "two"], Registry())


def test_a_folder_that_bears_the_packages_name_is_not_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wants(Fake):
        packages, extra = ("logs_of_mine",), "more"

    (tmp_path / "logs_of_mine").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EnvironmentFailure, match=r"install d\[more\]"):
        open_trackers(["fake"], Registry(trackers={"fake": Registered("fake", Wants, "d", "1")}))


def test_the_trackers_that_come_along_are_registered(registry: Registry) -> None:
    assert {"tensorboard", "mlflow"} <= registry.trackers.keys()


class Hanging(Fake):
    """Hangs in one of its calls until the test is over."""

    name = "hanging"

    def __init__(self, at: str, over: threading.Event) -> None:
        super().__init__()
        self.at, self.over = at, over

    def start(self, folder: Path, name: str) -> str:
        self.hang("start")
        return super().start(folder, name)

    def event(self, event: Event) -> None:
        self.hang(event["event"])
        super().event(event)

    def finish(self, report: Mapping[str, Any]) -> None:
        self.hang("finish")
        super().finish(report)

    def hang(self, at: str) -> None:
        if at == self.at:
            self.over.wait(60)


@pytest.fixture
def over() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def whole_run(tracking: Tracking, folder: Path) -> float:
    """The seconds that the trackers held a run of a few events."""
    start = time.monotonic()
    tracking.start(folder, "r")
    for kind in ("one", "progress", "progress", "two", "three"):
        tracking.event({"event": kind})
    tracking.finish({"state": "finished"})
    return time.monotonic() - start


@pytest.mark.parametrize("at", ["start", "one", "progress", "three", "finish"])
def test_a_tracker_that_hangs_is_told_of_once_and_the_run_goes_on(
    at: str, tmp_path: Path, over: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.running.tracking.PATIENCE_SECONDS", 0.2)
    good, heard = Fake(), list[dict[str, Any]]()
    assert whole_run(Tracking([Hanging(at, over), good], heard.append), tmp_path / "run") < 2
    assert len(good.told) == 7, "the other tracker is told everything"
    warnings = [e["text"] for e in heard if "hanging has not answered" in e.get("text", "")]
    assert len(warnings) == 1


def test_a_tracker_that_is_slow_every_time_holds_a_run_no_longer_than_one_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.running.tracking.PATIENCE_SECONDS", 0.5)

    class Slow(Fake):
        def event(self, event: Event) -> None:
            time.sleep(0.3)
            super().event(event)

    slow, heard = Slow(), list[dict[str, Any]]()
    tracking = Tracking([slow], heard.append)
    tracking.start(tmp_path / "run", "r")
    start = time.monotonic()
    for _ in range(20):
        tracking.event({"event": "note"})
    assert time.monotonic() - start < 2
    tracking.finish({"state": "finished"})
    assert time.monotonic() - start < 3


def test_a_tracker_that_ends_its_thread_is_a_failure_like_another(tmp_path: Path) -> None:
    class Leaving(Fake):
        def event(self, event: Event) -> None:
            raise SystemExit(3)

    heard = list[dict[str, Any]]()
    assert whole_run(Tracking([Leaving()], heard.append), tmp_path / "run") < 5
    assert [e["text"] for e in heard if "text" in e][1:] == [
        "warning: tracker fake failed and is left out: SystemExit: 3"
    ]
