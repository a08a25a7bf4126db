"""A loaded model, as engines open it and tasks ask it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np


class Session(Protocol):
    """A loaded model: arrays in, named arrays out. ``inputs`` are the names of the arrays that it
    reads."""

    inputs: tuple[str, ...]

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name (``logits``), float32. Entries of ``batch`` that the model does not read
        are ignored."""
        ...
