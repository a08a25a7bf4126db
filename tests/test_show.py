"""What a run says while it goes on: bars with a remaining time on a terminal, few plain lines
elsewhere, JSON by itself."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rich.console
from commands import Command
from installing import install

from compress.cli import show
from compress.cli.show import Show

CODE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)[0-8](?:;[\d;]*)?m")
STEP = {"event": "step_started", "index": 2, "of": 5, "step": "teacher", "stage": "finetune"}


class Terminal(io.StringIO):
    """A standard error that says of itself that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(rich.console, "monotonic", made)
    monkeypatch.setattr(show, "time", SimpleNamespace(monotonic=made))
    return made


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Callable[..., io.StringIO]:
    """``stderr(terminal=True)`` stands in for the process's from now on."""

    def place(*, terminal: bool, **environ: str) -> io.StringIO:
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": "120", **environ}.items():
            monkeypatch.setenv(name, value)
        stream = Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return place


def progress(
    done: int, total: int = 100, step: str = "teacher", text: str = "", **values: float
) -> Mapping[str, Any]:
    return {
        "event": "progress",
        "step": step,
        "text": text,
        "done": done,
        "total": total,
        "values": values,
    }


def last_frame(stream: io.StringIO) -> str:
    """The bar as it was drawn last."""
    return [line for line in CODE.sub("", stream.getvalue()).splitlines() if "%" in line][-1]


def test_a_terminal_shows_how_far_a_step_is_and_how_long_it_still_takes(
    clock: Clock, stderr: Callable[..., io.StringIO]
) -> None:
    stream = stderr(terminal=True)
    with Show() as shown:
        shown.event(STEP)
        for done in (0, 10, 25):  # the last fifteen in 20 seconds, so that the other 75 take 100
            shown.event(progress(done, loss=0.12345, f1=0.5))
            clock.now += 20
    text = CODE.sub("", stream.getvalue())
    assert "[2/5] teacher (finetune)" in text
    assert re.search(r"teacher ━.* 25 % 0:01:40 loss 0.1235 f1 0.5", last_frame(stream)), (
        last_frame(stream)
    )


def test_a_remaining_time_is_none_before_anything_is_done(
    clock: Clock, stderr: Callable[..., io.StringIO]
) -> None:
    stream = stderr(terminal=True)
    with Show() as shown:
        shown.event(progress(0))
    assert "0 % -:--:--" in last_frame(stream)


def test_each_step_has_a_bar_and_a_remaining_time_of_its_own(
    clock: Clock, stderr: Callable[..., io.StringIO]
) -> None:
    stream = stderr(terminal=True)
    with Show() as shown:
        for done in (10, 50, 90):
            shown.event(progress(done, text="epoch 3"))
            clock.now += 20
        shown.event({**STEP, "step": "distill"})
        shown.event(progress(25, step="distill"))
    assert re.search(
        "distill ━.* 25 % -:--:--", last_frame(stream)
    ) and "teacher" not in last_frame(stream)


def test_a_remaining_time_that_a_training_states_counts_down_through_its_validation(
    clock: Clock, stderr: Callable[..., io.StringIO]
) -> None:
    stream = stderr(terminal=True)
    with Show() as shown:
        shown.event({**progress(10), "remaining": 90.0})
        clock.now += 20
        shown.event({**progress(10, text="validating"), "remaining": None})
    assert re.search(r"teacher validating ━.* 10 % 0:01:10", last_frame(stream))


def test_work_between_the_steps_has_a_line_with_its_time(
    clock: Clock, stderr: Callable[..., io.StringIO]
) -> None:
    begin = {"event": "phase", "text": "converting to m@x (1 of 2)", "seconds": None}
    for terminal in (False, True):
        stream = stderr(terminal=terminal)
        with Show() as shown:
            shown.event(begin)
            clock.now += 65
            shown.event({**begin, "seconds": 65.0})
        text = CODE.sub("", stream.getvalue())
        assert "converting to m@x (1 of 2): 65.0 s" in text
        running = re.search(r"\(1 of 2\) ━+ +\d:\d\d:\d\d", text)
        assert bool(running) is terminal, "a terminal shows the time while it passes"


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_bars_have_colours_unless_the_user_wants_none(
    environ: dict[str, str], coloured: bool, clock: Clock, stderr: Callable[..., io.StringIO]
) -> None:
    stream = stderr(terminal=True, **environ)
    with Show() as shown:
        shown.event(progress(50))
    assert "50 %" in last_frame(stream)
    assert bool(COLOUR.search(stream.getvalue())) is coloured


def test_elsewhere_progress_is_a_plain_line_at_most_every_15_seconds(
    clock: Clock, stderr: Callable[..., io.StringIO]
) -> None:
    stream = stderr(terminal=False)
    with Show() as shown:
        shown.event(STEP)
        for second in range(61):
            shown.event(progress(second, 60, loss=1 / (1 + second)))
            clock.now += 1
    assert stream.getvalue().splitlines() == [
        "[2/5] teacher (finetune)",
        "  teacher: 0 % loss 1",
        "  teacher: 27 % loss 0.05882",
        "  teacher: 53 % loss 0.0303",
        "  teacher: 80 % loss 0.02041",
    ]


def test_a_plain_line_says_the_time_that_is_left(
    clock: Clock, stderr: Callable[..., io.StringIO]
) -> None:
    stream = stderr(terminal=False)
    with Show() as shown:
        shown.event({**progress(10, loss=1.0), "remaining": 3661.0})
    assert stream.getvalue() == "  teacher: 10 % loss 1 1:01:01 left\n"


def test_plain_lines_are_whole_whatever_they_hold(
    clock: Clock, stderr: Callable[..., io.StringIO]
) -> None:
    stream = stderr(terminal=False, COLUMNS="20")
    text = (
        "model: [red]waiting[/red] for process 7, which makes the same, and for a disk that is full"
    )
    with Show() as shown:
        shown.event({"event": "note", "text": text})
        shown.event(progress(3, 0, text="rows read"))
    assert stream.getvalue() == f"  {text}\n  teacher rows read: 0 %\n"


def test_json_stands_by_itself_and_what_is_told_meanwhile_beside_it(
    command: Command, csv_data: Path, tmp_path: Path, fake_model: Callable[..., Path]
) -> None:
    fake_model()
    head = "task: text-classification\nmodel: ./model\ndata: {train: train.csv, test: test.csv}\n"
    (tmp_path / "toy.yaml").write_text(
        head + "stages: [toy.nudge: {seconds: 0.3}]\n", encoding="utf-8"
    )
    environ = install(tmp_path / "site", "compress-toy", without="meters,onnx")
    answer = command("run", "toy.yaml", "--json", environ=environ)
    assert (answer.code, answer.value["state"]) == (0, "finished")
    lines = answer.err.splitlines()
    assert lines[0].startswith("run toy in runs/toy-") and "[1/1] toy.nudge (toy.nudge)" in lines
    assert any(line.startswith("  toy.nudge: 0 %") for line in lines) and "\x1b" not in answer.err
