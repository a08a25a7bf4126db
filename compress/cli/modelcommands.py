"""The commands on a model folder. Each parses its arguments and calls another module."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from compress.cli.ending import ending_of
from compress.cli.requestflags import PredictCommand, asked_of
from compress.cli.shared import FOLDER, as_json_option, emit
from compress.errors import UsageError

_TEXTS = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)


@click.command("predict", cls=PredictCommand)
@click.argument("folder", type=FOLDER)
@click.argument("texts", nargs=-1)
@click.option(
    "--file",
    type=_TEXTS,
    help="Answer each line of a file in UTF-8, as it is read; - is the standard input.",
)
@click.option("--pair", is_flag=True, help="The texts are pairs, two by two: one answer for each.")
@click.option("--task", help="The task to answer for, if several have such a head.")
@as_json_option
def predict_command(
    folder: Path,
    texts: tuple[str, ...],
    file: str | None,
    pair: bool,
    task: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Answer texts with a model folder, whatever its format.

    Texts are arguments, or the lines of --file, or without both the lines of the standard input.
    With --json, arguments are answered as one list, and lines as JSON lines.

    A folder that compress did not make is used as it is; it needs a tokenizer.json. A model for
    pairs of texts does not say so: give it pairs, with --pair or with a tab between the two.

    A model that generates has more options, such as how many tokens: compress predict FOLDER --help
    lists those of its task. On a terminal its answers are printed as they are generated."""
    source = _source(texts, file, pair)
    try:
        _predict(folder, texts, source, pair, task, as_json, asked_of(asked))
    except KeyboardInterrupt as error:  # it ends a stream, of which everything is printed
        raise click.exceptions.Exit(ending_of(error)[1]) from None


def _source(texts: tuple[str, ...], file: str | None, pair: bool) -> str | None:
    """The file of the texts, ``-`` for the standard input; None if they are arguments. Raises
    UsageError for words that do not go together."""
    from compress.cli.textlines import STANDARD_INPUT

    if texts and file:
        raise UsageError("texts are given twice, as arguments and with --file: leave one out")
    if texts:
        if pair and len(texts) % 2:
            raise UsageError(f"--pair takes texts two by two, got {len(texts)}")
        return None
    if pair:
        raise UsageError("--pair takes texts as arguments; in a line, a tab separates the two")
    if file is None and sys.stdin.isatty():
        raise UsageError("there is no text: give one as an argument, or --file FILE")
    return file or STANDARD_INPUT


def _predict(
    folder: Path,
    texts: tuple[str, ...],
    source: str | None,
    pair: bool,
    task: str | None,
    as_json: bool,
    asked: Mapping[str, Any],
) -> None:
    import os

    from compress.cli.textlines import refuse_unreadable
    from compress.workers.supervisor import worker_environment

    if source is not None:
        refuse_unreadable(source)
    os.environ.update(worker_environment())
    from compress.cli.answers import print_answers, stream_answers
    from compress.registry.plugins import load_plugins
    from compress.serving import open_predictor

    predictor = open_predictor(folder, load_plugins(), task)
    if source is not None:
        stream_answers(predictor, source, as_json, asked)
    else:
        pairs = list(zip(texts[::2], texts[1::2], strict=True)) if pair else texts
        print_answers(predictor, pairs, as_json, asked)


@click.command("verify")
@click.argument("folder", type=FOLDER)
@as_json_option
def verify_command(folder: Path, as_json: bool) -> None:
    """Check every file of a model folder against its manifest."""
    from dataclasses import asdict

    from compress.artifact import Artifact
    from compress.report.text import visible

    artifact = Artifact.open(folder)
    if as_json:
        emit({"folder": str(folder), "digest": artifact.digest, "traits": asdict(artifact.traits)})
    else:
        files = len(artifact.manifest.files)
        click.echo(
            visible(f"{folder}: {files} files are as they were saved ({artifact.digest[:12]})")
        )
