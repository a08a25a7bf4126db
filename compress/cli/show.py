"""Show the progress of a run on stderr: bars with a remaining time in a terminal, else plain
lines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from compress.errors import CompressError
from compress.measurement import value_text
from compress.report.text import visible
from compress.report.views.plain import plain
from compress.tracker import Event

_PLAIN_SECONDS = 15
"""Progress in plain lines is shown at most this often."""


def output_console() -> Console:
    """The console for results on stdout. If it is not a terminal it is wide, so that no number is
    cut."""
    width = None if sys.stdout.isatty() else 220
    return Console(file=sys.stdout, width=width, no_color=bool(os.environ.get("NO_COLOR")))


def complain_of(problems: Sequence[str]) -> None:
    """Warn of plugins that could not be loaded."""
    for problem in problems:
        click.echo(visible(f"warning: {problem}"), err=True)


class Show:
    """Shows a run's events. Use it as a context manager; ``event`` is the run's listener.

    When a run fails or is interrupted after some of its work, the last line says where its report
    is."""

    def __init__(self, problems: Sequence[str] = ()) -> None:
        complain_of(problems)
        self._console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
        self._bars = _bars(self._console) if self._console.is_terminal else None
        self._bar: TaskID | None = None
        self._shown = ""
        self._last_line_at = 0.0
        self._report: str | None = None
        self._has_report = self._failed = False

    def __enter__(self) -> Show:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars:
            self._bars.stop()
        ended = isinstance(error, KeyboardInterrupt)
        failed = self._failed and isinstance(error, CompressError)
        if self._has_report and (failed or ended):
            click.echo(visible(f"report: {self._report}"), err=True)

    def event(self, event: Event) -> None:
        """Show one event."""
        if event["event"] == "progress":
            self._progress(event)
            return
        if event["event"] == "phase" and event["seconds"] is None and self._bars:
            self._wait(event["text"])
            return
        self._remember(event)
        for line in _lines(event):
            self._drop_bar()
            self._print(line)
        if event["event"] == "step_started" and self._bars:
            self._wait(event["step"])  # until the step itself says how far it is

    def _remember(self, event: Event) -> None:
        """Remember the place of the report, whether it has any content, and whether the run
        failed."""
        match event["event"]:
            case "run_started":
                self._report = f"{event['folder']}/report.html"
            case "step_started" | "measuring":
                self._has_report = True
            case "run_failed":
                self._failed = True

    def _progress(self, event: Event) -> None:
        numbers = visible(" ".join(f"{name} {v:.4g}" for name, v in event["values"].items()))
        label = visible(f"{event['step']} {event['text']}".strip())
        done, total, left = event["done"], event["total"], event.get("remaining")
        if self._bars:
            if self._bar is None or event["step"] != self._shown:
                self._drop_bar()
                self._shown = event["step"]
                self._bar = self._bars.add_task(label, total=total, numbers=numbers, until=None)
            self._bars.update(
                self._bar, description=label, completed=done, total=total, numbers=numbers
            )
            if left is not None:  # else what was known last counts on
                self._bars.update(self._bar, until=time.monotonic() + left)
        elif time.monotonic() - self._last_line_at > _PLAIN_SECONDS:
            self._last_line_at = time.monotonic()
            share = 100 * done / total if total else 0
            time_left = f" {_clock(left)} left" if left is not None else ""
            self._print(f"  {label}: {share:.0f} % {numbers}".rstrip() + time_left)

    def _wait(self, text: str) -> None:
        """Show a bar without a length, and the time since now, until there is something else."""
        assert self._bars is not None
        self._drop_bar()
        self._shown = ""
        self._bar = self._bars.add_task(visible(text), total=None, numbers="", until=None)

    def _print(self, line: str) -> None:
        self._console.print(plain(line), highlight=False, soft_wrap=True)

    def _drop_bar(self) -> None:
        if self._bars and self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None


class _ShareColumn(ProgressColumn):
    """The share that is done; empty for work without a length."""

    def render(self, task: Task) -> Text:
        """The share in percent."""
        return Text("" if task.total is None else f"{task.percentage:>3.0f} %")


class _TimeColumn(TimeRemainingColumn):
    """The time that is left: what the work itself says, else what follows from the speed so far;
    for work without a length the time since it began."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """The time as ``1:02:03``."""
        if task.total is None:
            return Text(_clock(task.elapsed or 0.0))
        until = task.fields["until"]
        if until is None:
            return super().render(task)
        return Text(_clock(max(0.0, until - time.monotonic())))


def _clock(seconds: float) -> str:
    """Seconds as ``0:01:40``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _bars(console: Console) -> Progress:
    """Bars with a label, a share, a remaining time, and the latest numbers of a training."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _ShareColumn(),
        _TimeColumn(),
        TextColumn("{task.fields[numbers]}", markup=False),
        console=console,
        transient=True,
    )


def _lines(event: Event) -> list[str]:
    """The lines that show an event."""
    if event["event"] == "data_summary":
        return [f"  {event['name']}: {line}" for line in event["lines"]]
    line = _line(event)
    return [line] if line else []


def _line(event: Event) -> str:
    """The line that shows an event; empty for an event that has no line."""
    match event["event"]:
        case "run_started":
            return f"run {event['name']} in {event['folder']}"
        case "step_started":
            return f"[{event['index']}/{event['of']}] {event['step']} ({event['stage']})"
        case "phase":
            took = "" if event["seconds"] is None else f": {event['seconds']:.1f} s"
            return f"  {event['text']}{took}"
        case "measuring":
            return f"  measuring {event['step']}"
        case "step_finished":
            record = event["record"]
            how = "reused" if record["cached"] else f"made in {record['seconds']:.1f} s"
            return f"  {event['step']} {how}: {', '.join(_numbers(record))}"
        case "note":
            return f"  {event['text']}"
    return ""


def _numbers(record: Event) -> Iterator[str]:
    """The measurements of a step's record that have a value."""
    for m in record["measurements"].values():
        if m["value"] is not None:
            yield f"{m['title']} {value_text(m['value'], m['unit'])}"
