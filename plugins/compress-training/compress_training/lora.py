"""LoRA: the layers stay as they are, and small matrices beside them are trained (Hu et al. 2021,
LoRA, section 4.1, arXiv:2106.09685).

A layer computes ``W x + alpha / rank * B A x``, where ``A`` is [rank, inputs] and ``B`` [outputs,
rank]. ``A`` begins at random and ``B`` at zero, so the training begins at the model as it was
given. At its end the product is added to ``W``: the result is a model like the one that was given.

peft puts the matrices into the model's own modules. So checkpoints hold them beside the weights
that do not change, and a training goes on from one as any other does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from peft import LoraConfig, LoraModel
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from compress.adapting import Adapted, names_of_body
from compress.errors import UsageError
from compress.models import count_parameters

if TYPE_CHECKING:
    from compress_training import LoraOptions

_SHOWN = 8
"""Names of layers that an error shows."""


class Adapters:
    """The trained matrices of a model, which they are put into in place. What else is trained is
    new or of the head; all other weights are frozen.

    Raises UsageError if the model has no layer that the options name."""

    def __init__(self, adapted: Adapted, options: LoraOptions) -> None:
        model = adapted.model
        self._of, body = count_parameters(model), names_of_body(model)
        layers = _layers_of(model, body)
        self._targets = _targets(layers, options.targets, model.config.model_type)
        config = LoraConfig(
            r=options.rank,
            lora_alpha=options.alpha,
            target_modules=self._targets,
            fan_in_fan_out=all(isinstance(layers[name], Conv1D) for name in self._targets),
        )
        whole = _trained_whole(adapted, body)
        self._lora = LoraModel(model, config, "default")
        for parameter in whole:
            parameter.requires_grad_(True)
        self._trained = sum(p.numel() for p in model.parameters() if p.requires_grad)

    def __str__(self) -> str:
        share = 100 * self._trained / self._of
        return (
            f"LoRA in {len(self._targets)} layers: {self._trained:,} parameters are trained, "
            f"{share:.2f} % of the model's {self._of:,}"
        )

    @property
    def notes(self) -> Mapping[str, Any]:
        """Facts for the manifest: the number of parameters that are trained, and the layers."""
        return {"lora": {"trained_parameters": self._trained, "layers": self._targets}}

    def merge(self) -> None:
        """Add each product to its layer. The model is then without adapters."""
        self._lora.merge_and_unload()


def _layers_of(model: PreTrainedModel, body: set[str]) -> dict[str, nn.Module]:
    """The linear layers of the body, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and f"{name}.weight" in body
    }


def _targets(layers: Mapping[str, nn.Module], wanted: Sequence[str] | None, kind: str) -> list[str]:
    """Names of the layers that get matrices: those that end in one of ``wanted``, or all."""
    if wanted is None:
        found = list(layers)
    else:
        found = [name for name in layers if any(_ends(name, end) for end in wanted)]
    idle = [end for end in wanted or () if not any(_ends(name, end) for name in layers)]
    if idle or not found:
        ends = sorted({name.rpartition(".")[2] for name in layers})
        named = f"{', '.join(map(repr, idle))} names no linear layer" if idle else "finds none"
        raise UsageError(
            f"lora.targets: {named} of this {kind} model; the names of its linear layers end in: "
            f"{', '.join(ends[:_SHOWN]) or 'there are none'}"
        )
    return found


def _ends(name: str, end: str) -> bool:
    return f".{name}".endswith(f".{end}")


def _trained_whole(adapted: Adapted, body: set[str]) -> list[nn.Parameter]:
    """The parameters that are trained themselves: new ones, and those of a head that answers.

    What a language model chooses its next token by is no such head: it was trained, and is often
    the embeddings themselves."""
    model, drawn = adapted.model, set(adapted.drawn)
    chooser = model.get_output_embeddings()
    known = {id(p) for p in chooser.parameters()} if chooser is not None else set()
    embedded = {id(p) for name, p in model.named_parameters(remove_duplicate=False) if name in body}
    return [
        parameter
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if name in drawn or (name not in body and id(parameter) not in known | embedded)
    ]
