"""Stored tensors, read without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np


def stored_tensors(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of every tensor in the safetensors files of ``folder``, one after the other; bfloat16 and float8 as
    ``ml_dtypes`` has them."""
    import ml_dtypes  # noqa: F401 - teaches numpy the names bfloat16 and float8
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                yield name, tensors.get_tensor(name)
