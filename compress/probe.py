"""What a few training rows say of a model before it is cut."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from compress.models import forward
from compress.moments import Batch, counted
from compress.predict import split_by
from compress.processor import Processor
from compress.stage import Context, Data

_BATCH = 16


class Probe:
    """Batches of random training rows, and a model that runs on them in evaluation mode, without
    gradients."""

    def __init__(
        self, context: Context[Any], data: Data, processor: Processor, model: PreTrainedModel
    ) -> None:
        self._context, self._data, self._processor = context, data, processor
        self.model = model
        if torch.cuda.is_available():
            model.to(torch.device("cuda"))  # type: ignore[arg-type]

    def batches(self, rows: int) -> list[Batch]:
        """At most ``rows`` rows, of similar length in each batch."""
        task, draws = self._context.task, np.random.default_rng(self._context.seed)
        known = self._data.rows("train")
        drawn = np.sort(draws.permutation(len(known))[:rows])
        features = sorted(
            task.features([known[i] for i in drawn], self._processor), key=task.length
        )
        return [
            self._tensors(task.collate(part, self._processor, draws))
            for start in range(0, len(features), _BATCH)
            for some in [features[start : start + _BATCH]]
            for part in split_by([task.group(each) for each in some], some)
        ]

    @torch.no_grad()
    def run(self, batch: Batch) -> None:
        """Run the model on a batch, in evaluation mode."""
        was_training = self.model.training
        self.model.eval()
        try:
            forward(self.model, batch)
        finally:
            self.model.train(was_training)

    def influences(self, blocks: Sequence[nn.Module], batches: Sequence[Batch]) -> list[float]:
        """How much each block changes the state: 1 minus the cosine of what it is given and what it
        makes, a mean over tokens that count (Men et al. 2024, "ShortGPT", section 3.2)."""
        sums = [[0.0, 0.0] for _ in blocks]
        batch: Batch = {}

        def note(place: int, _: nn.Module, args: Any, named: Any, output: Any) -> None:
            given: Tensor = args[0] if args else named["hidden_states"]
            made: Tensor = output if isinstance(output, Tensor) else output[0]
            before, after = (counted(each, batch).double() for each in (given, made))
            likeness = nn.functional.cosine_similarity(before, after, dim=-1)
            sums[place][0] += float((1 - likeness).sum())
            sums[place][1] += len(likeness)

        hooks = [
            block.register_forward_hook(partial(note, place), with_kwargs=True)
            for place, block in enumerate(blocks)
        ]
        try:
            for batch in batches:
                self.run(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return [total / max(count, 1) for total, count in sums]

    def _tensors(self, arrays: Any) -> Batch:
        device = self.model.device
        return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
