"""Stages that train on the user's data: ``pretrain`` and ``finetune``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from compress import hookimpl
from compress.architecture import KnownSizes
from compress.machine import versions
from compress.options import ArtifactReference, FreshMark, NeededByFreshMark, Options
from compress.stage import Accepts, Context, Made, OptionMistake, Stage
from compress.task import Task
from compress.training import LIBRARIES, TrainingOptions


class PretrainOptions(TrainingOptions):
    """Options of ``pretrain``: those of a training, and of the tokenizer."""

    vocabulary: Annotated[int, FreshMark()] = Field(
        default=8000,
        ge=300,
        description="Tokens of the tokenizer that is trained for a fresh model.",
    )
    lowercase: Annotated[bool, FreshMark()] = Field(
        default=False, description="Whether that tokenizer lowercases text first."
    )


class Pretrain(Stage[PretrainOptions]):
    """Learning from text alone, as the task says: of a fresh configuration, or of a given model on
    in-domain text."""

    name = "pretrain"
    summary = (
        "Train a language model, masked or not: tokenizer and model from scratch, or a given model "
        "on in-domain text."
    )
    paper = "Devlin et al. 2019, BERT, section 3.1 (arXiv:1810.04805)"
    Options = PretrainOptions
    accepts = Accepts(trainable=True, nothing=True)
    configures = MappingProxyType(
        {
            "vocab_size": "its option vocabulary",
            "pad_token_id": "the tokenizer that it trains",
            "bos_token_id": "the tokenizer that it trains",
            "eos_token_id": "the tokenizer that it trains",
        }
    )
    needs_data = ("train", "test")
    libraries = LIBRARIES

    @classmethod
    def shares_work(cls, options: PretrainOptions) -> bool:
        """Always: it trains."""
        return True

    @classmethod
    def task_misfit(cls, task: type[Task[Any]]) -> str | None:
        """A task with targets: a text is all that it learns from."""
        targets = [one.name for one in task.columns if one.is_target and one.required]
        if not targets:
            return None
        return f"learns from text alone, and {task.name} has the column {targets[0]}"

    @classmethod
    def sizes_left(cls, options: PretrainOptions, sizes: KnownSizes) -> KnownSizes:
        """Those of its input."""
        return sizes

    def apply(self, context: Context[PretrainOptions]) -> Made:
        """Write the trained model with its tokenizer."""
        from compress_training.pretrain import pretrain

        return pretrain(context)


class LoraOptions(Options):
    """Small matrices that are trained beside the layers of a model, in place of the layers."""

    rank: int = Field(default=8, ge=1, description="Rank of what is added to each layer.")
    alpha: int = Field(default=16, ge=1, description="What is added is multiplied by alpha / rank.")
    targets: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None,
        description=(
            "Linear layers that get matrices, by the ends of their names ([q_proj, v_proj]); none: "
            "all but those of the head."
        ),
    )

    def left_to_machine(self) -> Mapping[str, Any]:
        """The installed peft, which no other fine-tuning depends on."""
        return versions(["peft"])


class FinetuneOptions(TrainingOptions):
    """Options of ``finetune``: those of a training, the tokenizer of a fresh model, and LoRA."""

    processor_of: Annotated[ArtifactReference | None, NeededByFreshMark()] = Field(
        default=None,
        description="Step, folder or hub id whose tokenizer a fresh model takes.",
    )
    vocabulary: Annotated[int | None, NeededByFreshMark()] = Field(
        default=None,
        ge=300,
        description="Tokens of the tokenizer that is trained for a fresh model, on the texts of "
        "the training rows.",
    )
    lora: LoraOptions | None = Field(
        default=None,
        description=(
            "Train small matrices beside the layers (LoRA), which are added to them at the end; "
            "none: train all weights."
        ),
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description=(
            "Share of each label that goes to all choices alike, so that the model is less sure; "
            "for a task that chooses one of several answers."
        ),
    )


class Finetune(Stage[FinetuneOptions]):
    """Supervised training on the task's data: of a pretrained model, or of a fresh one with a
    tokenizer of its own or another's."""

    name = "finetune"
    summary = "Train a model, with a head for the task, on labelled data."
    Options = FinetuneOptions
    accepts = Accepts(trainable=True, nothing=True)
    references = Accepts(precisions=("float", "int8"))
    libraries = LIBRARIES
    needs_data = ("train", "test")
    extra = "lora"
    paper = (
        "Hu et al. 2021, LoRA, section 4.1 (lora; arXiv:2106.09685); "
        "Szegedy et al. 2016, Rethinking the Inception Architecture, section 7 (label_smoothing; "
        "arXiv:1512.00567)"
    )

    @classmethod
    def check(cls, options: FinetuneOptions) -> list[OptionMistake]:
        """LoRA for a fresh model, whose weights mean nothing yet."""
        is_fresh = options.processor_of is not None or options.vocabulary is not None
        if options.lora is None or not is_fresh:
            return []
        message = "lora keeps the weights of a model, and those of a fresh one are random"
        return [OptionMistake("lora", message, "leave lora out, or start from a trained model")]

    @classmethod
    def shares_work(cls, options: FinetuneOptions) -> bool:
        """Always: it trains."""
        return True

    @classmethod
    def sizes_left(cls, options: FinetuneOptions, sizes: KnownSizes) -> KnownSizes:
        """Those of its input."""
        return sizes

    def apply(self, context: Context[FinetuneOptions]) -> Made:
        """Write the trained model with its tokenizer."""
        from compress_training.finetune import finetune

        return finetune(context)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stages of this plugin."""
    return [Pretrain, Finetune]
