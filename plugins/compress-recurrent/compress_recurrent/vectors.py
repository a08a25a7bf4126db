"""Vectors of tokens: on fewer axes, and weighed by how frequent the tokens are. Pure functions of
tensors."""

from __future__ import annotations

import torch
from torch import Tensor

SMOOTH = 1e-3
"""The frequency at which a token counts half."""


def reduced(vectors: Tensor, size: int) -> tuple[Tensor, float]:
    """``vectors`` [n, width] on the ``size`` axes of the largest variance, without their mean:
    [n, size], and the share of the variance that these axes hold, from 0 to 1. Where ``size`` is
    the width they stay as they are.

    Principal component analysis (Pearson 1901), by the eigenvectors of the covariance in float64.
    The largest entry of each axis is positive, so the result does not depend on the sign that a
    solver gives it."""
    if size == vectors.shape[1]:
        return vectors, 1.0
    centred = vectors.double() - vectors.double().mean(dim=0)
    values, axes = torch.linalg.eigh(centred.T @ centred)  # ascending
    kept = axes[:, -size:].flip(1)
    signs = kept.gather(0, kept.abs().argmax(dim=0, keepdim=True)).sign()
    share = values[-size:].sum() / values.sum().clamp_min(torch.finfo(torch.float64).tiny)
    return (centred @ (kept * signs)).to(vectors.dtype), float(share)


def sif_weights(counts: Tensor) -> Tensor:
    """a / (a + p) for each token, float32 [n], with its share p of all tokens ``counts``, int64
    [n], and a = ``SMOOTH``. A token that is not in the counts weighs 1.

    Arora et al. 2017, A Simple but Tough-to-Beat Baseline for Sentence Embeddings, section 3
    (openreview.net/forum?id=SyK00v5xx)."""
    shares = counts.double() / counts.sum().clamp(min=1)
    return (SMOOTH / (SMOOTH + shares)).float()
