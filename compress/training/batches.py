"""Batches of rows of about the same length. They depend on nothing but the seed and the number of
the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from compress.processor import Processor
from compress.task import Features, Task

_POOL = 50
"""Rows are drawn in pools of this many batches and sorted within each: enough to fill
batches with equal lengths, few enough to stay random (transformers' LengthGroupedSampler
uses the same number). Smaller pools were slower and no better."""


class FeatureDataset(Dataset[Any]):
    """The features of a split with their positions."""

    def __init__(self, features: Sequence[Features]) -> None:
        self.features = features

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> tuple[int, Features]:
        return index, self.features[index]


class BucketedBatches(Sampler[list[int]]):
    """Batches of positions, bucketed by length, in random order; equal for equal seed and
    epoch. Positions of different ``groups`` (one number for each) are never in one batch.

    ``set_epoch`` is called before each pass. Nothing is drawn from a global generator, so a
    resumed run gets the same batches."""

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, groups: Sequence[int] = ()
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.groups = np.asarray(groups or [0] * len(lengths))
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        sizes = np.unique(self.groups, return_counts=True)[1]
        return int(sum(-(-sizes // self.batch_size)))

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the pass that comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self.lengths))
        pool = _POOL * self.batch_size
        pools = np.split(order, range(pool, len(order), pool))
        positions = np.concatenate([p[np.argsort(self.lengths[p], kind="stable")] for p in pools])
        batches: list[np.ndarray] = []
        for group in np.unique(self.groups):
            places = positions[self.groups[positions] == group]
            batches += np.split(places, range(self.batch_size, len(places), self.batch_size))
        for i in generator.permutation(len(batches)):
            yield batches[i].tolist()


class Collator:
    """Turns the features of a batch into tensors: those of ``Task.collate``, and ``indices`` (int64
    [batch]), the rows' positions in the split.

    What a task draws, such as masks, depends on the seed, the epoch and the batch's first row, not
    on earlier draws: a resumed run draws the same."""

    def __init__(self, task: Task[Any], processor: Processor, batches: BucketedBatches) -> None:
        self.task, self.processor, self.batches = task, processor, batches

    def __call__(self, items: Sequence[tuple[int, Features]]) -> dict[str, torch.Tensor]:
        indices = [index for index, _ in items]
        generator = np.random.default_rng([self.batches.seed, self.batches.epoch, indices[0]])
        arrays = self.task.collate([features for _, features in items], self.processor, generator)
        batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return {**batch, "indices": torch.tensor(indices)}
