"""The options of ``question-answering``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from compress.architecture import ModelConfig
from compress.sizes import positions
from compress.task import TextTaskOptions

_SPECIAL = 4
"""Special tokens of a question and a context, at most."""


class QuestionAnsweringOptions(TextTaskOptions):
    """Options of ``question-answering``."""

    max_length: int = Field(
        default=384, ge=4, description="Tokens of a window: the question and a part of the context."
    )
    stride: int = Field(
        default=128, ge=0, description="Tokens of the context that two windows share."
    )
    question_length: int = Field(
        default=64, ge=1, description="Tokens kept of a question; what is longer is cut."
    )
    answer_length: int = Field(default=30, ge=1, description="Tokens of the longest answer.")
    no_answer: float | None = Field(
        default=None,
        description=(
            "For questions that may have no answer (SQuAD 2): none is given where its score is "
            "higher than that of the best span by more than this; 0.0 is a start. By default "
            "every question is answered."
        ),
    )

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.max_length <= self.question_length + self.stride + _SPECIAL:
            raise ValueError(
                f"max_length {self.max_length} leaves no room for a context beside "
                f"question_length {self.question_length} and stride {self.stride}"
            )
        return self

    def fitted(self, config: ModelConfig) -> Self:
        """With windows that the model has positions for."""
        most = positions(config)
        if most is None or self.max_length <= most:
            return self
        part = most // 4
        return self.model_copy(
            update={
                "max_length": most,
                "stride": min(self.stride, part),
                "question_length": min(self.question_length, part),
            }
        )
