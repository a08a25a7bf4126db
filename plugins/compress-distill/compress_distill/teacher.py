"""A teacher's answers to the training rows: computed once, kept in the store, read batch by
batch.

They are stored flat: the logits and the last hidden states of all rows, one row after the
other, with the ids of the rows and the place where each row begins. So no padding is
stored, and no row can get the answers of another.
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
    """The answers to all training rows.

    - ``logits``: float32 [rows, classes], or [tokens, classes] if ``per_token``.
    - ``hidden``: float16 [tokens, width], or None. float16 halves the memory of the largest
      of these tensors.
    - ``starts``: int64 [rows + 1], the first token of each row, then the number of tokens.
    """

    logits: Tensor
    hidden: Tensor | None
    starts: Tensor
    per_token: bool

    def logits_of(self, indices: Sequence[int], length: int) -> Tensor:
        """Logits [batch, classes], or [batch, length, classes] padded with 0 where they are
        by token."""
        if self.per_token:
            return self._padded(self.logits, indices, length)
        return self.logits[list(indices)]

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
    """The teacher's answers to the training rows, whose ``features`` for the student are
    given. They come from the store, if the store has them.

    Raises UsageError if the teacher's tokens are not the student's, CompressError if the
    store has the answers to other rows."""
    assert context.data is not None, "the stage needs data"
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
        metadata = stored.metadata()
        if metadata["ids"].split("\n") != [f["id"] for f in features]:
            raise CompressError("the stored answers of the teacher belong to other rows")
        states = stored.get_tensor("hidden") if hidden else None
        return TeacherOutputs(
            stored.get_tensor("logits"),
            states,
            stored.get_tensor("starts"),
            metadata["per_token"] == "yes",
        )


def _compute(
    context: Context[Any], teacher: Artifact, features: Sequence[Features], hidden: bool, out: Path
) -> None:
    """Write the teacher's answers into the folder ``out``."""
    assert context.data is not None, "the stage needs data"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    session = TorchSession(open_model(teacher, context.task, device), device)
    processor = context.task.processor(teacher.folder)
    # The teacher has features of its own: of two families with one vocabulary, one may have
    # token types and the other not.
    inputs = context.task.features(context.data.rows("train"), processor)
    _refuse_other_tokens(inputs, features)
    starts = [0, *np.cumsum([len(f["input_ids"]) for f in inputs]).tolist()]
    flat: dict[str, Tensor] = {}
    done, per_token = 0, False
    for places in length_batches(context.task, inputs, _BATCH):
        batch = context.task.collate([inputs[i] for i in places], processor)
        output = session.forward(batch, output_hidden_states=hidden)
        per_token = output.logits.dim() == 3
        real = torch.from_numpy(batch["attention_mask"]).bool()
        _fill(flat, "logits", output.logits.float().cpu(), places, starts, real)
        if hidden:
            _fill(flat, "hidden", output.hidden_states[-1].half().cpu(), places, starts, real)
        done += len(places)
        context.progress(done, len(inputs), "asking the teacher")
    ids = "\n".join(f["id"] for f in inputs)
    save_file(
        {**flat, "starts": torch.tensor(starts)},
        out / _FILE,
        metadata={"ids": ids, "per_token": "yes" if per_token else "no"},
    )


def _refuse_other_tokens(teachers: Sequence[Features], students: Sequence[Features]) -> None:
    """Raise UsageError if the teacher's ids of a text differ from the student's."""
    for theirs, mine in zip(teachers, students, strict=True):
        if theirs["input_ids"] != mine["input_ids"]:
            raise UsageError(
                "the teacher's tokenizer makes other tokens of these texts than the student's"
            )


def _fill(
    flat: dict[str, Tensor],
    name: str,
    values: Tensor,
    places: Sequence[int],
    starts: Sequence[int],
    real: Tensor,
) -> None:
    """Write the ``values`` of a batch, [batch, width] or [batch, length, width], into
    ``flat[name]``, [rows, width] or [tokens, width]. ``places`` are the rows of the batch, and
    ``real``, bool [batch, length], is False where it is padded.

    The first batch makes that tensor for all rows. A list of batches that is joined at the
    end would need the memory twice."""
    per_token = values.dim() == 3
    if name not in flat:
        count = starts[-1] if per_token else len(starts) - 1
        flat[name] = torch.empty(count, values.shape[-1], dtype=values.dtype)
    for value, place, tokens in zip(values, places, real, strict=True):
        if per_token:
            flat[name][starts[place] : starts[place + 1]] = value[tokens]
        else:
            flat[name][place] = value
