"""Layers that are compared by how near they are: each of the student with one of its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from compress.teacher import Pair
from compress_distill.matching import Place


def learned_pairs(pairs: Sequence[Pair], layers: Place, distance: str) -> list[Pair]:
    """The hidden states of each of the student's layers beside those of the teacher's layer that is
    nearest by the ``distance``, ``cosine`` or ``mse``, in this batch. ``pairs`` are those of
    ``matching.matched``, which hold each of the ``layers`` of both.

    Later layers never take earlier ones of the teacher than those before them do: of all such
    choices it is the one with the least sum of distances. Xia et al. 2022, CoFi, section 3.2
    (arXiv:2204.00408)."""
    own, theirs = layers
    student = torch.stack([pair.student.detach() for pair in pairs[:own]])
    teacher = torch.stack([pair.teacher for pair in pairs[:theirs]])  # type: ignore[misc]
    chosen = nearest_in_order(layer_distances(student, teacher, distance))
    return [replace(pairs[i], teacher=pairs[place].teacher) for i, place in enumerate(chosen)]


@torch.no_grad()
def layer_distances(student: Tensor, teacher: Tensor, distance: str) -> Tensor:
    """How far each layer of a ``student`` [n, tokens, width] is from each of a ``teacher``
    [m, tokens, width], float32 [n, m], but for a factor that is the same for all."""
    own, theirs = student.float(), teacher.float()
    if distance == "cosine":
        own, theirs = (functional.normalize(states, dim=-1) for states in (own, theirs))
    own, theirs = own.flatten(1), theirs.flatten(1)
    squares = own.square().sum(dim=1)[:, None] + theirs.square().sum(dim=1)
    return squares - 2 * own @ theirs.T


def nearest_in_order(distances: Tensor) -> list[int]:
    """For each line of ``distances`` [n, m] a column, never before that of the line above, so that
    the sum is least; of equal ones the first."""
    lines: list[list[float]] = distances.tolist()
    columns = range(len(lines[0]))
    # best[j]: the least sum of the lines so far whose last column is j or one before it, and their
    # columns.
    best: list[tuple[float, list[int]]] = [(0.0, [])] * len(lines[0])
    for line in lines:
        ending = [(best[j][0] + line[j], [*best[j][1], j]) for j in columns]
        best = [min(ending[: j + 1], key=lambda one: one[0]) for j in columns]
    return best[-1][1]
