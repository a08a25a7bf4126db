"""Runs an OpenVINO model with OpenVINO alone: the file of a bundle that opens its model. It imports
nothing of the toolkit."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np

# It reports conversions to its makers, unless the package that does so cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402


class Session:
    """A loaded model: arrays in, named float32 arrays out. Several threads may call it."""

    def __init__(self, files: Sequence[Path], threads: int) -> None:
        (file,) = files
        # By default it multiplies in bfloat16 where the processor can.
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        self._model = openvino.Core().compile_model(str(file), "CPU", settings)
        self._turn = Lock()  # the model has one place for inputs and outputs
        self.inputs = tuple(port.any_name for port in self._model.inputs)

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name, float32. Arrays that the model does not read are ignored."""
        with self._turn:
            outputs = self._model({name: batch[name] for name in self.inputs})
            return {
                port.any_name: np.array(outputs[port], dtype=np.float32)
                for port in self._model.outputs
            }
