"""The forms of numbers and of structured extras in a measurement, by which a report is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    SerializeAsAny,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

LARGEST = 1e100
"""No number of a measurement is as far from 0. Pictures divide by differences of numbers, and
their results must be finite too."""
_Finite = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST)]
"""A finite number that JSON writes as a number: no text, no truth value."""


class CurveForm(BaseModel):
    """Points are [x, value, low, high]."""

    model_config = ConfigDict(extra="forbid")

    axis: str
    points: list[tuple[_Finite, _Finite | None, _Finite | None, _Finite | None]]


class BaselineForm(BaseModel):
    """The score of the most frequent answer, beside the model's own."""

    model_config = ConfigDict(extra="forbid")

    value: _Finite
    difference: _Finite = Field(description="The model's score less the value.")
    low: _Finite | None = Field(
        default=None, description="The lower end of the difference's 95 % interval."
    )
    high: _Finite | None = Field(default=None, description="Its upper end.")


class DetailForm(BaseModel):
    """Structured extras. What views read has a fixed form: ``tables``, ``curve``, ``baseline``,
    ``p`` and ``right_before``."""

    model_config = ConfigDict(extra="allow")

    tables: dict[str, dict[str, dict[str, _Finite | None]]] = Field(
        default_factory=dict, description="Title to row label to column to number."
    )
    curve: CurveForm = Field(default_factory=lambda: CurveForm(axis="", points=[]))
    baseline: BaselineForm | None = None
    p: _Finite | None = Field(default=None, description="p-value of a paired difference.")
    right_before: int | None = Field(
        default=None, strict=True, description="How many of the changed answers were right before."
    )


def _unchanged(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """``value`` as it is, once its form is checked."""
    check(value)
    return value


Number = Annotated[_Finite, WrapValidator(_unchanged), SerializeAsAny()]
"""A finite number that is read and written as it is: a whole one stays whole."""
Detail = Annotated[
    Mapping[str, Any],
    GetPydanticSchema(lambda source, handler: handler(DetailForm)),
    WrapValidator(_unchanged),
    SerializeAsAny(),
]
"""Structured extras of a measurement, JSON-ready; reading checks those of a fixed form."""
