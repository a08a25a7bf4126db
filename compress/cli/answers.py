"""Answers of a model folder, printed one by one."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from compress.cli.questions import Form, Question, question
from compress.cli.shared import emit
from compress.cli.textlines import opened, text_lines
from compress.errors import UsageError
from compress.report.text import visible
from compress.task import Shown

if TYPE_CHECKING:  # the command imports it late, with all that it needs
    from compress.predictor import Predictor

Asked = Mapping[str, Any]

_QUESTION = ("text", "text_pair", "messages")
"""Keys of an answer that repeat the question."""


def print_answers(
    predictor: Predictor, questions: Sequence[Question], as_json: bool, asked: Asked
) -> None:
    """Answer questions, and print all answers: as one JSON list, or a line each.
    ``asked`` are request options of the task."""
    if _comes_in_pieces(predictor, as_json):
        for one in questions:
            _print_pieces(predictor, one, asked)
        return
    answers = predictor([one.request for one in questions], **asked)
    if as_json:
        emit(answers)
        return
    for one, answer in zip(questions, answers, strict=True):
        click.echo(_line(one, answer))


def stream_answers(
    predictor: Predictor, file: str, form: Form, as_json: bool, asked: Asked
) -> None:
    """Answer each line of a file as it is read, and print the answer at once: as JSON on a line, or
    as text. A line is a question of that ``form``; ``asked`` are request options of the task.

    Raises UsageError, with the place, at the first line that cannot be answered."""
    with opened(file) as (stream, name):
        for line in text_lines(stream, name):
            if line.problem:
                raise UsageError(line.problem).placed(line.place)
            try:
                _stream_answer(predictor, question(line.text, form), as_json, asked)
            except UsageError as error:  # it calls the text "text 1"
                raise UsageError([replace(m, where=line.place) for m in error.mistakes]) from None


def _stream_answer(predictor: Predictor, one: Question, as_json: bool, asked: Asked) -> None:
    if _comes_in_pieces(predictor, as_json):
        _print_pieces(predictor, one, asked)
        return
    (answer,) = predictor(one.request, **asked)
    if as_json:
        emit(answer, indent=None)
    else:
        click.echo(_line(one, answer))


def _comes_in_pieces(predictor: Predictor, as_json: bool) -> bool:
    """Whether somebody reads an answer while it is generated."""
    return not as_json and is_terminal() and bool(predictor.task.streams)


def is_terminal() -> bool:
    """Whether the standard output is one."""
    return sys.stdout.isatty()


def _print_pieces(predictor: Predictor, one: Question, asked: Asked) -> None:
    """Print what ``_line`` returns, and the answer's text as it comes."""
    begun = False

    def show(piece: str) -> None:
        nonlocal begun
        if not begun:
            click.echo(visible("\t".join([*one.shown, f"{streamed}="])), nl=False)
        begun = True
        click.echo(visible(piece), nl=False)

    streamed = predictor.task.streams
    (answer,) = predictor([one.request], on_text=show, **asked)
    if not begun:  # it is empty, or was not told in pieces
        click.echo(_line(one, answer))
        return
    rest = _cells({key: value for key, value in answer.items() if key != streamed})
    click.echo(visible("".join(f"\t{cell}" for cell in rest)))


def _line(one: Question, answer: Shown) -> str:
    """The question's texts and the answer, separated by tabs."""
    return visible("\t".join([*one.shown, *_cells(answer)]))


def _cells(answer: Shown) -> list[str]:
    return [f"{key}={value}" for key, value in answer.items() if key not in _QUESTION]
