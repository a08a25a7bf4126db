"""The options of ``distill``. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from compress.distillable import Keep
from compress.distilling import LossItem, default_losses
from compress.options import (
    ArtifactReferences,
    FreshModel,
    KeptByStack,
    KeptLayers,
    Options,
    UnlabelledData,
)
from compress.training import TrainingOptions


class ChosenLayers(Options):
    """A number of layers, and how they are chosen."""

    count: int = Field(ge=1, description="How many layers stay.")
    by: Literal["even", "influence"] = Field(
        default="influence",
        description=(
            "even: evenly spaced, from first to last; influence: those that change the state most."
        ),
    )


def _kind_of_layers(layers: object) -> str:
    if isinstance(layers, ChosenLayers) or (
        isinstance(layers, dict) and {"count", "by"} & layers.keys()
    ):
        return "chosen"
    return "stacks" if isinstance(layers, dict) else "kept"


_Some = Annotated[
    Annotated[KeptLayers, Tag("kept")] | Annotated[ChosenLayers, Tag("chosen")],
    Discriminator(lambda layers: "chosen" if _kind_of_layers(layers) != "kept" else "kept"),
]
StudentLayers = Annotated[
    Annotated[KeptLayers, Tag("kept")]
    | Annotated[ChosenLayers, Tag("chosen")]
    | Annotated[dict[str, _Some], Field(min_length=1), Tag("stacks")],
    Discriminator(_kind_of_layers),
]


class StudentOptions(Options):
    """How the student is cut from the step's input."""

    layers: StudentLayers | None = Field(
        default=None,
        description=(
            "Layers of the student: a number, taken evenly spaced from first to last; the list of "
            "layers kept; or {count: 3, by: influence}. Of a model with two stacks, for each: "
            "{encoder: 2, decoder: 1}."
        ),
    )
    hidden: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description=(
            "Hidden width of the student, as a number or as a share of the input's. Heads keep "
            "their size; the places that stay tell most of the others."
        ),
    )
    embeddings: int | None = Field(
        default=None,
        ge=1,
        description="Rank of the student's embeddings, which then are two small matrices.",
    )
    probe: int = Field(
        default=256,
        ge=1,
        description="Training rows by which layers and hidden places are chosen.",
    )

    @model_validator(mode="after")
    def _cuts_something(self) -> StudentOptions:
        if self.layers is None and self.hidden is None and self.embeddings is None:
            raise ValueError("nothing is cut: give layers, hidden or embeddings")
        return self

    @property
    def kept(self) -> KeptByStack | None:
        """The layers that stay, without how they are chosen."""
        if isinstance(self.layers, dict):
            return {name: _plain(some) for name, some in self.layers.items()}
        return None if self.layers is None else _plain(self.layers)

    def width(self, whole: int | None) -> int:
        """The hidden width that is asked for of a model with the width ``whole``; that of a number
        needs none."""
        if isinstance(self.hidden, int):
            return self.hidden
        assert self.hidden is not None and whole is not None, "a share has a whole"
        return max(1, round(self.hidden * whole))

    def with_one_layer_more(self) -> StudentOptions | None:
        """The same with one layer more; None where no number of layers is given."""
        if isinstance(self.layers, int):
            return self.model_copy(update={"layers": self.layers + 1})
        if isinstance(self.layers, ChosenLayers):
            more = self.layers.model_copy(update={"count": self.layers.count + 1})
            return self.model_copy(update={"layers": more})
        return None


def _plain(layers: int | list[int] | ChosenLayers) -> int | list[int]:
    return layers.count if isinstance(layers, ChosenLayers) else layers


class SequenceOptions(Options):
    """How a teacher's own answers become targets."""

    beams: int = Field(
        default=4, ge=1, description="Answers that the teacher's search compares as they grow."
    )
    true_targets: bool = Field(
        default=False,
        description="Learn from the true targets too: each row is then there twice.",
    )


class AugmentOptions(Options):
    """How training rows are varied."""

    copies: int = Field(
        default=2,
        ge=1,
        description="Varied copies of each training row that has something to vary.",
    )
    share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of what a row has to vary that a copy varies; at least one thing.",
    )


def _kind_of_student(student: object) -> str:
    """Whether a student is ``fresh``, or ``cut`` from the input."""
    is_fresh = isinstance(student, FreshModel) or (isinstance(student, dict) and "type" in student)
    return "fresh" if is_fresh else "cut"


Student = Annotated[
    Annotated[StudentOptions, Tag("cut")] | Annotated[FreshModel, Tag("fresh")],
    Discriminator(_kind_of_student),
]


class PhaseOptions(Options):
    """One of several trainings."""

    losses: list[LossItem] = Field(min_length=1, description="What is learned in it.")
    epochs: float = Field(default=3.0, gt=0, description="Passes over the training rows.")
    learning_rate: float | None = Field(
        default=None, gt=0, le=1, description="Its peak; none: that of the step."
    )


class DistillOptions(TrainingOptions):
    """Options of ``distill``: those of training, the shape of the student, the losses, and what is
    learned from."""

    teacher: ArtifactReferences | None = Field(
        default=None,
        description=(
            "Step, folder or hub id whose answers are learned; the default is the step's own "
            "input. Several, [a, b] or with weights {a: 2, b: 1}: the mean of their probabilities "
            "is learned, and all else of the first."
        ),
    )
    student: Student | None = Field(
        default=None,
        description=(
            "How the student is cut from the input; or a fresh model with the teacher's tokenizer, "
            "{type: ..., ...}; none: the input is trained as it is."
        ),
    )
    losses: list[LossItem] = Field(
        default_factory=default_losses,
        min_length=1,
        description=(
            "What the student is trained on, each with its weight: [logits, {labels: {weight: "
            "0.5}}]. A word alone takes its defaults. [labels]: nothing of the teacher is learned."
        ),
    )
    phases: list[PhaseOptions] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Several trainings, one after the other, each with losses of its own, in place of "
            "losses and epochs: [{losses: [hidden], epochs: 2}, {losses: [logits], epochs: 4}]."
        ),
    )
    keep: Keep = Field(
        default="auto",
        description=(
            "What is kept of a teacher's answer over many choices: all; a sample, which is "
            "unbiased; the top choices, with the others as one; nothing: the teacher answers while "
            "the student learns. auto: all up to 1,024 choices, of more a sample."
        ),
    )
    choices: int = Field(
        default=50,
        ge=1,
        le=255,
        description="How many choices a sample draws, or are kept with keep: top.",
    )
    sequences: SequenceOptions | None = Field(
        default=None,
        description=(
            "Learn from the teacher's own answers to the training rows in place of the true "
            "targets, {beams: 4}; for a task whose answers are generated."
        ),
    )
    unlabelled: UnlabelledData | None = Field(
        default=None,
        description=(
            "More rows to learn from, without labels: a source as under data, {train: more.csv, "
            "rows: 20000}. The teacher answers them; the true labels' loss does not count there."
        ),
    )
    augment: AugmentOptions | None = Field(
        default=None,
        description=(
            "Varied copies of the training rows to learn from, {copies: 3}; their targets stay "
            "true. For token-classification, entities become others of their type."
        ),
    )
    on_policy: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "Share of the batches whose targets are drawn from the student as it is then; for a "
            "task whose answers are generated."
        ),
    )


def phases_of(options: DistillOptions) -> list[DistillOptions]:
    """The options of each training of a step, in their order."""
    found = []
    for phase in options.phases or []:
        rate = phase.learning_rate or options.learning_rate
        own = {"losses": phase.losses, "epochs": phase.epochs, "learning_rate": rate}
        found.append(options.model_copy(update={**own, "phases": None}))
    return found or [options]


def places_of_losses(options: DistillOptions) -> Iterator[tuple[str, Sequence[LossItem]]]:
    """The losses of each training of a step, with the place of their option."""
    if options.phases is None:
        yield "losses", options.losses
    for number, phase in enumerate(options.phases or []):
        yield f"phases.{number}.losses", phase.losses


def learns_labels_alone(options: DistillOptions) -> bool:
    """Whether nothing of the teacher is learned: its weights may be the student's first ones, but
    it answers nothing."""
    return options.sequences is None and all(map(has_no_other, phases_of(options)))


def has_no_other(phase: DistillOptions) -> bool:
    """Whether the task's own loss on the labels is the only one."""
    return all(loss.labels for loss in phase.losses)


def weights_of_teachers(options: DistillOptions) -> list[float]:
    """The weight of each teacher, in order; one teacher has 1, as has the step's input."""
    if isinstance(options.teacher, dict):
        return [*options.teacher.values()]
    return [1.0] * (len(options.teacher) if isinstance(options.teacher, list) else 1)
