"""Stages that train on the user's data: ``pretrain`` and ``finetune``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from compress import hookimpl
from compress.options import FreshMark
from compress.stage import Accepts, Context, Made, Stage
from compress.training import LIBRARIES, TrainingOptions

SPECIAL_TOKENS: Mapping[str, str] = MappingProxyType(
    {"pad_token_id": "pad", "bos_token_id": "cls", "eos_token_id": "sep"}
)
"""Keys of a model's config, and the kinds of the special tokens whose ids they hold."""


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
    """Masked language modelling: of a fresh configuration, or of a given model on in-domain
    text."""

    name = "pretrain"
    summary = (
        "Train a masked language model: tokenizer and model from scratch, or a given model on "
        "in-domain text."
    )
    paper = "Devlin et al. 2019, BERT, section 3.1 (arXiv:1810.04805)"
    Options = PretrainOptions
    accepts = Accepts(trainable=True, nothing=True)
    serves = ("fill-mask",)
    configures = MappingProxyType(
        {
            "vocab_size": "its option vocabulary",
            **dict.fromkeys(SPECIAL_TOKENS, "the tokenizer that it trains"),
        }
    )
    needs_data = ("train", "test")
    libraries = LIBRARIES

    @classmethod
    def shares_work(cls, options: PretrainOptions) -> bool:
        """Always: it trains."""
        return True

    @classmethod
    def layers_left(cls, options: PretrainOptions, layers: int) -> int:
        """All layers."""
        return layers

    def apply(self, context: Context[PretrainOptions]) -> Made:
        """Write the trained model with its tokenizer."""
        from compress_training.pretrain import pretrain

        return pretrain(context)


class Finetune(Stage[TrainingOptions]):
    """Supervised training of a pretrained model on the task's data."""

    name = "finetune"
    summary = "Train a pretrained model, with a head for the task, on labelled data."
    Options = TrainingOptions
    accepts = Accepts(trainable=True)
    libraries = LIBRARIES
    needs_data = ("train", "test")

    @classmethod
    def shares_work(cls, options: TrainingOptions) -> bool:
        """Always: it trains."""
        return True

    @classmethod
    def layers_left(cls, options: TrainingOptions, layers: int) -> int:
        """All layers."""
        return layers

    def apply(self, context: Context[TrainingOptions]) -> Made:
        """Write the trained model with its tokenizer."""
        from compress_training.finetune import finetune

        return finetune(context)


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stages of this plugin."""
    return [Pretrain, Finetune]
