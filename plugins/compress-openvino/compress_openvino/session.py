"""A session of OpenVINO. Importing this file imports OpenVINO with its telemetry off, and neither
torch nor transformers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from compress.engine import Placement
from compress.errors import ModelRefused, first_line

# It reports conversions to its makers, unless the package that does so cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402


class OpenVinoSession:
    """A loaded file: arrays in, named float32 arrays out."""

    def __init__(self, file: Path, placement: Placement) -> None:
        settings = {
            "INFERENCE_NUM_THREADS": placement.threads,
            # By default it multiplies in bfloat16 where the processor can.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._model = openvino.Core().compile_model(str(file), "CPU", settings)
        self.inputs = tuple(port.any_name for port in self._model.inputs)
        self.shapes = {port.any_name: _sizes(port) for port in self._model.inputs}

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's outputs by name, float32."""
        try:
            outputs = self._model({name: batch[name] for name in self.inputs})
        except RuntimeError as error:
            raise ModelRefused(f"OpenVINO cannot run the model: {first_line(error)}") from error
        return {port.any_name: np.asarray(outputs[port]) for port in self._model.outputs}


def _sizes(port: openvino.ConstOutput) -> tuple[int | str, ...]:
    """The sizes of an input's axes, with words for those that are any."""
    shape = port.get_partial_shape()
    return tuple(axis.get_length() if axis.is_static else str(axis) for axis in shape)


def constants(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of each constant of a file."""
    for node in openvino.Core().read_model(str(file)).get_ops():
        if node.get_type_name() == "Constant":
            yield node.friendly_name, node.data
