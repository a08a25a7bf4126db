"""What a step of a translation student costs with kept answers of its teacher, against the same
step with hard labels alone.

  python benchmarks/distilling.py [--steps 60] [--vocabulary 8000]
The student is a BART shape with random weights, and the batches hold random tokens at lengths of
short sentences; the time of a step does not depend on what they say. The steps take turns, each on
the same batch. Writes benchmarks/results/distilling.json.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from common import paired_ratio, write_results
from torch import Tensor
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedModel

from compress.distillable import Distillable
from compress.distilling.loss import DistillationLoss
from compress.distilling.menu import LabelsLoss, LogitsLoss, LossItem
from compress.keptanswers import Answered, AnswersWriter, KeptAnswers
from compress.machine import processor, threads
from compress.pairing import Keeping
from compress.task import IGNORED
from compress.teacher import Asked, OneTeacher, TeacherOutputs

_ROWS = 32
_WARM_UP = 5
_TEACHER = LossItem(logits=LogitsLoss(temperature=1.0))
_LABELS = LossItem(labels=LabelsLoss())
_LOSSES = {
    "labels alone": [_LABELS],
    "teacher alone": [_TEACHER],
    "teacher and labels": [_TEACHER, _LABELS],
}


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60, help="Steps of each kind.")
    parser.add_argument("--vocabulary", type=int, default=8000, help="Tokens of the vocabulary.")
    parser.add_argument("--dry-run", action="store_true", help="Print the results alone.")
    asked = parser.parse_args()
    torch.set_num_threads(threads())
    values = measured(asked.steps, asked.vocabulary)
    if asked.dry_run:
        sys.stdout.write(f"{values}\n")
        return
    sys.stderr.write(f"wrote {write_results('distilling', values)}\n")


def measured(steps: int, vocabulary: int) -> dict[str, Any]:
    """Seconds of a step of each kind, and their ratios to hard labels alone."""
    batches = [_batch(number, vocabulary) for number in range(steps + _WARM_UP)]
    sides = {name: _Side(vocabulary, losses) for name, losses in _LOSSES.items()}
    with TemporaryDirectory() as folder:
        size = _keep(Path(folder), batches, vocabulary)
        outputs = _Kept(Path(folder))
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for number, batch in enumerate(batches):
            order = list(sides) if number % 2 else list(sides)[::-1]
            for name in order:
                spent = sides[name].step(outputs, batch, number)
                if number >= _WARM_UP:
                    seconds[name].append(spent)
    hard = seconds["labels alone"]
    return {
        "vocabulary": vocabulary,
        "steps": steps,
        "bf16": processor().fast_in_bf16,
        "bytes_a_token": size,
        "rows": [
            {
                "step": name,
                "milliseconds": 1000 * float(np.median(seconds[name])),
                "against_labels": paired_ratio(seconds[name], hard),
            }
            for name in sides
        ],
    }


def _batch(number: int, vocabulary: int) -> dict[str, Tensor]:
    """A batch of random sentences of one length, as bucketed batches are."""
    draws = np.random.default_rng(number)
    length = int(draws.integers(10, 24))
    ids = torch.from_numpy(draws.integers(4, vocabulary, (2, _ROWS, length)))
    return {
        "input_ids": ids[0],
        "attention_mask": torch.ones_like(ids[0]),
        "labels": ids[1],
        "decoder_input_ids": torch.cat([torch.full((_ROWS, 1), 2), ids[1][:, :-1]], dim=1),
    }


def _keep(folder: Path, batches: Sequence[Mapping[str, Tensor]], vocabulary: int) -> float:
    """Write answers of a teacher to all batches; the bytes of a token come back. The answers are
    about as sure as those of a trained model."""
    examples, tokens = _ROWS * len(batches), sum(batch["labels"].numel() for batch in batches)
    falling = -2.5 * (1 + torch.arange(vocabulary)).log()
    draws = torch.Generator().manual_seed(0)
    keeping = Keeping("sample")
    with AnswersWriter(folder, "answers-0", examples, keeping) as writer:
        for number, batch in enumerate(batches):
            order = torch.randperm(vocabulary, generator=draws)
            values = falling[order].expand(*batch["labels"].shape, vocabulary)
            places = range(number * _ROWS, (number + 1) * _ROWS)
            writer.add(places, Distillable(values, batch["labels"] != IGNORED))
    return sum(file.stat().st_size for file in folder.iterdir()) / tokens


def _task() -> Any:
    """What the loss reads of a task."""
    return SimpleNamespace(
        name="translation",
        distillable=lambda outputs, batch: [
            Distillable(outputs["logits"], batch["labels"] != IGNORED)
        ],
        loss=lambda outputs, batch: outputs.loss,
        counted=lambda batch: batch["labels"].numel(),
    )


class _Kept(OneTeacher):
    """Answers in files, as a training reads them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(_task(), Asked())
        self._file = KeptAnswers(folder, "answers-0")

    def _answered(
        self, batch: Mapping[str, Tensor], places: Sequence[int]
    ) -> Mapping[str, Answered]:
        return {"answers-0": self._file.read(places)}


class _Side:
    """A student, and the kind of its steps."""

    def __init__(self, vocabulary: int, losses: Sequence[LossItem]) -> None:
        torch.manual_seed(0)
        self._model: PreTrainedModel = BartForConditionalGeneration(_config(vocabulary)).train()
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=1e-4, fused=True)
        self._losses = losses

    def step(self, outputs: TeacherOutputs, batch: dict[str, Tensor], number: int) -> float:
        """The seconds of a step."""
        asked = outputs if _TEACHER in self._losses else None
        loss = DistillationLoss(asked, self._losses, _task())
        places = torch.arange(number * _ROWS, (number + 1) * _ROWS)
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=processor().fast_in_bf16):
            terms = loss(self._model, batch, places)
            total = torch.stack([term.value for term in terms]).sum()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return time.perf_counter() - start


def _config(vocabulary: int) -> BartConfig:
    """Six layers of 256, as a small translation student has."""
    return BartConfig(
        vocab_size=vocabulary,
        d_model=256,
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=1024,
        decoder_ffn_dim=1024,
        max_position_embeddings=128,
    )


if __name__ == "__main__":
    main()
