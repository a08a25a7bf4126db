"""Batches whose targets a student wrote itself, as it is at that step. Agarwal et al. 2024,
On-Policy Distillation of Language Models, section 3 (arXiv:2306.13649)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from torch import Tensor
from transformers import PreTrainedModel

from compress.errors import UsageError
from compress.featurising import FeatureRows
from compress.processor import Processor
from compress.sessions import TorchSession
from compress.task import Row, Task


class OwnTargets:
    """Targets that a student draws by its own probabilities, for a ``share`` of the batches.

    All that is drawn comes from torch's global generator, of which a checkpoint keeps the state: a
    resumed training draws the same."""

    def __init__(
        self, task: Task[Any], rows: Sequence[Row], processor: Processor, share: float
    ) -> None:
        self._task, self._rows, self._processor, self._share = task, rows, processor, share
        self._features = FeatureRows(task, rows, processor)
        if len(self._features) != len(rows):
            raise UsageError(
                "on_policy: some rows are cut into several parts, whose answers the student would "
                "write apart: set on_policy: 0"
            )

    def batch(self, model: PreTrainedModel, indices: Tensor) -> dict[str, Tensor] | None:
        """The batch of the rows at ``indices`` with targets that ``model`` wrote; None for a batch
        that keeps its targets."""
        if float(torch.rand(())) >= self._share:
            return None
        seed = int(torch.randint(2**31 - 1, ()))
        rows = [self._rows[place] for place in indices.tolist()]
        features = self._features.take(indices.tolist())
        limits = self._task.limits().model_copy(
            update={"beams": 1, "temperature": 1.0, "top_p": 1.0, "seed": seed}
        )
        session = TorchSession(extract_model_from_parallel(model), str(indices.device))
        answers = self._task.answer(session, features, self._processor, limits)
        # What autocast cast without gradients must not be used in the step.
        torch.clear_autocast_cache()
        written = [
            self._task.with_answer(row, answer) for row, answer in zip(rows, answers, strict=True)
        ]
        arrays = self._task.collate(self._task.features(written, self._processor), self._processor)
        return {name: torch.as_tensor(a, device=indices.device) for name, a in arrays.items()}
