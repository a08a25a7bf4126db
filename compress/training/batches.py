"""Batches of rows of about the same length. They depend on nothing but the seed and the number of
the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from compress.errors import CompressError
from compress.featurising import take
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

    def __getitems__(self, indices: list[int]) -> list[tuple[int, Features]]:
        """The items of a batch, which are made together."""
        return list(zip(indices, take(self.features, indices), strict=True))


class BucketedBatches(Sampler[list[int]]):
    """Batches of positions, bucketed by length, in random order; equal for equal seed and
    epoch. Positions of different ``groups`` (one number for each) are never in one batch.

    ``set_epoch`` is called before each pass. Nothing is drawn from a global generator, so a
    resumed run gets the same batches."""

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        batch_size: int,
        seed: int,
        groups: Sequence[int] | np.ndarray = (),
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.groups = np.asarray(groups if len(groups) else np.zeros(len(lengths), np.int64))
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


@dataclass(frozen=True)
class Part:
    """What a process knows of a batch that several share. ``is_lent``: there were fewer rows than
    processes, so that this one computes with another's row, which may not count.
    ``has_no_label``: the loss of the whole batch would be a mean over nothing."""

    is_lent: bool
    has_no_label: bool


class Collator:
    """Turns the features of a batch into tensors: those of ``Task.collate``, and ``indices`` (int64
    [batch]), the rows' positions in the split. Of several processes each gets its rows of the
    batch, and its ``part``.

    What a task draws, such as masks, depends on the seed, the epoch and the batch's first row, not
    on earlier draws: a resumed run draws the same. Each process makes the whole batch, so that the
    draws do not depend on the number of processes either, and the rows of a batch have one length:
    the work is even."""

    def __init__(
        self,
        task: Task[Any],
        processor: Processor,
        batches: BucketedBatches,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.task, self.processor, self.batches = task, processor, batches
        self.rank, self.world = rank, world

    def __call__(self, items: Sequence[tuple[int, Features]]) -> dict[str, Any]:
        indices = [index for index, _ in items]
        generator = np.random.default_rng([self.batches.seed, self.batches.epoch, indices[0]])
        arrays = self.task.collate([features for _, features in items], self.processor, generator)
        own = own_rows(len(items), self.rank, self.world)
        whole = {name: torch.from_numpy(array) for name, array in arrays.items()}
        part = Part(is_lent=not own, has_no_label=self.task.counted(whole) == 0)
        rows = slice(own.start, own.stop) if own else slice(0, 1)
        batch: dict[str, Any] = {"indices": torch.tensor(indices[rows]), "part": part}
        for name, array in whole.items():
            if self.world > 1 and len(array) != len(items):
                raise CompressError(
                    f"task {self.task.name}: collate made {name} of shape {tuple(array.shape)} for "
                    f"{len(items)} examples: the first dimension is theirs"
                )
            # A process alone gets all of it: an example may have several rows in an array.
            batch[name] = array if self.world == 1 else array[rows]
        return batch


def own_rows(rows: int, rank: int, world: int) -> range:
    """The rows of a batch that one of ``world`` processes gets: neighbours, and the first processes
    one more where they cannot be shared evenly. Empty where there are fewer rows than processes."""
    each, more = divmod(rows, world)
    start = rank * each + min(rank, more)
    return range(start, start + each + (rank < more))
