"""Tasks of models that write: language models, T5's pretraining, and texts that answer texts.

What answers is numpy: a process of ONNX Runtime uses it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress import hookimpl
from compress.task import Task
from compress_generation.span_corruption import SpanCorruption
from compress_generation.text_generation import TextGeneration
from compress_generation.text_to_text import Summarization, TextToText, Translation


@hookimpl
def compress_tasks() -> Sequence[type[Task[Any]]]:
    """The tasks of this distribution."""
    return (TextGeneration, SpanCorruption, TextToText, Translation, Summarization)
