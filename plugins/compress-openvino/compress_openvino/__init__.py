"""OpenVINO: the stages ``export.openvino`` and ``quantize.openvino``, and the engine that runs what
they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from compress import hookimpl
from compress.artifact import Artifact, Traits
from compress.engine import Conversion, Engine, Loading, Placement, Session
from compress.machine import lacks_vnni
from compress.options import Options
from compress.stage import Accepts, Context, Made, Stage
from compress.task import Task

BEGINNING = "openvino_"
"""How the names of the files begin where other tools look for them: ``openvino_model.xml``, with
its weights in the ``.bin`` beside it."""

LIBRARIES = ("torch", "transformers", "openvino")
"""Distributions whose versions shape a float model."""


class ExportOptions(Options):
    """Options of ``export.openvino``."""

    weights: Literal["fp32", "fp16"] = Field(
        default="fp32",
        description=(
            "fp16: weights are stored in half precision, in half the bytes; the engine computes in "
            "float32 with them."
        ),
    )


class QuantizeOptions(Options):
    """Options of ``quantize.openvino``."""

    samples: int = Field(
        default=300,
        ge=1,
        description="Training rows that are read to find the ranges of activations.",
    )
    smooth_quant: float | None = Field(
        default=0.95,
        ge=0,
        le=1,
        description=(
            "How much of the spread of activations the weights take over before the "
            "multiplication: 0 to 1; null: nothing is moved."
        ),
    )
    reduce_range: bool | Literal["auto"] = Field(
        default="auto",
        description=(
            "Use 7 of 8 bits in weights, because sums overflow on processors without VNNI; auto: "
            "only where the processor that quantizes is an x86 one without VNNI."
        ),
    )

    def left_to_machine(self) -> Mapping[str, Any]:
        """``reduce_range``, where it is ``auto``."""
        return {"reduce_range": self.reduces_range()} if self.reduce_range == "auto" else {}

    def reduces_range(self) -> bool:
        """Whether weights use 7 of 8 bits, decided for this machine if ``auto``."""
        return lacks_vnni() if self.reduce_range == "auto" else self.reduce_range


class ExportOpenVino(Stage[ExportOptions]):
    """A float OpenVINO model of a float PyTorch model of any shape. Its outputs are compared with
    the PyTorch model's, on other batches than those it was made with."""

    name: ClassVar[str] = "export.openvino"
    summary: ClassVar[str] = "Export to OpenVINO in float32, or with weights in float16"
    Options: ClassVar[type[Options]] = ExportOptions
    accepts: ClassVar[Accepts] = Accepts(task=True)
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    reads_architectures: ClassVar[bool] = True
    extra: ClassVar[str | None] = "openvino"
    offers: ClassVar[Sequence[Mapping[str, Any]]] = ({},)

    @classmethod
    def produces(cls, traits: Traits, options: ExportOptions, task: str) -> Traits:
        """OpenVINO, float, no longer trainable. Its file holds any shape."""
        return Traits("openvino", "float", "stock", False, task)

    def apply(self, context: Context[ExportOptions]) -> Made:
        """Write the model, its config and its tokenizer. Raises ModelRefused for a model that
        cannot be exported, or that answers otherwise."""
        from compress_openvino.make import export_artifact

        return export_artifact(context)


class QuantizeOpenVino(Stage[QuantizeOptions]):
    """An int8 OpenVINO model of a float PyTorch model or of a float OpenVINO model."""

    name: ClassVar[str] = "quantize.openvino"
    summary: ClassVar[str] = "Quantize weights and activations to int8 for OpenVINO"
    Options: ClassVar[type[Options]] = QuantizeOptions
    accepts: ClassVar[Accepts] = Accepts(formats=("pytorch", "openvino"), task=True)
    libraries: ClassVar[tuple[str, ...]] = (*LIBRARIES, "nncf")
    reads_architectures: ClassVar[bool] = True
    needs_data: ClassVar[tuple[str, ...]] = ("train",)
    extra: ClassVar[str | None] = "openvino"
    offers: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    paper: ClassVar[str] = "Xiao et al. 2023, SmoothQuant, section 4 (arXiv:2211.10438)"

    @classmethod
    def produces(cls, traits: Traits, options: QuantizeOptions, task: str) -> Traits:
        """OpenVINO, int8, no longer trainable."""
        return replace(ExportOpenVino.produces(traits, ExportOptions(), task), precision="int8")

    @classmethod
    def task_misfit(cls, task: type[Task[Any]]) -> str | None:
        """Models that generate: no rows show what their keys and values will be."""
        return (
            "finds ranges by reading texts, and this task generates" if task.generates() else None
        )

    def apply(self, context: Context[QuantizeOptions]) -> Made:
        """Write the model, its config and its tokenizer. Raises ModelRefused where nothing is
        quantized or an output is not finite."""
        from compress_openvino.quantizing import quantize_artifact

        return quantize_artifact(context)


class OpenVino(Engine):
    """OpenVINO on the processor, in float32 where a model is not int8."""

    name: ClassVar[str] = "openvino"
    summary: ClassVar[str] = "OpenVINO on the processor"
    formats: ClassVar[tuple[str, ...]] = ("openvino",)
    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    extra: ClassVar[str | None] = "openvino"
    conversions: ClassVar[tuple[Conversion, ...]] = (
        Conversion("export.openvino", thorough_only=True),
    )
    library: ClassVar[str | None] = "openvino"
    bundled: ClassVar[str] = "compress_openvino.bundled"

    def start(self) -> None:
        """Import OpenVINO."""
        import compress_openvino.opening  # noqa: F401

    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """A session on the artifact's files. Imports neither torch nor transformers."""
        from compress_openvino.opening import open_parts

        return open_parts(self.model_files(artifact), placement, artifact.folder)

    def model_files(self, artifact: Artifact) -> tuple[Path, ...]:
        """The files of the artifact that describe a part of its model each."""
        return tuple(sorted(artifact.folder.glob(f"{BEGINNING}*.xml")))

    def weights(self, artifact: Artifact) -> Iterator[tuple[str, np.ndarray]]:
        """Name and values of each constant of the artifact's files."""
        from compress_openvino.session import constants

        return chain.from_iterable(map(constants, self.model_files(artifact)))

    @classmethod
    def loading(cls, traits: Traits, task: type[Task[Any]]) -> Loading | None:
        """OpenVINO and tokenizers alone. An answer that is generated needs a loop, which is the
        toolkit's."""
        from compress_openvino.loading import LOADING

        return None if task.generates() else LOADING


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stages of this plugin."""
    return [ExportOpenVino, QuantizeOpenVino]


@hookimpl
def compress_engines() -> list[type[Engine]]:
    """The engine of this plugin."""
    return [OpenVino]
