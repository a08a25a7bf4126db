"""The options of ``text-generation``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from compress.task import TextTaskOptions


class TextGenerationOptions(TextTaskOptions):
    """Options of ``text-generation``."""

    max_length: int = Field(
        default=256,
        ge=4,
        description="Tokens of a window of text; a prompt with its completion is cut where it is "
        "longer.",
    )
    stride: int = Field(
        default=1,
        ge=1,
        description="Tokens that a window of text shares with the one before: its context, which "
        "does not count again.",
    )

    answers: bool = Field(
        default=False,
        description="Whether completions and messages are also generated, and compared with the "
        "data's: exact match and ROUGE-L.",
    )
    max_new_tokens: int = Field(
        default=64, ge=1, description="Tokens of what is generated where it is measured."
    )

    @model_validator(mode="after")
    def _windows_go_on(self) -> Self:
        if self.stride >= self.max_length:
            raise ValueError(
                f"stride {self.stride} leaves no new token in a window of {self.max_length}"
            )
        return self
