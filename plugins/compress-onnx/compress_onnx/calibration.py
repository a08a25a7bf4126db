"""The ranges of a graph's values on examples, in constant memory: one example runs at a time, and
of its values only limits and histograms of a fixed size are kept. No torch.

ONNX Runtime's own calibraters keep what all examples of a call gave: numbers of each example with
minmax, whole values for histograms. Its collector of histograms keeps histograms alone, but adds
bins wherever a later value is larger than the first ones. Here it begins with the whole range,
which a first run over the examples found.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal

import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector, TensorData

from compress.engine import Session
from compress.errors import ModelRefused
from compress.task import Batch

Method = Literal["minmax", "average", "percentile", "entropy"]
Examples = Callable[[], Iterable[Batch]]
"""Gives the same examples, each in a batch of its own, at every call."""
_BINS = {"percentile": 2048, "entropy": 512}
"""The search of the least divergence takes time with the square of the bins."""
_LEVELS = 128
"""Of half of an int8 range, which the distribution is compared with."""
_STEP = 0.01
"""How far an example moves the average, as in ONNX Runtime's calibrater."""


def ranges(
    session: Session, names: Collection[str], examples: Examples, method: Method, percentile: float
) -> dict[str, TensorData]:
    """The lowest and the highest number (float32) that are told apart in each of the named outputs
    of ``session``. What is beyond is rounded to them.

    - ``minmax``: the limits of all examples.
    - ``average``: limits that each example moves a hundredth of the way to its own.
    - ``percentile``: the middle ``percentile`` percent of the numbers.
    - ``entropy``: the cut of large numbers that changes their distribution least, as a
      Kullback-Leibler divergence (Migacz 2017, 8-bit Inference with TensorRT).

    Raises ModelRefused for an output that is not finite."""
    limits = _limits(session, names, examples, average=method == "average")
    if method == "percentile" or method == "entropy":
        limits = _cut(session, limits, examples, method, percentile)
    return {name: TensorData(lowest=low, highest=high) for name, (low, high) in limits.items()}


Limits = dict[str, tuple[np.float32, np.float32]]


def _limits(
    session: Session, names: Collection[str], examples: Examples, *, average: bool
) -> Limits:
    found: Limits = {}
    for batch in examples():
        for name, values in _values(session, names, batch).items():
            low, high = values.min(), values.max()
            if not np.isfinite([low, high]).all():
                raise ModelRefused(f"{name} is not finite on a calibration example")
            if name not in found:
                found[name] = low, high
            elif average:
                found[name] = _moved(found[name][0], low), _moved(found[name][1], high)
            else:
                found[name] = min(found[name][0], low), max(found[name][1], high)
    return found


def _moved(old: np.float32, new: np.float32) -> np.float32:
    return np.float32(old + _STEP * (new - old))


def _cut(
    session: Session, limits: Limits, examples: Examples, method: Method, percentile: float
) -> Limits:
    """Narrower limits, from histograms between the whole ones."""
    bins = _BINS[method]
    collector = HistogramCollector(
        method=method,
        symmetric=False,
        num_bins=bins,
        num_quantized_bins=_LEVELS,
        percentile=percentile,
        scenario="same",
    )
    for name, (low, high) in limits.items():
        most = np.float32(max(abs(low), abs(high)))
        edges = np.linspace(-most, most, bins + 1, dtype=np.float32)
        collector.histogram_dict[name] = np.zeros(bins, np.int64), edges, low, high, most
    with contextlib.redirect_stdout(io.StringIO()):  # it prints at each example
        for batch in examples():
            collector.collect(dict(_values(session, list(limits), batch)))
        found = collector.compute_collection_result()
    return {name: cut[:2] for name, cut in found.items()}


def _values(session: Session, names: Collection[str], batch: Batch) -> Mapping[str, np.ndarray]:
    """The named outputs that have any number."""
    outputs = session.run(batch)
    return {name: outputs[name] for name in names if outputs[name].size}
