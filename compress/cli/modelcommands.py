"""The commands on a model folder. Each parses its arguments and calls another module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from compress.cli.shared import FOLDER, as_json_option, emit

_QUESTION = ("text", "text_pair")
"""Keys of an answer that repeat the question."""


@click.command("predict")
@click.argument("folder", type=FOLDER)
@click.argument("texts", nargs=-1, required=True)
@click.option("--pair", is_flag=True, help="The texts are pairs, two by two: one answer for each.")
@click.option("--task", help="The task to answer for, if several have such a head.")
@as_json_option
def predict_command(
    folder: Path, texts: tuple[str, ...], pair: bool, task: str | None, as_json: bool
) -> None:
    """Answer texts with a model folder, whatever its format.

    A folder that compress did not make is used as it is; it needs a tokenizer.json. A model for
    pairs of texts does not say so: give it pairs, with --pair or with a tab between the two."""
    import os

    from compress.errors import UsageError
    from compress.workers.supervisor import worker_environment

    if pair and len(texts) % 2:
        raise UsageError(f"--pair takes texts two by two, got {len(texts)}")

    os.environ.update(worker_environment())
    from compress.registry.plugins import load_plugins
    from compress.report.text import visible
    from compress.serving import open_predictor

    questions: Sequence[str | tuple[str, str]] = texts
    if pair:
        questions = list(zip(texts[::2], texts[1::2], strict=True))
    answers = open_predictor(folder, load_plugins(), task)(questions)
    if as_json:
        emit(answers)
        return
    for question, answer in zip(questions, answers, strict=True):
        parts = question.split("\t") if isinstance(question, str) else question
        cells = [f"{key}={value}" for key, value in answer.items() if key not in _QUESTION]
        click.echo(visible("\t".join([*parts, *cells])))


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
