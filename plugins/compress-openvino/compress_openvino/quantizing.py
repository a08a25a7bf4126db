"""int8 models by NNCF's post-training quantization."""

# ruff: noqa: I001 - the session comes first: it switches the telemetry off for all that follows

from __future__ import annotations

import contextlib
import io
import logging
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from compress_openvino.session import OpenVinoSession

import nncf
import numpy as np
import openvino
from nncf.quantization.advanced_parameters import (
    AdvancedQuantizationParameters,
    AdvancedSmoothQuantParameters,
    OverflowFix,
)

from compress.engine import Placement
from compress.errors import ModelRefused, name_and_first_line
from compress.exportchecks import batches_of_rows, refuse_infinite
from compress.processor import Processor
from compress.stage import Context, Made
from compress.task import Row, Task
from compress_openvino.floatmodel import float_models
from compress_openvino.make import input_of, write_companions
from compress_openvino.writing import write_model

if TYPE_CHECKING:
    from compress_openvino import QuantizeOptions

_OFF = -1
"""NNCF's word for no smoothing."""


def quantize_artifact(context: Context[QuantizeOptions]) -> Made:
    """Write the int8 model of the input, with its config and its processor.

    Raises ModelRefused for a model of several parts, where nothing is quantized, or where an
    output is not finite."""
    source = input_of(context)
    file, *others = float_models(context, source)
    if others:
        raise ModelRefused(
            "quantize.openvino: a model of several files has no rows for each of them"
        )
    model = openvino.Core().read_model(file)
    inputs = [port.any_name for port in model.inputs]
    rows = CalibrationRows(context, context.task.processor(source.folder), inputs)
    made = _quantized(model, rows, context.options)
    count = sum(node.get_type_name() == "FakeQuantize" for node in made.get_ops())
    if not count:
        raise ModelRefused("quantize.openvino: nothing in this model can be quantized")
    write_model(made, context.output / file.name)
    write_companions(context, source)
    session = OpenVinoSession(context.output / file.name, Placement("cpu", 1))
    refuse_infinite(session, batches_of_rows(context, source), "quantize.openvino", "")
    reduced = context.options.reduces_range()
    notes = {"int8_ranges": count, "rows": len(rows), "reduce_range": reduced}
    return Made(parameters=source.manifest.parameters, notes=notes)


class CalibrationRows:
    """Training rows as inputs of a model, each alone, so that no padding counts. They are made when
    they are read: memory does not grow with their number. NNCF reads them several times."""

    def __init__(
        self, context: Context[QuantizeOptions], processor: Processor, inputs: Sequence[str]
    ) -> None:
        assert context.data is not None, "a plan gives this stage data"
        self._rows: Sequence[Row] = context.data.rows("train")
        count = min(context.options.samples, len(self._rows))
        self._places = random.Random(context.seed).sample(range(len(self._rows)), count)
        self._task: Task[Any] = context.task
        self._processor, self._inputs = processor, inputs

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """The inputs of a row; of one that has several parts, those of its first."""
        for place in self._places:
            features = self._task.features([self._rows[place]], self._processor)
            batch = self._task.collate(features[:1], self._processor)
            yield {name: batch[name] for name in self._inputs}


def _quantized(
    model: openvino.Model, rows: CalibrationRows, options: QuantizeOptions
) -> openvino.Model:
    alpha = _OFF if options.smooth_quant is None else options.smooth_quant
    advanced = AdvancedQuantizationParameters(
        overflow_fix=OverflowFix.ENABLE if options.reduces_range() else OverflowFix.DISABLE,
        smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=_OFF, matmul=alpha),
    )
    try:
        with _quiet():
            return nncf.quantize(
                model,
                nncf.Dataset(rows),
                subset_size=len(rows),
                model_type=nncf.ModelType.TRANSFORMER,
                advanced_parameters=advanced,
            )
    except (MemoryError, OSError):  # this machine's trouble, not the model's
        raise
    except Exception as error:  # NNCF raises whatever a graph that it does not know makes fail
        raise ModelRefused(
            f"quantize.openvino: NNCF fails on this model: {name_and_first_line(error)}"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what NNCF prints; its errors are exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
