"""The score of a task, computed by a metric of the library ``evaluate``. Only a task's ``score``
imports this module: the import needs a second.

evaluate's evaluator imports the pipelines of transformers, and torch with them, where they are
installed: four of the five seconds of its import. Nobody here uses the evaluator. So evaluate is
imported without transformers, if that is not in memory yet, and a process that runs ONNX Runtime
scores its answers without torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from compress.errors import UsageError
from compress.task import Quality

__all__ = ["PER_CLASS", "SIGNATURES", "evaluate", "quality"]

PER_CLASS = "per_class"
"""The key of the table by class in what a metric computes."""
SIGNATURES = "signatures"
"""The key of the texts that say how its library counted a metric, by metric."""


@contextmanager
def _without_transformers() -> Iterator[None]:
    """Within the block, an import of transformers fails as if it were not installed, which
    evaluate allows. Nothing happens where it is imported already."""
    if "transformers" in sys.modules:
        yield
        return
    sys.modules["transformers"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["transformers"]


with _without_transformers():
    import evaluate


def quality(
    metric: type[evaluate.Metric],
    predictions: Sequence[Any],
    references: Sequence[Any] | None = None,
    **settings: Any,
) -> Quality:
    """The scores that ``metric`` computes: numbers by name, and apart from them what stands under
    ``PER_CLASS`` and ``SIGNATURES``. Raises UsageError if there is nothing to score.

    evaluate would leave folders and locks in the user's cache. So it gets a folder that is
    deleted afterwards."""
    if not predictions:
        raise UsageError("there are no examples to score")
    inputs: dict[str, Sequence[Any]] = {"predictions": predictions}
    if references is not None:
        inputs["references"] = list(references)
    with TemporaryDirectory(prefix="compress-metric-") as folder:
        made = metric(keep_in_memory=True, cache_dir=folder)
        scores: dict[str, Any] = made.compute(**inputs, **settings)
    per_class, signatures = scores.pop(PER_CLASS, {}), scores.pop(SIGNATURES, {})
    numbers = {name: float(value) for name, value in scores.items()}
    return Quality(numbers, per_class, signatures)
