"""Knowledge distillation into a smaller student: ``distill``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from compress import hookimpl
from compress.options import (
    ArtifactReference,
    FreshModel,
    KeptByStack,
    Options,
    layers_left,
    layers_misfit,
)
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.training import LIBRARIES, TrainingOptions


class StudentOptions(Options):
    """How the student is cut from the step's input."""

    layers: KeptByStack = Field(
        description=(
            "Layers of the student: a number, taken evenly spaced from first to last, or the list "
            "of layers kept. Of a model with two stacks, for each: {encoder: 2, decoder: 1}."
        )
    )


def _kind_of_student(student: object) -> str:
    """Whether a student is ``fresh``, or ``cut`` from the input."""
    is_fresh = isinstance(student, FreshModel) or (isinstance(student, dict) and "type" in student)
    return "fresh" if is_fresh else "cut"


Student = Annotated[
    Annotated[StudentOptions, Tag("cut")] | Annotated[FreshModel, Tag("fresh")],
    Discriminator(_kind_of_student),
]


class DistillOptions(TrainingOptions):
    """Options of ``distill``: those of training, the shape of the student, and the weights
    of the loss."""

    teacher: ArtifactReference | None = Field(
        default=None,
        description=(
            "Step, folder or hub id whose answers are learned; the default is the step's own input."
        ),
    )
    student: Student | None = Field(
        default=None,
        description=(
            "How the student is cut from the input; or a fresh model with the teacher's tokenizer, "
            "{type: ..., ...}; none: the input is trained as it is."
        ),
    )
    temperature: float = Field(
        default=2.0, gt=0, description="Softens both sides' answers before they are compared."
    )
    logits: float = Field(
        default=1.0, ge=0, description="Weight of the divergence from the teacher's answers."
    )
    hidden: float = Field(
        default=1.0,
        ge=0,
        description=(
            "Weight of the distance between last hidden states; must be 0 where widths differ."
        ),
    )
    labels: float = Field(
        default=0.0, ge=0, description="Weight of the task's own loss on the true labels."
    )


class Distill(Stage[DistillOptions]):
    """A student learns a teacher's answers and last hidden states. They are computed once
    and kept in the store."""

    name = "distill"
    summary = (
        "Train a smaller student, cut from the input or fresh, on a teacher's answers and hidden "
        "states."
    )
    paper = (
        "Hinton et al. 2015, Distilling the Knowledge in a Neural Network, section 2 "
        "(arXiv:1503.02531); "
        "Sanh et al. 2019, DistilBERT, section 3 (arXiv:1910.01108)"
    )
    Options = DistillOptions
    accepts = Accepts(trainable=True, task=True)
    libraries = LIBRARIES
    reads_architectures = True
    needs_data = ("train", "test")

    @classmethod
    def check(cls, options: DistillOptions) -> list[OptionMistake]:
        """Combinations that would teach nothing."""
        mistakes = []
        if options.student is None and options.teacher is None:
            mistakes.append(
                OptionMistake(
                    "student",
                    "the student would be its own teacher",
                    "give student: {layers: ...}, student: {type: ...} or a teacher",
                )
            )
        if options.logits == options.hidden == 0:
            mistakes.append(
                OptionMistake(
                    "logits",
                    "nothing of the teacher is learned",
                    "give logits or hidden a weight above 0",
                )
            )
        return mistakes

    @classmethod
    def shares_work(cls, options: DistillOptions) -> bool:
        """Always: it trains."""
        return True

    @classmethod
    def needs_layout(cls, options: DistillOptions) -> bool:
        """Where a student is cut from the input."""
        return isinstance(options.student, StudentOptions)

    @classmethod
    def builds(cls, options: DistillOptions) -> FreshModel | None:
        """The student, if it is a fresh model."""
        return options.student if isinstance(options.student, FreshModel) else None

    @classmethod
    def check_layers(cls, options: DistillOptions, layers: int) -> list[OptionMistake]:
        """A student with layers that the input does not have, or with all of its layers."""
        if not isinstance(options.student, StudentOptions):
            return []
        kept = options.student.layers
        misfit = layers_misfit(kept, layers)
        if misfit:
            return [OptionMistake("student.layers", f"student.layers: {misfit}")]
        if layers_left(kept, layers) == layers:
            return [
                OptionMistake(
                    "student.layers",
                    f"student.layers: {kept} cuts nothing from a model of {layers} layers",
                    "take fewer, or leave student out and name a teacher",
                )
            ]
        return []

    @classmethod
    def layers_left(cls, options: DistillOptions, layers: int) -> int:
        """The number of layers of the student; all if no student is cut."""
        kept = options.student.layers if isinstance(options.student, StudentOptions) else None
        return layers_left(kept, layers)

    @classmethod
    def back_off(cls, options: DistillOptions) -> DistillOptions | None:
        """A student with one layer more. None if its layers are no number, or if no student is
        cut from the input."""
        if not isinstance(options.student, StudentOptions):
            return None
        if not isinstance(options.student.layers, int):
            return None
        return options.model_copy(
            update={"student": StudentOptions(layers=options.student.layers + 1)}
        )

    def apply(self, context: Context[DistillOptions]) -> Made:
        """Write the trained student with its tokenizer."""
        from compress_distill.distill import distill

        return distill(context)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stages of this plugin."""
    return [Distill]
