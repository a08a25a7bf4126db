"""Tasks of models that write: ``text-generation`` and ``span-corruption``.

Everything here is numpy: a process of ONNX Runtime uses it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress import hookimpl
from compress.task import Task
from compress_generation.span_corruption import SpanCorruption
from compress_generation.text_generation import TextGeneration

__all__ = ["SpanCorruption", "TextGeneration"]


@hookimpl
def compress_tasks() -> Sequence[type[Task[Any]]]:
    """The tasks of this distribution."""
    return (TextGeneration, SpanCorruption)
