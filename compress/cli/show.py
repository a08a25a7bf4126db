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
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

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

    When a run fails after some of its work, the last line says where its report is."""

    def __init__(self, problems: Sequence[str] = ()) -> None:
        complain_of(problems)
        self._console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
        self._bars = _bars(self._console) if self._console.is_terminal else None
        self._bar: TaskID | None = None
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
        if self._failed and self._has_report and isinstance(error, CompressError):
            click.echo(visible(f"report: {self._report}"), err=True)

    def event(self, event: Event) -> None:
        """Show one event."""
        if event["event"] == "progress":
            self._progress(event)
            return
        self._remember(event)
        for line in _lines(event):
            self._drop_bar()
            self._print(line)

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
        done, total = event["done"], event["total"]
        if self._bars:
            if self._bar is None:
                self._bar = self._bars.add_task(label, total=total, numbers=numbers)
            self._bars.update(
                self._bar, description=label, completed=done, total=total, numbers=numbers
            )
        elif time.monotonic() - self._last_line_at > _PLAIN_SECONDS:
            self._last_line_at = time.monotonic()
            share = 100 * done / total if total else 0
            self._print(f"  {label}: {share:.0f} % {numbers}".rstrip())

    def _print(self, line: str) -> None:
        self._console.print(plain(line), highlight=False, soft_wrap=True)

    def _drop_bar(self) -> None:
        if self._bars and self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None


def _bars(console: Console) -> Progress:
    """Bars with a label, a share, a remaining time, and the latest numbers of a training."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
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
