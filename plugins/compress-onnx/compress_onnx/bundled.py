"""Runs an ONNX model with ONNX Runtime alone: the file of a bundle that opens its model. It imports
nothing of the toolkit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

# Its Linux builds send usage data unless this is set before the first import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime  # noqa: E402


class Session:
    """A loaded model file: arrays in, named float32 arrays out. Several threads may call it."""

    def __init__(self, files: Sequence[Path], threads: int) -> None:
        (file,) = files
        options = onnxruntime.SessionOptions()
        # By default ONNX Runtime counts the machine's cores, not those that the process may use.
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.inputs = tuple(given.name for given in self._session.get_inputs())

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name, float32. Arrays that the model does not read are ignored."""
        outputs = self._session.run(self._outputs, {name: batch[name] for name in self.inputs})
        return {
            name: np.asarray(array, dtype=np.float32)
            for name, array in zip(self._outputs, outputs, strict=True)
        }
