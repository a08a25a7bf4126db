"""A command and a section of the report: what each step of a run took."""

from __future__ import annotations

from typing import ClassVar

from compress import hookimpl
from compress.command import Command
from compress.tracker import Report
from compress.view import Section, SectionTable, View


class SecondsCommand(Command):
    """``compress seconds RUN``."""

    name: ClassVar[str] = "seconds"
    summary: ClassVar[str] = "Show what each step of a run took."
    function: ClassVar[str] = "compress_seconds.command:seconds"


class SecondsView(View):
    """A table of the steps and their seconds."""

    name: ClassVar[str] = "seconds"
    summary: ClassVar[str] = "What each step took."

    def section(self, report: Report) -> Section | None:
        """The table; None if no step is made yet."""
        rows = [[step["name"], f"{step['seconds']:.1f}"] for step in report["steps"]]
        if not rows:
            return None
        longest = max(report["steps"], key=lambda step: step["seconds"])
        return Section(
            "Seconds",
            [f"{longest['name']} took longest."],
            [SectionTable(["step", "seconds"], rows)],
        )


@hookimpl
def compress_commands() -> list[type[Command]]:
    """The command ``seconds``."""
    return [SecondsCommand]


@hookimpl
def compress_views() -> list[type[View]]:
    """The section ``Seconds``."""
    return [SecondsView]
