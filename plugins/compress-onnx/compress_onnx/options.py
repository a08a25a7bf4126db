"""The options of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from compress.machine import lacks_vnni
from compress.options import Options
from compress.stage import OptionMistake

_PERCENTILE = 99.99
_MOST_KEPT = 8
"""Layers in floats of the last try of a step that backs off."""


class Int8Options(Options):
    """What every stage can say that stores int8 weights."""

    keep_float: list[str] | Annotated[int, Field(ge=1)] = Field(
        default=[],
        description=(
            "Layers that stay in float32, by the names of their modules or patterns of them, such "
            "as `*.layer.0.*` or `classifier`; or how many: those that lose most in int8, found by "
            "putting one at a time to float32."
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
        """``reduce_range``, where it is ``auto``, and what others leave."""
        left = dict(super().left_to_machine())
        if self.reduce_range == "auto":
            left["reduce_range"] = self.reduces_range()
        return left

    def reduces_range(self) -> bool:
        """Whether weights use 7 of 8 bits, decided for this machine if ``auto``."""
        return lacks_vnni() if self.reduce_range == "auto" else self.reduce_range


class ExportOptions(Options):
    """Options of ``export.onnx``."""

    fusions: bool = Field(
        default=False,
        description=(
            "Fuse attention, normalisation and activation into ONNX Runtime's own operators: "
            "faster for some models, but the file then runs in ONNX Runtime alone."
        ),
    )


class Calibration(Options):
    """How ``mode: static`` finds the ranges of activations."""

    rows: int = Field(default=128, ge=1, description="How many training rows are run, at random.")
    method: Literal["minmax", "average", "percentile", "entropy"] = Field(
        default="minmax",
        description=(
            "minmax: the limits of all numbers; average: of single rows, averaged; percentile: of "
            "the middle share of the numbers; entropy: those that change their distribution least."
        ),
    )
    percentile: float = Field(
        default=_PERCENTILE,
        gt=50,
        le=100,
        description="The share of numbers within the limits, in percent, of method: percentile.",
    )


class QuantizeOptions(ExportOptions, Int8Options):
    """Options of ``quantize.onnx``."""

    mode: Literal["dynamic", "static"] = Field(
        default="dynamic",
        description=(
            "int8 weights and embeddings. dynamic: activations are quantized as they come, so no "
            "calibration data are needed; static: with scales that training rows fix, so an answer "
            "does not depend on the others in its batch."
        ),
    )
    calibration: Calibration | None = Field(
        default=None,
        description="How static mode finds its scales; none: with the defaults.",
    )
    operators: Literal["weights", "all"] = Field(
        default="weights",
        description=(
            "What static mode quantizes. weights: products with stored weights, and embeddings; "
            "all: also what breaks accuracy, such as softmax, normalisation, sums and the products "
            "of attention."
        ),
    )
    per_channel: bool | Literal["auto"] = Field(
        default="auto",
        description=(
            "One scale for each output channel of a weight instead of one for the whole weight; "
            "auto: in static mode."
        ),
    )

    @property
    def scales_channels(self) -> bool:
        """Whether each output channel of a weight has a scale."""
        return self.mode == "static" if self.per_channel == "auto" else self.per_channel

    @property
    def calibrates(self) -> Calibration:
        """How scales are found in static mode."""
        return self.calibration or Calibration()


def mistakes_of(options: QuantizeOptions) -> list[OptionMistake]:
    """Options that the mode or the method does not read."""
    return _of_dynamic(options) if options.mode == "dynamic" else _of_static(options)


def _of_dynamic(options: QuantizeOptions) -> list[OptionMistake]:
    unread = {
        "calibration": options.calibration is not None,
        "operators": options.operators == "all",
    }
    hint = "give mode: static, or leave it out"
    return [
        OptionMistake(n, "mode: dynamic does not read it", hint)
        for n, is_set in unread.items()
        if is_set
    ]


def _of_static(options: QuantizeOptions) -> list[OptionMistake]:
    used = options.calibrates
    mistakes = calibration_mistakes(used)
    if options.fusions:
        hint = "leave it out: ONNX Runtime fuses these graphs when it loads them"
        mistakes.append(OptionMistake("fusions", "mode: static takes no fused graph", hint))
    if options.operators == "all" and used.method in {"percentile", "entropy"}:
        # Among all values is the attention's mask, whose range no histogram can divide.
        message = f"operators: all cannot be calibrated by {used.method}"
        mistakes.append(OptionMistake("operators", message, "give method: minmax or average"))
    return mistakes


def calibration_mistakes(used: Calibration) -> list[OptionMistake]:
    """Options that the method does not read."""
    if used.percentile == _PERCENTILE or used.method == "percentile":
        return []
    hint = "give method: percentile, or leave it out"
    message = f"method: {used.method} does not read it"
    return [OptionMistake("calibration.percentile", message, hint)]


def more_in_floats(options: Int8Options) -> int | None:
    """How many layers a step that backs off keeps in floats; None where that cannot be more, or
    layers are named."""
    kept = options.keep_float or 1
    return 2 * kept if isinstance(kept, int) and kept < _MOST_KEPT else None
