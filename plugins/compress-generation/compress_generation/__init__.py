"""Tasks of models that write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress import hookimpl
from compress.task import Task
from compress_generation.text_to_text import Summarization, TextToText, Translation


@hookimpl
def compress_tasks() -> Sequence[type[Task[Any]]]:
    """The tasks of this distribution."""
    return (TextToText, Translation, Summarization)
