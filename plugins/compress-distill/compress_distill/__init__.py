"""Knowledge distillation into a smaller student: ``distill``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from compress import hookimpl
from compress.architecture import KnownSizes
from compress.artifact import Traits
from compress.options import FreshModel
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.task import Task
from compress.training import LIBRARIES
from compress_distill.fitting import size_mistakes, student_sizes
from compress_distill.mistakes import mistakes, mistakes_of_rows
from compress_distill.options import DistillOptions, SequenceOptions, StudentOptions

__all__ = ["Distill", "DistillOptions", "SequenceOptions", "StudentOptions"]


class Distill(Stage[DistillOptions]):
    """A student learns a teacher's answers and last hidden states. They are computed once and kept
    in the store, or asked for while the student learns."""

    name = "distill"
    summary = (
        "Train a smaller student, cut from the input or fresh, on a teacher's answers and hidden "
        "states."
    )
    paper = (
        "Hinton et al. 2015, Distilling the Knowledge in a Neural Network, section 2 "
        "(arXiv:1503.02531); "
        "Sanh et al. 2019, DistilBERT, section 3 (arXiv:1910.01108); "
        "Wang et al. 2021, MiniLMv2, section 3 (relations; arXiv:2012.15828); "
        "Jiao et al. 2020, TinyBERT, section 3.1 (attention; arXiv:1909.10351); "
        "Xia et al. 2022, CoFi, section 3.2 (layers: learned; arXiv:2204.00408); "
        "Kim and Rush 2016, Sequence-Level Knowledge Distillation (arXiv:1606.07947); "
        "Agarwal et al. 2024, On-Policy Distillation, section 3 (arXiv:2306.13649); "
        "Anshumann et al. 2025, Sparse Logit Sampling, section 3 (arXiv:2503.16870)"
    )
    Options = DistillOptions
    accepts = Accepts(trainable=True, task=True)
    libraries = LIBRARIES
    reads_architectures = True
    needs_data = ("train", "test")

    @classmethod
    def produces(cls, traits: Traits, options: DistillOptions, task: str) -> Traits:
        """The input's traits, with a free shape where the student is narrower or has embeddings of
        low rank. Some families can state a width: the manifest has the shape that resulted."""
        cut = options.student if isinstance(options.student, StudentOptions) else None
        is_free = cut is not None and (cut.hidden is not None or cut.embeddings is not None)
        return replace(traits, task=task, shape="free" if is_free else traits.shape)

    @classmethod
    def check(cls, options: DistillOptions) -> list[OptionMistake]:
        """Combinations that would teach nothing, or exclude each other."""
        return list(mistakes(options))

    @classmethod
    def check_task(cls, options: DistillOptions, task: type[Task[Any]]) -> list[OptionMistake]:
        """Rows that the task cannot make."""
        return list(mistakes_of_rows(options, task))

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
    def check_sizes(cls, options: DistillOptions, sizes: KnownSizes) -> list[OptionMistake]:
        """A student that is not smaller than the input, or has what that has not, and losses of
        layers that are not there."""
        return size_mistakes(options, sizes)

    @classmethod
    def sizes_left(cls, options: DistillOptions, sizes: KnownSizes) -> KnownSizes:
        """The sizes of the student; those of the input if no student is cut."""
        return student_sizes(options, sizes)

    @classmethod
    def back_off(cls, options: DistillOptions) -> DistillOptions | None:
        """A student with one layer more. None if its layers are no number, or if no student is
        cut from the input."""
        if not isinstance(options.student, StudentOptions):
            return None
        milder = options.student.with_one_layer_more()
        return options.model_copy(update={"student": milder}) if milder else None

    def apply(self, context: Context[DistillOptions]) -> Made:
        """Write the trained student with its tokenizer."""
        from compress_distill.distill import distill

        return distill(context)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stages of this plugin."""
    return [Distill]
