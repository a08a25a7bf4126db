"""OpenVINO: the stage ``export.openvino``, and the engine that runs what it makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from compress import hookimpl
from compress.artifact import Artifact, Traits
from compress.engine import Conversion, Engine, Placement, Session
from compress.options import Options
from compress.stage import Accepts, Context, Made, Stage
from compress.task import Task

FILE = "openvino_model.xml"
"""Where other tools look for a model. Its weights are in the ``.bin`` beside it."""


class ExportOpenVino(Stage[Options]):
    """A float OpenVINO model of a float PyTorch model of any shape."""

    name: ClassVar[str] = "export.openvino"
    summary: ClassVar[str] = "Export to OpenVINO."
    accepts: ClassVar[Accepts] = Accepts(task=True)
    libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers", "openvino")
    reads_architectures: ClassVar[bool] = True
    extra: ClassVar[str | None] = "openvino"

    @classmethod
    def produces(cls, traits: Traits, options: Options, task: str) -> Traits:
        """OpenVINO, no longer trainable. Its file holds any shape."""
        return Traits("openvino", "float", "stock", False, task)

    def apply(self, context: Context[Options]) -> Made:
        """Write the model, its config and its tokenizer."""
        from compress_openvino.exporting import export_artifact

        return export_artifact(context)


class OpenVino(Engine):
    """OpenVINO on the processor, in float32."""

    name: ClassVar[str] = "openvino"
    summary: ClassVar[str] = "OpenVINO on the processor."
    formats: ClassVar[tuple[str, ...]] = ("openvino",)
    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    extra: ClassVar[str | None] = "openvino"
    conversions: ClassVar[tuple[Conversion, ...]] = (Conversion("export.openvino"),)
    library: ClassVar[str | None] = "openvino"

    def start(self) -> None:
        """Import OpenVINO."""
        import compress_openvino.session  # noqa: F401

    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """A session on the artifact's file. Imports neither torch nor transformers."""
        from compress_openvino.session import OpenVinoSession

        return OpenVinoSession(artifact.folder / FILE, placement)

    def weights(self, artifact: Artifact) -> Iterator[tuple[str, np.ndarray]]:
        """Name and values of each constant of the artifact's file."""
        from compress_openvino.session import constants

        return constants(artifact.folder / FILE)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stage ``export.openvino``."""
    return [ExportOpenVino]


@hookimpl
def compress_engines() -> list[type[Engine]]:
    """The engine ``openvino``."""
    return [OpenVino]
