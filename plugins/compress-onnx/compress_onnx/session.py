"""A session of ONNX Runtime. Importing this file imports ONNX Runtime, with its telemetry
off, and neither torch nor transformers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from compress.cached import is_decoder
from compress.engine import Placement
from compress.errors import EnvironmentFailure, ModelRefused, first_line, listed

# Its Linux builds send usage data unless this is set before the first import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime  # noqa: E402
from onnxruntime.capi import onnxruntime_pybind11_state as _raised  # noqa: E402

_REFUSALS = (
    _raised.Fail,
    _raised.InvalidArgument,
    _raised.InvalidGraph,
    _raised.InvalidProtobuf,
    _raised.NotImplemented,
)
"""What ONNX Runtime raises for a file that it cannot run. A lack of memory is another error."""
FAILURES = (ModelRefused, _raised.RuntimeException)
"""What a run of a session raises where it fails; the second for want of memory too."""
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
_TYPES: Mapping[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(bool)": np.bool_,
}


class OnnxSession:
    """A loaded ONNX file: arrays in, named float32 arrays out.

    The pool has exactly ``placement.threads`` threads: by default ONNX Runtime counts the
    machine's cores, not those that the process may use. Its threads spin for a moment
    between operators, which is left on. An engine has a process to itself, and a 6-layer
    int8 encoder at batch 1 needed 2.4 to 2.9 ms with spinning and 3.4 to 4.4 ms without
    (two threads, three processes each).
    """

    def __init__(self, file: Path, placement: Placement, *, rests: bool = False) -> None:
        """With ``rests`` the threads stop spinning at the end of a run, because another session of
        the process goes on. Raises ModelRefused for a file that ONNX Runtime cannot load, or whose
        inputs are of a type that no task gives."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = placement.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if rests:
            options.add_session_config_entry("session.force_spinning_stop", "1")
        wanted = _provider(placement.device)
        providers = list(dict.fromkeys([wanted, _PROVIDERS["cpu"]]))
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        except _REFUSALS as error:
            raise ModelRefused(f"ONNX Runtime cannot load {file}: {first_line(error)}") from error
        if wanted not in self._session.get_providers():
            # Where a GPU does not start, ONNX Runtime would silently use the processor.
            raise EnvironmentFailure(
                f"onnxruntime {onnxruntime.__version__} could not start {wanted}; are the CUDA "
                "and cuDNN that it was built for installed?"
            )
        self._types = _input_types(self._session, file)
        self._outputs = [o.name for o in self._session.get_outputs()]
        self.inputs = tuple(self._types)
        self._is_decoder = is_decoder(self.inputs)
        self.shapes = {given.name: tuple(given.shape) for given in self._session.get_inputs()}

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's outputs by name, float32."""
        missing = [name for name in self.inputs if name not in batch]
        if missing:
            raise ModelRefused(f"the ONNX graph has inputs that the task lacks: {listed(missing)}")
        inputs: dict[str, np.ndarray] = {
            n: np.asarray(batch[n], dtype=t) for n, t in self._types.items()
        }
        try:
            outputs = self._computed(inputs)
        except _REFUSALS as error:
            raise ModelRefused(f"ONNX Runtime cannot run the model: {first_line(error)}") from error
        return {
            n: np.asarray(v, dtype=np.float32) for n, v in zip(self._outputs, outputs, strict=True)
        }

    def _computed(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """The outputs in their order.

        Those of a decoder are read where ONNX Runtime left them, and cannot be written to: its keys
        and values would be copied with each token. With those of 512 tokens of a GPT-2 a token
        takes about 15 % less time so."""
        if not self._is_decoder:
            outputs: Sequence[np.ndarray] = self._session.run(self._outputs, inputs)
            return outputs
        wrap = onnxruntime.OrtValue.ortvalue_from_numpy
        given = {name: wrap(np.ascontiguousarray(array)) for name, array in inputs.items()}
        values = self._session.run_with_ort_values(self._outputs, given)
        return [np.from_dlpack(value) for value in values]


def devices() -> tuple[str, ...]:
    """The devices of this build of ONNX Runtime, best first."""
    available = onnxruntime.get_available_providers()
    return tuple(device for device, provider in _PROVIDERS.items() if provider in available)


def _input_types(session: onnxruntime.InferenceSession, file: Path) -> dict[str, type[np.generic]]:
    types = {}
    for given in session.get_inputs():
        if given.type not in _TYPES:
            raise ModelRefused(f"{file}: its input {given.name!r:.60} is a {given.type}")
        types[given.name] = _TYPES[given.type]
    return types


def _provider(device: str) -> str:
    if device not in devices():
        raise EnvironmentFailure(
            f"onnxruntime {onnxruntime.__version__} is not built for {device}, it has: "
            f"{', '.join(devices())}; for a GPU, install onnxruntime-gpu in its place"
        )
    return _PROVIDERS[device]
