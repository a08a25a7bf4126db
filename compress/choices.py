"""Answers over many choices, such as the tokens of a vocabulary, of which a few choices stand for
all. No probability is stored that a student does not need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

BLOCK = 1 << 18
"""Numbers that are computed at once in float32: 1 MB, which a core's cache holds."""

Form = Literal["sample", "top"]


@dataclass(frozen=True)
class Choices:
    """Some choices of n answers over ``width`` choices, one answer after the other.

    ``ids``, int64 [m], are the choices, ``weights``, float32 [m], how much each counts; those of
    answer i stand from ``starts[i]`` to ``starts[i + 1]`` (int64 [n + 1]). ``constants`` are
    float32 [n]. What they mean depends on ``form``:

    ``sample``: choices that were drawn, with repetition. A weight is the share of an answer's
    draws, so weights sum to 1, and their expectation is the distribution. The constant is the mean
    over the draws of the logarithm of their probability.
    ``top``: the most probable choices with their probabilities. The constant is the probability of
    all others together."""

    ids: Tensor
    weights: Tensor
    starts: Tensor
    constants: Tensor
    width: int
    form: Form

    def __len__(self) -> int:
        return len(self.constants)

    def to(self, device: torch.device) -> Choices:
        """The same on another device."""
        ids, weights = self.ids.to(device), self.weights.to(device)
        starts, constants = self.starts.to(device), self.constants.to(device)
        return Choices(ids, weights, starts, constants, self.width, self.form)

    def part(self, start: int, stop: int) -> Choices:
        """The answers from ``start`` to ``stop``."""
        starts = self.starts[start : stop + 1]
        some = slice(int(starts[0]), int(starts[-1]))
        constants = self.constants[start:stop]
        return Choices(
            self.ids[some], self.weights[some], starts - starts[0], constants, self.width, self.form
        )

    @property
    def lines(self) -> Tensor:
        """The answer of each choice, int64 [m]."""
        numbers = torch.arange(len(self), device=self.ids.device)
        return numbers.repeat_interleave(self.starts.diff())


def spans(count: int, width: int) -> Iterator[tuple[int, int]]:
    """The ranges of ``count`` lines of ``width`` numbers that are computed at once."""
    size = max(1, BLOCK // max(1, width))
    for start in range(0, count, size):
        yield start, min(start + size, count)


def blocks(values: Tensor, rows: Tensor | None) -> Iterator[Tensor]:
    """``values`` [m, width] at ``rows``, int64 [n] (None: all), float32, some lines at a time."""
    count = len(values) if rows is None else len(rows)
    for start, stop in spans(count, values.shape[-1]):
        yield values[slice(start, stop) if rows is None else rows[start:stop]].float()


def sampled(
    values: Tensor,
    rows: Tensor | None,
    temperature: float,
    draws: int,
    generator: torch.Generator,
) -> Choices:
    """``draws`` choices of each answer, drawn by their probabilities at a ``temperature``.

    ``values`` [m, width] are logits, and answers stand at ``rows``. The weights are an unbiased
    estimate of softmax(values / temperature); so is the gradient of a cross-entropy with them.
    Anshumann et al. 2025, Sparse Logit Sampling, section 3 (arXiv:2503.16870), with the
    distribution itself as the proposal."""
    ids, weights, sizes, constants = [], [], [], []
    for block in blocks(values, rows):
        logs = (block / temperature).log_softmax(dim=-1)
        drawn = torch.multinomial(logs.exp(), draws, replacement=True, generator=generator)
        count, width = logs.shape
        first = width * torch.arange(count, device=drawn.device)
        keys, counts = torch.unique(drawn + first[:, None], return_counts=True)
        lines, share = keys // width, counts.float() / draws
        ids.append(keys % width)
        weights.append(share)
        sizes.append(lines.bincount(minlength=count))
        told = share * logs.flatten()[keys]
        constants.append(logs.new_zeros(count).index_add_(0, lines, told))
    return _joined(values, ids, weights, sizes, constants, "sample")


def top(values: Tensor, rows: Tensor | None, temperature: float, most: int) -> Choices:
    """The ``most`` probable choices of each answer at a ``temperature``, and the probability of the
    others together; arguments as in ``sampled``. How the others share it is not told, so what is
    learned of them is biased."""
    ids, weights, sizes, constants = [], [], [], []
    for block in blocks(values, rows):
        shares = (block / temperature).softmax(dim=-1)
        best, places = shares.topk(min(most, shares.shape[-1]), dim=-1)
        ids.append(places.flatten())
        weights.append(best.flatten())
        sizes.append(places.new_full((len(block),), places.shape[-1]))
        # A sum of the others: 1 minus the sum of the best would be rounding where they are few.
        constants.append(shares.scatter(-1, places, 0.0).sum(dim=-1))
    return _joined(values, ids, weights, sizes, constants, "top")


def _joined(
    values: Tensor,
    ids: list[Tensor],
    weights: list[Tensor],
    sizes: list[Tensor],
    constants: list[Tensor],
    form: Form,
) -> Choices:
    none = values.new_zeros(0, dtype=torch.int64)
    starts = torch.cat([none.new_zeros(1), *sizes]).cumsum(0)
    numbers = none.float()
    return Choices(
        torch.cat([none, *ids]),
        torch.cat([numbers, *weights]),
        starts,
        torch.cat([numbers, *constants]),
        values.shape[-1],
        form,
    )
