"""The function of the command ``seconds``. This module is imported when the command is called."""

from __future__ import annotations

from pathlib import Path

import click

from compress.errors import UsageError
from compress.jsonfiles import read_object

EXIT_SLOW = 7
"""The exit code of a run that took longer than ``--most``."""


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--most", type=float, default=None, help="Seconds that making may take.")
def seconds(run: Path, most: float | None) -> int:
    """Show what each step of a run took.

    RUN is the folder of a run."""
    file = run / "report.json"
    if not file.is_file():
        raise UsageError(f"{run} is not a run's folder: it has no report.json")
    report = read_object(file)
    for step in report["steps"]:
        click.echo(f"{step['name']}: {step['seconds']:.1f} s")
    return EXIT_SLOW if most is not None and report["seconds"]["making"] > most else 0
