"""The menu of losses: what each entry of ``losses`` can say. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from compress.errors import suggestion
from compress.options import Options

Number = Annotated[int, Field(ge=0)]
KeyNumber = Annotated[int, Field(ge=0, strict=False)]
"""A number that is the key of a mapping: JSON writes it as a text."""


Listed = Annotated[dict[KeyNumber, Number], Field(min_length=1)]
"""Layers of a student, and of its teacher beside them."""


class LossOptions(Options):
    """What every loss has."""

    weight: float = Field(default=1.0, gt=0, description="What the loss is multiplied by.")


class LogitsLoss(LossOptions):
    """Distance from the teacher's answers."""

    temperature: float = Field(
        default=2.0, gt=0, description="Softens both sides' answers before they are compared."
    )
    beta: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "Which divergence: 0 is KL(teacher || student), 1 the reverse, KL(student || teacher); "
            "between them the generalised Jensen-Shannon divergence."
        ),
    )
    distance: Literal["divergence", "mse"] = Field(
        default="divergence",
        description="The divergence of the distributions, or the squared difference of the logits.",
    )


class HiddenLoss(LossOptions):
    """Distance from the teacher's hidden states."""

    distance: Literal["cosine", "mse"] = Field(
        default="cosine",
        description="1 - the cosine of two states, or the squared difference of their numbers.",
    )
    layers: Literal["last", "uniform", "learned"] | Listed = Field(
        default="last",
        description=(
            "Which layers are compared: the last; each of the student with one of the teacher, "
            "evenly spaced (uniform) or the nearest in each batch, in order (learned); or those "
            "that are listed, {student: teacher}, numbered from 0."
        ),
    )


Part = Literal["query", "key", "value"]


class AttendingLoss(LossOptions):
    """What losses on attention layers have."""

    layers: Literal["last", "uniform"] | Listed = Field(
        default="last", description="Which layers are compared, as of hidden."
    )


class RelationsLoss(AttendingLoss):
    """Distance from the relations of tokens in the teacher's attention layers."""

    of: list[Part] = Field(
        default_factory=lambda: list(get_args(Part)),
        min_length=1,
        description="Whose relations are compared.",
    )
    heads: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Into how many heads both sides' vectors are divided; none: as many as have 16 numbers "
            "or more."
        ),
    )


class AttentionLoss(AttendingLoss):
    """Distance from the scores of the teacher's attention heads."""

    distance: Literal["mse", "divergence"] = Field(
        default="mse",
        description=(
            "The squared difference of the scores, or the divergence of what the softmax makes of "
            "them."
        ),
    )


class EmbeddingsLoss(LossOptions):
    """Distance from what the teacher's embedding layer gives."""

    distance: Literal["mse", "cosine"] = Field(
        default="mse",
        description="The squared difference of two vectors, or 1 - their cosine.",
    )


class LabelsLoss(LossOptions):
    """The task's own loss on the true labels."""


L = TypeVar("L", bound=LossOptions)


class LossItem(Options):
    """An entry of ``losses``: one kind of loss with its options. A word alone, or a word without
    options, takes all defaults. The fields are the kinds that there are."""

    logits: LogitsLoss | None = Field(
        default=None, description="Distance from the teacher's answers."
    )
    hidden: HiddenLoss | None = Field(
        default=None,
        description="Distance from the teacher's hidden states.",
    )
    embeddings: EmbeddingsLoss | None = Field(
        default=None, description="Distance from what the teacher's embedding layer gives."
    )
    relations: RelationsLoss | None = Field(
        default=None,
        description="Distance from the relations of tokens in the teacher's attention layers.",
    )
    attention: AttentionLoss | None = Field(
        default=None, description="Distance from the scores of the teacher's attention heads."
    )
    labels: LabelsLoss | None = Field(
        default=None, description="The task's own loss on the true labels."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in cls.model_fields:
                near = suggestion(value, cls.model_fields)
                raise ValueError(f"there is no such loss ({near})")
            return {value: {}}
        if isinstance(value, dict):
            return {kind: {} if options is None else options for kind, options in value.items()}
        return value

    @model_validator(mode="after")
    def _is_one(self) -> LossItem:
        if len(self.model_fields_set) != 1:
            kinds = ", ".join(type(self).model_fields)
            raise ValueError(f"expected one loss with its options in each item, of {kinds}")
        return self

    @model_serializer(mode="wrap")
    def _without_others(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {kind: options for kind, options in handler(self).items() if options is not None}

    @property
    def chosen(self) -> LossOptions:
        """The options of the kind that it is."""
        (kind,) = self.model_fields_set
        options: LossOptions = getattr(self, kind)
        return options


def of_kind(losses: Sequence[LossItem], kind: type[L]) -> list[L]:
    """The options of the losses of a kind, in their order."""
    return [loss.chosen for loss in losses if isinstance(loss.chosen, kind)]


def needs_teacher(losses: Sequence[LossItem]) -> bool:
    """Whether a loss needs the teacher in memory: what it compares is never kept."""
    return bool(of_kind(losses, AttendingLoss))


def default_losses() -> list[LossItem]:
    """The teacher's answers, and its last hidden states."""
    return [LossItem(logits=LogitsLoss()), LossItem(hidden=HiddenLoss())]


def needs_all(logits: LogitsLoss) -> bool:
    """Whether a loss needs the teacher's answer for each choice, and not for some that stand for
    all."""
    return logits.beta > 0 or logits.distance == "mse"
