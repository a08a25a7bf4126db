"""The library ``evaluate``, imported without transformers where that is not in memory yet.

Its evaluator imports the pipelines of transformers, and torch with them, where they are
installed: four of the five seconds of the import. Nobody here uses the evaluator. Without
it, a process that runs ONNX Runtime scores its answers without torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["evaluate"]


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
