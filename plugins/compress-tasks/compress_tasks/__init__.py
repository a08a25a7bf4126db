"""Tasks on text: ``text-classification``, ``token-classification``, ``question-answering``,
``fill-mask`` and ``next-sentence``.

Everything here is numpy; scikit-learn, seqeval and evaluate are imported when a score is
computed (``metrics``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress import hookimpl
from compress.task import Task
from compress_tasks.fill_mask import FillMask
from compress_tasks.next_sentence import NextSentence
from compress_tasks.question_answering import QuestionAnswering
from compress_tasks.text_classification import TextClassification
from compress_tasks.token_classification import TokenClassification

__all__ = [
    "FillMask",
    "NextSentence",
    "QuestionAnswering",
    "TextClassification",
    "TokenClassification",
]


@hookimpl
def compress_tasks() -> Sequence[type[Task[Any]]]:
    """The tasks of this distribution."""
    return (TextClassification, TokenClassification, QuestionAnswering, FillMask, NextSentence)
