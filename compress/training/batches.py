"""Batches of rows of about the same length, drawn so that an epoch depends on the seed and its
number alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from compress.processor import TextProcessor
from compress.task import Features, Task

_POOL = 50
"""Batches' worth of rows that are drawn together and sorted: enough to fill batches evenly, few
enough to stay random (transformers' LengthGroupedSampler uses the same number). Smaller pools were
slower and no better."""


class FeatureDataset(Dataset[Any]):
    """The features of a split with their positions."""

    def __init__(self, features: Sequence[Features]) -> None:
        self.features = features

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> tuple[int, Features]:
        return index, self.features[index]


class BucketedBatches(Sampler[list[int]]):
    """Batches of positions, bucketed by length and in random order; the same for the same seed and
    epoch.

    ``epoch`` is set before each pass. No global generator is drawn from, so a resumed run sees the
    same batches."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Name the pass that comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self.lengths))
        pool = _POOL * self.batch_size
        pools = np.split(order, range(pool, len(order), pool))
        positions = np.concatenate([p[np.argsort(self.lengths[p], kind="stable")] for p in pools])
        batches = np.split(positions, range(self.batch_size, len(positions), self.batch_size))
        for i in generator.permutation(len(batches)):
            yield batches[i].tolist()


class Collator:
    """Features to tensors. What a task draws (masks) depends on seed, epoch and the batch's first
    row, not on what was drawn before."""

    def __init__(self, task: Task[Any], processor: TextProcessor, batches: BucketedBatches) -> None:
        self.task, self.processor, self.batches = task, processor, batches

    def __call__(self, items: Sequence[tuple[int, Features]]) -> dict[str, torch.Tensor]:
        indices = [index for index, _ in items]
        generator = np.random.default_rng([self.batches.seed, self.batches.epoch, indices[0]])
        arrays = self.task.collate([features for _, features in items], self.processor, generator)
        batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return {**batch, "indices": torch.tensor(indices)}
