"""Options that several commands have, and printing of values and rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from compress.store.store import Store

as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for a machine to read."
)
overrides_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the recipe: --set data.train=x.csv, --set stages.distill.epochs=3.",
)


def _open_store(context: click.Context, option: click.Parameter, folder: Path | None) -> Store:
    from compress.store.store import open_store

    return open_store(folder)


store_option = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    callback=_open_store,
    help="Where products are kept and shared by runs "
    "[default: COMPRESS_STORE, else the user's cache].",
)
runs_option = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder below which the run's own folder is made.",
)
EXIT_CODE = "compress.exit_code"
"""The key of a context's ``meta`` under which a command keeps its exit code before it prints: its
work is done, whether or not somebody reads the output to its end."""
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def emit(value: Any, *, indent: int | None = 2) -> None:
    """Print JSON-ready values, on one line if ``indent`` is None. Characters that the output cannot
    take are escaped."""
    import json
    import sys

    from compress.cli.output import takes_every_character

    escaped = not takes_every_character(sys.stdout)
    click.echo(json.dumps(value, indent=indent, ensure_ascii=escaped))


def show_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as JSON or as a table."""
    from compress.cli.rows import print_rows
    from compress.cli.show import output_console

    if as_json:
        emit(rows)
    else:
        print_rows(rows, output_console())
