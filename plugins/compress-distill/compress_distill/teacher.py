"""A teacher's answers on the training rows, computed once, kept in the store, and read batch by
batch.

They are stored flat: the logits and the last hidden states of all rows one after the other, with
the rows' ids and where each begins, so that no padding is stored and an answer cannot be given to
another row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from compress.artifact import Artifact
from compress.errors import CompressError, UsageError
from compress.machine import versions
from compress.models import open_model
from compress.predict import length_batches
from compress.sessions import TorchSession
from compress.stage import Context
from compress.task import Features

KIND = "teacher-outputs"
_FILE = "outputs.safetensors"
_BATCH = 32


@dataclass(frozen=True)
class TeacherOutputs:
    """Answers by row position. ``logits`` [rows or tokens, classes] float32; ``hidden`` [tokens,
    width] float16 or None; ``starts`` [rows + 1] int64 are the first token of each row;
    ``per_token`` says whether logits are by token."""

    logits: Tensor
    hidden: Tensor | None
    starts: Tensor
    per_token: bool

    def logits_of(self, indices: Sequence[int], length: int) -> Tensor:
        """Logits [batch, classes], or [batch, length, classes] padded with 0 where they are by
        token."""
        return (
            self._padded(self.logits, indices, length)
            if self.per_token
            else self.logits[list(indices)]
        )

    def hidden_of(self, indices: Sequence[int], length: int) -> Tensor:
        """Last hidden states [batch, length, width] in float32, padded with 0."""
        assert self.hidden is not None
        return self._padded(self.hidden, indices, length)

    def _padded(self, flat: Tensor, indices: Sequence[int], length: int) -> Tensor:
        out = torch.zeros(len(indices), length, flat.shape[-1], dtype=torch.float32)
        for i, index in enumerate(indices):
            rows = flat[self.starts[index] : self.starts[index + 1]]
            out[i, : len(rows)] = rows
        return out


def teacher_outputs(
    context: Context[Any], teacher: Artifact, features: Sequence[Features], *, hidden: bool
) -> TeacherOutputs:
    """The teacher's answers on the training rows, from the store where it has them; ``features``
    are the student's.

    Raises UsageError where the teacher's tokens are others, CompressError where the stored rows are
    not these rows."""
    tokens = hashlib.sha256(json.dumps([f["input_ids"] for f in features]).encode()).hexdigest()
    ingredients = {
        "teacher": teacher.digest,
        "data": context.data.digest,
        "task": context.task.name,
        "task_options": context.task.options.model_dump(mode="json"),
        "hidden": hidden,
        "tokens": tokens,
        "libraries": versions(("compress-toolkit", "torch", "transformers")),
    }
    folder = context.product(
        KIND, ingredients, lambda out: _compute(context, teacher, features, hidden, out)
    )
    with safe_open(folder / _FILE, framework="pt") as stored:
        said = stored.metadata()
        if said["ids"].split("\n") != [f["id"] for f in features]:
            raise CompressError("the stored answers of the teacher belong to other rows")
        states = stored.get_tensor("hidden") if hidden else None
        return TeacherOutputs(
            stored.get_tensor("logits"),
            states,
            stored.get_tensor("starts"),
            said["per_token"] == "yes",
        )


def _compute(
    context: Context[Any], teacher: Artifact, features: Sequence[Features], hidden: bool, out: Path
) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    session = TorchSession(open_model(teacher, context.task, device), device)
    processor = context.task.processor(teacher.folder)
    # The teacher's own features: of two families with one vocabulary, one may take token types and
    # the other not.
    asked = context.task.features(context.data.rows("train"), processor)
    if any(
        theirs["input_ids"] != mine["input_ids"]
        for theirs, mine in zip(asked, features, strict=True)
    ):
        raise UsageError(
            "the teacher's tokenizer makes other tokens of these texts than the student's"
        )
    starts = [0, *np.cumsum([len(f["input_ids"]) for f in asked]).tolist()]
    flat: dict[str, Tensor] = {}
    done, per_token = 0, False
    for places in length_batches(context.task, asked, _BATCH):
        batch = context.task.collate([asked[i] for i in places], processor)
        output = session.forward(batch, output_hidden_states=hidden)
        per_token = output.logits.dim() == 3
        _fill(flat, "logits", output.logits.float().cpu(), places, starts)
        if hidden:
            _fill(flat, "hidden", output.hidden_states[-1].half().cpu(), places, starts)
        done += len(places)
        context.progress(done, len(asked), "asking the teacher")
    ids = "\n".join(f["id"] for f in asked)
    save_file(
        {**flat, "starts": torch.tensor(starts)},
        out / _FILE,
        metadata={"ids": ids, "per_token": "yes" if per_token else "no"},
    )


def _fill(
    flat: dict[str, Tensor], name: str, values: Tensor, places: Sequence[int], starts: Sequence[int]
) -> None:
    """Write a batch's ``values`` [batch, width] or [batch, length, width] to where their rows, or
    tokens, stand in ``flat[name]``. It is made for all rows with the first batch, so that the
    answers of a split are in memory once."""
    per_token = values.dim() == 3
    if name not in flat:
        flat[name] = torch.empty(
            starts[-1] if per_token else len(starts) - 1, values.shape[-1], dtype=values.dtype
        )
    for value, place in zip(values, places, strict=True):
        if per_token:
            flat[name][starts[place] : starts[place + 1]] = value[
                : starts[place + 1] - starts[place]
            ]  # less the padding
        else:
            flat[name][place] = value
