"""A session over a PyTorch model in memory: an artifact that the torch engine opened, or a
model in training."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from compress.generating import cache_bytes, generate
from compress.generation import CacheBytes, Limits, OnToken

TARGETS = frozenset({"labels", "start_positions", "end_positions"})
"""Inputs of a forward pass that hold the right answers. With them a model computes a loss
too."""


class TorchSession:
    """Arrays in, arrays out, without gradients and dropout. The model's training mode is
    restored.

    ``model`` must be on ``device`` already. The caller sets the threads: torch has one
    setting for the whole process."""

    def __init__(self, model: PreTrainedModel, device: str) -> None:
        self.model = model
        self.device = device
        names = inspect.signature(model.forward).parameters
        self.inputs = tuple(
            n for n, p in names.items() if n not in TARGETS and p.kind is not p.VAR_KEYWORD
        )
        # A decoder would also return its keys and values, which nobody reads here.
        self.switches = {"use_cache": False} if "use_cache" in names else {}
        # Not every model of a plugin takes it; such a one returns an output object anyway.
        takes_more = any(p.kind is p.VAR_KEYWORD for p in names.values())
        self._form = {"return_dict": True} if takes_more or "return_dict" in names else {}

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's floating-point outputs by name, float32, on the host."""
        return {
            n: v.float().cpu().numpy()
            for n, v in self.forward(batch).items()
            if torch.is_tensor(v) and v.is_floating_point()
        }

    def forward(self, batch: Mapping[str, np.ndarray], **switches: bool) -> Any:
        """The model's own output object, with tensors on the device. ``switches`` are arguments
        of its forward pass, such as ``output_hidden_states``, and left out where they are
        False."""
        on = {name: value for name, value in switches.items() if value}
        tensors = {
            n: torch.as_tensor(a, device=self.device) for n, a in batch.items() if n in self.inputs
        }
        training = self.model.training
        if training:
            self.model.train(False)
        try:
            with torch.inference_mode():
                return self.model(**tensors, **self.switches, **on, **self._form)
        finally:
            if training:
                self.model.train(True)

    def generate(
        self, batch: Mapping[str, np.ndarray], limits: Limits, on_token: OnToken | None = None
    ) -> list[list[int]]:
        """The new tokens for each example, as ``compress.engine.GeneratingSession`` says. Raises
        ModelRefused for a model that transformers cannot generate with."""
        read = {name: array for name, array in batch.items() if name in self.inputs}
        return generate(self.model, self.device, read, limits, on_token)

    def cache_bytes(self) -> CacheBytes | None:
        """Bytes of keys and values for each token, as ``compress.session.CountingSession`` says."""
        return cache_bytes(self.model, self.device)

    def elapsed(self, batch: Mapping[str, np.ndarray]) -> float | None:
        """Milliseconds of one ``run`` by the GPU's own clock, with the copies in and out; None
        without a GPU."""
        # CUDA events are recorded in the stream of the run. A synchronization of the whole device
        # would also wait for other work of the process.
        if self.device != "cuda":
            return None
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        self.run(batch)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))
