"""Talking to the user on stderr while a run goes on: bars with a remaining time on a terminal,
plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from compress.errors import CompressError
from compress.measurement import quantity
from compress.report.text import visible
from compress.report.views.plain import plain

_PLAIN_SECONDS = 15


def output_console() -> Console:
    """The console for results on stdout; as wide as needed when it is no terminal, so that no
    number is cut."""
    width = None if sys.stdout.isatty() else 220
    return Console(file=sys.stdout, width=width, no_color=bool(os.environ.get("NO_COLOR")))


def complain_of(problems: Sequence[str]) -> None:
    """Tell about plugins that could not be loaded."""
    for problem in problems:
        click.echo(visible(f"warning: {problem}"), err=True)


class Show:
    """Shows a run's events. Use as a context manager; ``event`` is the run's listener. Of a run
    that failed after some of its work, the report is named at the end."""

    def __init__(self, problems: Sequence[str] = ()) -> None:
        complain_of(problems)
        self._console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
        label, said = (
            TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[said]")
        )
        self._bars = (
            Progress(
                label,
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                said,
                console=self._console,
                transient=True,
            )
            if self._console.is_terminal
            else None
        )
        self._bar: TaskID | None = None
        self._told = 0.0
        self._report: str | None = None
        self._reported = self._failed = False

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
        if self._failed and self._reported and isinstance(error, CompressError):
            click.echo(visible(f"report: {self._report}"), err=True)

    def event(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        if event["event"] == "progress":
            self._progress(event)
            return
        self._remember(event)
        line = _line(event)
        if line:
            self._drop_bar()
            self._console.print(plain(line), highlight=False, soft_wrap=True)

    def _remember(self, event: Mapping[str, Any]) -> None:
        """Where the report is, whether anything was done that it can tell of, and whether the run
        failed."""
        match event["event"]:
            case "run_started":
                self._report = f"{event['folder']}/report.html"
            case "step_started" | "measuring":
                self._reported = True
            case "run_failed":
                self._failed = True

    def _progress(self, event: Mapping[str, Any]) -> None:
        said = visible(" ".join(f"{k} {v:.4g}" for k, v in event["values"].items()))
        label = visible(f"{event['step']} {event['text']}".strip())
        if self._bars:
            if self._bar is None:
                self._bar = self._bars.add_task(label, total=event["total"], said=said)
            self._bars.update(
                self._bar,
                description=label,
                completed=event["done"],
                total=event["total"],
                said=said,
            )
        elif time.monotonic() - self._told > _PLAIN_SECONDS:
            self._told = time.monotonic()
            share = 100 * event["done"] / event["total"] if event["total"] else 0
            self._console.print(
                plain(f"  {label}: {share:.0f} % {said}".rstrip()), highlight=False, soft_wrap=True
            )

    def _drop_bar(self) -> None:
        if self._bars and self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None


def _line(event: Mapping[str, Any]) -> str:
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
            shown = ", ".join(
                f"{m['title']} {quantity(m['value'], m['unit'])}"
                for m in record["measurements"].values()
                if m["value"] is not None
            )
            return f"  {event['step']} {how}: {shown}"
        case "note":
            return f"  {event['text']}"
    return ""
