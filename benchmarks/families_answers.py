"""What families.py does with a model in memory: write it, and take its answers from transformers
and from compress.

Each is done in a process of its own. The processes are forked from one that has torch and
transformers imported, which takes longer than all the rest."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TEXTS = (
    "good film",
    "the plot was not very good and the actor was boring boring great",
    "bad",
    "Paris in the spring of 1999",
)
MINUTES = 5
"""The most that one of the processes may take."""
_IMPORTED = ["transformers.models.auto.modeling_auto", "compress.api", "compress.models"]

Logits = list[list[float]]


@dataclass(frozen=True)
class Answers:
    """The logits of ``TEXTS``, each computed ``alone``, and all of them ``batched``."""

    alone: Logits
    batched: Logits


@dataclass(frozen=True)
class Failure:
    """Why there are no answers, in one line. ``is_refusal``: compress says so itself."""

    text: str
    is_refusal: bool = False


Ended = Answers | Failure


def write(family: str, folder: Path) -> Answers:
    """Save the family's tiny model into ``folder``, and return transformers' answers of it."""
    from tiny_families import FAMILIES, write_family

    (wanted,) = [each for each in FAMILIES if each.model_type == family]
    write_family(wanted, folder)
    return _reference(folder)


def _reference(folder: Path) -> Answers:
    """Answers by transformers alone. A tokenizer without a padding token pads with its end token,
    as the model cards of decoders advise."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        model.config.pad_token_id = tokenizer.pad_token_id

    def logits(texts: list[str]) -> Logits:
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            rows: Logits = model(**batch).logits.tolist()
        return rows

    return Answers([logits([text])[0] for text in TEXTS], logits(list(TEXTS)))


def ours(folder: Path) -> Answers:
    """Answers by compress, from the session that answers texts."""
    from compress.api import load

    predictor = load(folder)
    task, processor = predictor.task, predictor.processor
    features = task.features(task.request(TEXTS), processor)

    def logits(part: list[Any]) -> Logits:
        outputs = predictor.session.run(task.collate(part, processor))
        rows: Logits = outputs["logits"].tolist()
        return rows

    return Answers([logits([each])[0] for each in features], logits(features))


def in_a_process(function: Callable[..., Answers], *arguments: object, log: Path) -> Ended:
    """What ``function`` returns, or why it ended without. What it prints is added to ``log``."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, log, function, arguments))
    process.start()
    sender.close()
    ended: Ended = Failure(f"no end in {MINUTES} minutes")
    try:
        if receiver.poll(MINUTES * 60):
            ended = receiver.recv()
        else:
            process.kill()
    except EOFError:
        ended = Failure("its process ended without a word")
    process.join()
    return ended


def _send(
    sender: Connection, log: Path, function: Callable[..., Answers], arguments: tuple[Any, ...]
) -> None:
    from compress.errors import CompressError, name_and_first_line

    with log.open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        sender.send(function(*arguments))
    except CompressError as error:
        sender.send(Failure(f"error: {error}", is_refusal=True))
    except Exception as error:  # whatever the code of a family raises
        traceback.print_exc()
        sender.send(Failure(name_and_first_line(error)))
