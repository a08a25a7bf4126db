"""The tensors that an ONNX file stores, read without torch and without running it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir


def initializers(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of each initializer of ``file``'s graph and of the graphs within it,
    one after the other.

    Values in a file beside it are read when their turn comes. bfloat16 has the dtype of
    ``ml_dtypes``."""
    for graph in onnx_ir.load(file).graphs():
        for name, value in graph.initializers.items():
            if value.const_value is not None:
                yield name, value.const_value.numpy()
