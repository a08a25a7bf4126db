"""The commands on a model folder. Each parses its arguments and calls another module."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compress.cli.ending import ending_of
from compress.cli.requestflags import PredictCommand, asked_of
from compress.cli.shared import FOLDER, as_json_option, emit
from compress.errors import UsageError

if TYPE_CHECKING:
    from compress.cli.questions import Form, Question
    from compress.task import Task

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
@click.option(
    "--chat", is_flag=True, help="Each text is what a user says to a chat model, which answers."
)
@click.option(
    "--rows",
    is_flag=True,
    help="Each text is a JSON object with the columns of the task, such as messages.",
)
@click.option("--task", help="The task to answer for, if several have such a head.")
@as_json_option
def predict_command(
    folder: Path,
    texts: tuple[str, ...],
    file: str | None,
    pair: bool,
    chat: bool,
    rows: bool,
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
    lists those of its task. On a terminal its answers are printed as they are generated. It
    continues a text; with --chat it answers it, by the tokenizer's chat template. A whole
    conversation is a row: --rows '{"messages": [{"role": "user", "content": "Hello"}]}'."""
    from compress.cli.questions import form_of, questions

    form, source = form_of(pair, chat, rows), _source(texts, file, pair)
    asks = _Asks(source, questions(texts, pair, form), form, asked_of(asked))
    try:
        _predict(folder, asks, task, as_json)
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


@dataclass(frozen=True)
class _Asks:
    """What a user asks: the ``questions`` of the arguments, or the lines of ``source``, each of a
    ``form``; and the ``options`` of the answers."""

    source: str | None
    questions: Sequence[Question]
    form: Form
    options: Mapping[str, Any]


def _predict(folder: Path, asks: _Asks, task: str | None, as_json: bool) -> None:
    import os

    from compress.cli.textlines import refuse_unreadable
    from compress.workers.supervisor import worker_environment

    if asks.source is not None:
        refuse_unreadable(asks.source)
    os.environ.update(worker_environment())
    from compress.cli.answers import print_answers, stream_answers
    from compress.registry.plugins import load_plugins
    from compress.serving import open_predictor

    predictor = open_predictor(folder, load_plugins(), task)
    if asks.form == "chat":
        _refuse_chat(predictor.task)
    if asks.source is not None:
        stream_answers(predictor, asks.source, asks.form, as_json, asks.options)
    else:
        print_answers(predictor, asks.questions, as_json, asks.options)


def _refuse_chat(task: Task[Any]) -> None:
    """Raise UsageError for a task that takes no messages."""
    if all(column.name != "messages" for column in task.columns):
        raise UsageError(
            f"--chat is for chat models, and a model for {task.name} takes no messages"
        )


@click.command("verify")
@click.argument("folder", type=FOLDER)
@as_json_option
def verify_command(folder: Path, as_json: bool) -> None:
    """Check every file of a model folder against its manifest.

    The program of a bundle must also give the recorded answers. It runs in a process of its own,
    and only if it is the one that this release writes."""
    from dataclasses import asdict

    from compress.artifact import Artifact
    from compress.bundling.making import check_bundle
    from compress.report.text import visible

    artifact = Artifact.open(folder)
    answers = check_bundle(artifact)
    if as_json:
        told = {"folder": str(folder), "digest": artifact.digest, "traits": asdict(artifact.traits)}
        emit(told if answers is None else {**told, "answers": answers})
        return
    files = len(artifact.manifest.files)
    click.echo(visible(f"{folder}: {files} files are as they were saved ({artifact.digest[:12]})"))
    if answers is not None:
        click.echo(visible(f"{folder}: predict.py gives the {answers} recorded answers"))


@click.command("bundle")
@click.argument("folder", type=FOLDER)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The new folder of the bundle.",
)
@as_json_option
def bundle_command(folder: Path, out: Path, as_json: bool) -> None:
    """Write what a serving team takes of an artifact.

    A bundle is a folder with the model, its tokenizer, its card, and predict.py, which needs
    neither this toolkit nor PyTorch: requirements.txt lists what it needs. Before the bundle
    appears, predict.py has given the answers of compress predict; compress verify checks that
    again."""
    import os

    from compress.bundling.making import make_bundle
    from compress.registry.plugins import load_plugins
    from compress.report.text import visible
    from compress.workers.supervisor import worker_environment

    os.environ.update(worker_environment())
    artifact = make_bundle(folder, out, load_plugins())
    if as_json:
        emit({"folder": str(out), "digest": artifact.digest})
    else:
        click.echo(visible(f"{out}: {len(artifact.manifest.files)} files; python predict.py TEXT"))
