"""Which layers lose most in int8: one at a time stays in floats, and the logits are compared with
those of the float graph. No torch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir

from compress.artifact import Artifact
from compress.cached import is_decoder
from compress.engine import Placement
from compress.errors import ModelRefused, UsageError
from compress.generation import HIDDEN
from compress.stage import Context
from compress.task import Batch
from compress_onnx.examples import examples
from compress_onnx.graph import PRODUCTS, write_graph
from compress_onnx.layers import layers
from compress_onnx.session import OnnxSession

ROWS = 32
_SPLITS = ("validation", "train")
_ALL = "none"
"""The name of the graph of which no layer is in floats."""

Quantized = Callable[[Sequence[str]], onnx_ir.Model]
"""The int8 graph in which the named layers stay in floats."""
Outputs = Sequence[Mapping[str, np.ndarray]]


def sensitivities(
    context: Context[Any], artifact: Artifact, graph: onnx_ir.Model, quantized: Quantized
) -> dict[str, float]:
    """The error of the int8 graph where one layer stays in floats, by the layer's name, the
    smallest first: this layer loses most. ``none`` is the error where none does.

    An error is the mean square of the outputs' differences from those of ``graph``, as a share of
    their own mean square, on some validation rows, or training rows where there are none. Only
    layers that multiply are tried: embeddings are most of a small file. Raises UsageError where
    there are no rows."""
    split = next((s for s in _SPLITS if context.data and context.data.rows(s)), None)
    if split is None:
        raise UsageError(
            "keep_float: a number compares layers on validation or training rows, "
            "and the step has none; name the layers"
        )
    batches = list(examples(context, artifact, split, ROWS)())
    with tempfile.TemporaryDirectory(dir=context.output) as folder:
        file = Path(folder, "model.onnx")
        expected = _outputs(graph, file, batches)
        names = [name for name, node in layers(graph).items() if node.op_type in PRODUCTS]
        errors = {}
        for done, name in enumerate([_ALL, *names]):
            kept = [] if name == _ALL else [name]
            errors[name] = outputs_error(expected, _outputs(quantized(kept), file, batches))
            context.progress(done + 1, len(names) + 1, name)
    return dict(sorted(errors.items(), key=lambda item: item[1]))


def most_sensitive(errors: Mapping[str, float], count: int) -> list[str]:
    """The ``count`` layers that lose most in int8, the first the most."""
    return [name for name in errors if name != _ALL][:count]


def refuse_generating(artifact: Artifact, graph: onnx_ir.Model, asked: str) -> None:
    """Raise ModelRefused for a part of a model that generates: no row has its keys and values."""
    inputs = [str(value.name) for value in graph.graph.inputs]
    if HIDDEN in inputs or is_decoder(inputs):
        raise ModelRefused(
            f"{artifact.folder}: {asked} cannot be used for a model that generates; "
            "give mode: dynamic, and name layers in keep_float"
        )


def outputs_error(expected: Outputs, made: Outputs) -> float:
    """The mean square of the differences of outputs from those ``expected``, as a share of their
    own mean square."""
    squares = of = 0.0
    for want, got in zip(expected, made, strict=True):
        for name, values in want.items():
            squares += float(np.square(got[name] - values).sum())
            of += float(np.square(values).sum())
    return squares / of if of else squares


def _outputs(graph: onnx_ir.Model, file: Path, batches: Sequence[Batch]) -> Outputs:
    write_graph(graph, file)
    session = OnnxSession(file, Placement("cpu", 1))
    return [session.run(batch) for batch in batches]
