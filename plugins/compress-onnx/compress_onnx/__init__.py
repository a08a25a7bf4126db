"""ONNX: the stages ``export.onnx``, ``quantize.onnx`` and ``quantize.qat``, and the engine
``onnxruntime`` that runs what they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from compress import hookimpl
from compress.artifact import Artifact, Traits
from compress.engine import Conversion, Engine, Loading, Placement, Session
from compress.errors import UsageError
from compress.options import Options
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.task import Task
from compress_onnx.names import FLOAT_FILE, FOLDER, INT8_ENDING, INT8_FILE, LIBRARIES
from compress_onnx.options import ExportOptions, QuantizeOptions, mistakes_of, more_in_floats
from compress_onnx.qat import QatOptions, QuantizeQat

__all__ = [
    "FLOAT_FILE",
    "FOLDER",
    "INT8_FILE",
    "ExportOnnx",
    "ExportOptions",
    "OnnxRuntimeEngine",
    "QatOptions",
    "QuantizeOnnx",
    "QuantizeOptions",
    "QuantizeQat",
]


class ExportOnnx(Stage[ExportOptions]):
    """A float ONNX model of a float PyTorch model of any shape. Its outputs are compared
    with the PyTorch model's, on other batches than the traced one."""

    name: ClassVar[str] = "export.onnx"
    summary: ClassVar[str] = "Export to ONNX in float32"
    Options: ClassVar[type[Options]] = ExportOptions
    accepts: ClassVar[Accepts] = Accepts(task=True)
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    reads_architectures: ClassVar[bool] = True
    offers: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"fusions": True})

    @classmethod
    def produces(cls, traits: Traits, options: ExportOptions, task: str) -> Traits:
        """ONNX, float, no longer trainable. An ONNX file holds any shape, so nothing is
        replayed at load."""
        return Traits(format="onnx", precision="float", shape="stock", trainable=False, task=task)

    def apply(self, context: Context[ExportOptions]) -> Made:
        """Write ``onnx/model.onnx``; of a model with an encoder that generates,
        ``onnx/encoder_model.onnx`` and ``onnx/decoder_model_merged.onnx``. Raises CompressError
        where they differ from the PyTorch model."""
        from compress_onnx.make import export

        source = _source(context)
        export(context, source)
        return Made(parameters=source.manifest.parameters)


class QuantizeOnnx(Stage[QuantizeOptions]):
    """An int8 ONNX model of a float PyTorch model or of a float ONNX model."""

    name: ClassVar[str] = "quantize.onnx"
    summary: ClassVar[str] = "Quantize weights and embeddings to int8 for ONNX Runtime"
    Options: ClassVar[type[Options]] = QuantizeOptions
    accepts: ClassVar[Accepts] = Accepts(formats=("pytorch", "onnx"), task=True)
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    reads_architectures: ClassVar[bool] = True
    offers: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"per_channel": True})
    paper: ClassVar[str] = (
        "Jacob et al. 2018, Quantization and Training of Neural Nets, arXiv:1712.05877, section 2"
    )

    @classmethod
    def produces(cls, traits: Traits, options: QuantizeOptions, task: str) -> Traits:
        """ONNX, int8, no longer trainable."""
        return replace(ExportOnnx.produces(traits, options, task), precision="int8")

    @classmethod
    def splits_needed(cls, options: QuantizeOptions) -> tuple[str, ...]:
        """Training rows, which fix the scales of static mode."""
        return ("train",) if options.mode == "static" else ()

    @classmethod
    def back_off(cls, options: QuantizeOptions) -> QuantizeOptions | None:
        """One scale for each output channel, which rounds weights less; where each has one in
        static mode, more layers in floats: 2, 4, then 8. None where that is asked for, or layers
        are named."""
        if not options.scales_channels:
            return options.model_copy(update={"per_channel": True})
        kept = None if options.mode == "dynamic" else more_in_floats(options)
        return options.model_copy(update={"keep_float": kept}) if kept else None

    @classmethod
    def check(cls, options: QuantizeOptions) -> list[OptionMistake]:
        """Options that the mode or the method does not read."""
        return mistakes_of(options)

    def apply(self, context: Context[QuantizeOptions]) -> Made:
        """Write ``onnx/model_quantized.onnx``, or the int8 form of each file that ``export.onnx``
        writes. Raises CompressError where nothing is quantized or an output is not finite."""
        from compress_onnx.make import quantize

        source = _source(context)
        notes = quantize(context, source)
        return Made(parameters=source.manifest.parameters, notes=notes)


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime on the processor, or on a GPU where its GPU build is installed."""

    name: ClassVar[str] = "onnxruntime"
    summary: ClassVar[str] = "ONNX Runtime"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    conversions: ClassVar[tuple[Conversion, ...]] = (
        Conversion("export.onnx"),
        Conversion("export.onnx", {"fusions": True}, "-fused"),
    )
    library: ClassVar[str | None] = "onnxruntime"
    bundled: ClassVar[str] = "compress_onnx.bundled"

    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """A session on the artifact's ONNX files. Imports neither torch nor transformers.

        Raises EnvironmentFailure where ONNX Runtime cannot use the device."""
        from compress_onnx.opening import open_parts

        ending = _ending(artifact)
        files = {file.stem.removesuffix(ending): file for file in self.model_files(artifact)}
        return open_parts(files, placement, artifact.folder)

    def start(self) -> None:
        """Import ONNX Runtime."""
        import compress_onnx.opening  # noqa: F401

    def model_files(self, artifact: Artifact) -> tuple[Path, ...]:
        """The ONNX files of the artifact, one for each part of its model."""
        files = sorted((artifact.folder / FOLDER).glob(f"*{_ending(artifact)}.onnx"))
        return tuple(files)

    def weights(self, artifact: Artifact) -> Iterator[tuple[str, np.ndarray]]:
        """Name and values of every initializer of the artifact's ONNX files, those beside them
        included. A tensor that two files hold comes twice. No torch."""
        from compress_onnx.weights import initializers

        return chain.from_iterable(map(initializers, self.model_files(artifact)))

    def devices(self) -> tuple[str, ...]:
        """``cuda`` first where ONNX Runtime was built for it, then ``cpu``. Imports ONNX
        Runtime."""
        from compress_onnx.session import devices

        return devices()

    @classmethod
    def loading(cls, traits: Traits, task: type[Task[Any]]) -> Loading | None:
        """ONNX Runtime and tokenizers alone. An answer that is generated needs a loop, which is the
        toolkit's."""
        from compress_onnx.loading import LOADING

        return None if task.generates() else LOADING


def _ending(artifact: Artifact) -> str:
    """How the names of the artifact's ONNX files end, before their suffix."""
    return INT8_ENDING if artifact.traits.precision == "int8" else ""


def _source(context: Context[Any]) -> Artifact:
    if context.input is None:
        raise UsageError("a stage that makes ONNX needs a model before it")
    return context.input


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stages of this plugin."""
    return [ExportOnnx, QuantizeOnnx, QuantizeQat]


@hookimpl
def compress_engines() -> list[type[Engine]]:
    """The engine of this plugin."""
    return [OnnxRuntimeEngine]
