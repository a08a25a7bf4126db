"""The engine ``toy.tensors``: it opens any file of tensors, and answers nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from safetensors.numpy import load_file

from compress.artifact import Artifact
from compress.engine import Engine, Placement, Session
from compress.task import Task

FORMAT = "tensors"
WEIGHTS = "model.safetensors"


class Tensors:
    """A session over tensors."""

    inputs: tuple[str, ...] = ()

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.tensors = tensors

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """No outputs."""
        return {}


class TensorsEngine(Engine):
    """Opens what ``toy.nudge`` writes."""

    name: ClassVar[str] = "toy.tensors"
    summary: ClassVar[str] = "Reads tensors and answers nothing."
    formats: ClassVar[tuple[str, ...]] = (FORMAT,)
    packages: ClassVar[tuple[str, ...]] = ("safetensors",)

    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """The tensors of the artifact."""
        return Tensors(load_file(artifact.folder / WEIGHTS))
