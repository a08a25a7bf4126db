"""The stage ``quantize.qat``: what int8 rounds is learned. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from compress.artifact import Traits
from compress.distilling import LossItem, default_losses, loss_mistakes, several_temperatures
from compress.options import ArtifactReference, Options
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.task import Task
from compress.training import LIBRARIES as LIBRARIES_OF_TRAINING
from compress.training import TrainingOptions
from compress_onnx.names import LIBRARIES
from compress_onnx.options import Calibration, Int8Options, calibration_mistakes, more_in_floats


class QatOptions(TrainingOptions, Int8Options):
    """Options of ``quantize.qat``: those of training, of int8, and what is learned."""

    teacher: ArtifactReference | None = Field(
        default=None,
        description=(
            "Step, folder or hub id whose answers are learned; the default is the step's own "
            "input, in floats."
        ),
    )
    losses: list[LossItem] = Field(
        default_factory=default_losses,
        min_length=1,
        description="What is learned, each with its weight, as in distill: [logits, labels].",
    )
    calibration: Calibration = Field(
        default_factory=Calibration,
        description="How the ranges of activations are found that training starts from.",
    )


class QuantizeQat(Stage[QatOptions]):
    """An int8 ONNX model with fixed scales, as ``quantize.onnx`` makes in static mode, of a model
    that was trained while its weights and activations were rounded as they will be. The scales of
    activations are learned too."""

    name: ClassVar[str] = "quantize.qat"
    summary: ClassVar[str] = "Train a model to be int8 for ONNX Runtime, with fixed scales"
    Options: ClassVar[type[Options]] = QatOptions
    accepts: ClassVar[Accepts] = Accepts(trainable=True, task=True)
    libraries: ClassVar[tuple[str, ...]] = tuple(
        dict.fromkeys([*LIBRARIES, *LIBRARIES_OF_TRAINING])
    )
    reads_architectures: ClassVar[bool] = True
    needs_data: ClassVar[tuple[str, ...]] = ("train", "test")
    paper: ClassVar[str] = (
        "Jacob et al. 2018, Quantization and Training of Neural Nets, section 3 "
        "(arXiv:1712.05877); "
        "Esser et al. 2020, Learned Step Size Quantization, section 2 (arXiv:1902.08153); "
        "Jain et al. 2020, Trained Quantization Thresholds, section 3.3 (arXiv:1903.08066)"
    )

    @classmethod
    def produces(cls, traits: Traits, options: QatOptions, task: str) -> Traits:
        """ONNX, int8, no longer trainable."""
        return Traits(format="onnx", precision="int8", shape="stock", trainable=False, task=task)

    @classmethod
    def task_misfit(cls, task: type[Task[Any]]) -> str | None:
        """Models that generate: no rows show what their keys and values will be."""
        return (
            "finds ranges by reading texts, and this task generates" if task.generates() else None
        )

    @classmethod
    def check(cls, options: QatOptions) -> list[OptionMistake]:
        """Losses that do not go together, and options that the calibration does not read."""
        return [*_mistakes(options), *calibration_mistakes(options.calibration)]

    @classmethod
    def shares_work(cls, options: QatOptions) -> bool:
        """Always: it trains."""
        return True

    @classmethod
    def back_off(cls, options: QatOptions) -> QatOptions | None:
        """More layers in floats: 2, 4, then 8. None where layers are named."""
        kept = more_in_floats(options)
        return options.model_copy(update={"keep_float": kept}) if kept else None

    def apply(self, context: Context[QatOptions]) -> Made:
        """Write ``onnx/model_quantized.onnx``. Raises ModelRefused for a model that cannot be
        exported, of which nothing is quantized, or whose outputs are not finite."""
        from compress_onnx.learning import learn_int8

        return learn_int8(context)


def _mistakes(options: QatOptions) -> Iterator[OptionMistake]:
    if options.teacher is not None and all(loss.labels for loss in options.losses):
        hint = "leave teacher out, or add logits to losses"
        yield OptionMistake("teacher", "nothing of the teacher is learned", hint)
    yield from loss_mistakes(options.losses)
    if several_temperatures(options.losses):
        yield OptionMistake("losses", "answers are kept at one temperature", "take one of them")
