"""A teacher's answers on the training rows, computed once, kept in the store, and read batch by batch.

They are stored flat: the logits and the last hidden states of all rows one after the other, with the rows' ids and where
each begins, so that no padding is stored and an answer cannot be given to another row.
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
from compress.stage import Context
from compress.task import Features

KIND = "teacher-outputs"
_FILE = "outputs.safetensors"
_BATCH = 32


@dataclass(frozen=True)
class TeacherOutputs:
    """Answers by row position. ``logits`` [rows or tokens, classes] float32; ``hidden`` [tokens, width] float16 or None;
    ``starts`` [rows + 1] int64 are the first token of each row; ``per_token`` says whether logits are by token."""

    logits: Tensor
    hidden: Tensor | None
    starts: Tensor
    per_token: bool

    def logits_of(self, indices: Sequence[int], length: int) -> Tensor:
        """Logits [batch, classes], or [batch, length, classes] padded with 0 where they are by token."""
        return self._padded(self.logits, indices, length) if self.per_token else self.logits[list(indices)]

    def hidden_of(self, indices: Sequence[int], length: int) -> Tensor:
        """Last hidden states [batch, length, width] in float32, padded with 0."""
        assert self.hidden is not None
        return self._padded(self.hidden, indices, length)

    def _padded(self, flat: Tensor, indices: Sequence[int], length: int) -> Tensor:
        out = torch.zeros(len(indices), length, flat.shape[-1], dtype=torch.float32)
        for i, index in enumerate(indices):
            rows = flat[self.starts[index]:self.starts[index + 1]]
            out[i, :len(rows)] = rows
        return out


def teacher_outputs(context: Context[Any], teacher: Artifact, features: Sequence[Features], *,
                    hidden: bool) -> TeacherOutputs:
    """The teacher's answers on the training rows, from the store where it has them; ``features`` are the student's.

    Raises UsageError where the teacher's tokens are others, CompressError where the stored rows are not these rows."""
    tokens = hashlib.sha256(json.dumps([f["input_ids"] for f in features]).encode()).hexdigest()
    ingredients = {"teacher": teacher.digest, "data": context.data.digest, "task": context.task.name,
                   "task_options": context.task.options.model_dump(mode="json"), "hidden": hidden, "tokens": tokens,
                   "libraries": versions(("compress-toolkit", "torch", "transformers"))}
    folder = context.product(KIND, ingredients, lambda out: _compute(context, teacher, features, hidden, out))
    with safe_open(folder / _FILE, framework="pt") as stored:
        said = stored.metadata()
        if said["ids"].split("\n") != [f["id"] for f in features]:
            raise CompressError("the stored answers of the teacher belong to other rows")
        states = stored.get_tensor("hidden") if hidden else None
        return TeacherOutputs(stored.get_tensor("logits"), states, stored.get_tensor("starts"), said["per_token"] == "yes")


def _compute(context: Context[Any], teacher: Artifact, features: Sequence[Features], hidden: bool, out: Path) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = open_model(teacher, context.task, device)
    processor = context.task.processor(teacher.folder)
    # The teacher's own features: of two families with one vocabulary, one may take token types and the other not.
    asked = context.task.features(context.data.rows("train"), processor)
    if any(theirs["input_ids"] != mine["input_ids"] for theirs, mine in zip(asked, features, strict=True)):
        raise UsageError("the teacher's tokenizer makes other tokens of these texts than the student's")
    found: dict[int, tuple[Tensor, Tensor | None]] = {}
    for places in length_batches(context.task, asked, _BATCH):
        batch = context.task.collate([asked[i] for i in places], processor)
        for place, answer in zip(places, _answers(model, batch, device, hidden), strict=True):
            found[place] = answer
        context.progress(len(found), len(asked), "asking the teacher")
    _save([found[i] for i in range(len(asked))], [f["id"] for f in asked], out / _FILE)


def _answers(model: Any, batch: dict[str, np.ndarray], device: str, hidden: bool) -> list[tuple[Tensor, Tensor | None]]:
    """(logits, last hidden states) of each row of a batch, without padding."""
    names = [n for n in ("input_ids", "attention_mask", "token_type_ids") if n in batch]
    taken = {n: torch.as_tensor(batch[n], device=device) for n in names}
    with torch.inference_mode():
        output = model(**taken, output_hidden_states=hidden)
    logits = output.logits.float().cpu()
    states = output.hidden_states[-1].half().cpu() if hidden else None
    lengths = batch["attention_mask"].sum(axis=1)
    return [(logits[i, :n] if logits.dim() == 3 else logits[i], states[i, :n] if states is not None else None)
            for i, n in enumerate(lengths)]


def _save(answers: Sequence[tuple[Tensor, Tensor | None]], ids: Sequence[str], file: Path) -> None:
    logits, states = [l for l, _ in answers], [s for _, s in answers if s is not None]
    per_token = logits[0].dim() == 2
    lengths = [len(tokens) for tokens in states or (logits if per_token else [])]
    tensors = {"logits": torch.cat(logits) if per_token else torch.stack(logits),
               "starts": torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int64)}
    if states:
        tensors["hidden"] = torch.cat(states)
    save_file(tensors, file, metadata={"ids": "\n".join(ids), "per_token": "yes" if per_token else "no"})
