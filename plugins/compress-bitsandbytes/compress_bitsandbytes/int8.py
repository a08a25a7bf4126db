"""LLM.int8 (Dettmers et al. 2022, arXiv:2208.07339).

Weights are int8 with a scale for each row. Activations are quantized for each token. The
few features of large magnitude are multiplied in 16 bits (section 3.2). transformers swaps
the layers while it reads the weights. The head stays float: it is small, and its rounding
would directly change the answer. Embeddings stay float too; in a small encoder they are
half of the file.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from bitsandbytes.nn import Linear8bitLt
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.quantizers_utils import should_convert_module

from compress.adapting import names_of_body
from compress.artifact import Artifact
from compress.errors import ModelRefused, UsageError, name_and_first_line
from compress.models import load_config, model_class, open_model, save_model
from compress.stage import Context
from compress.task import Task

if TYPE_CHECKING:
    from compress_bitsandbytes import BitsAndBytesOptions


def quantize(context: Context[BitsAndBytesOptions], artifact: Artifact) -> Mapping[str, Any]:
    """Write the quantized model, its config and its processor into the context's output.
    Returns facts for the manifest. Raises ModelRefused for a family that bitsandbytes cannot
    quantize."""
    kept = _kept(open_model(artifact, context.task), context.options.skip_modules)
    model = _quantized(artifact, context.task, context.options.threshold, kept)
    layers = _linear_layers(model)
    # transformers leaves some of its own accord, such as the outputs of a T5's feed-forward parts.
    floats = [name for name, layer in layers.items() if not isinstance(layer, Linear8bitLt)]
    if len(floats) == len(layers):
        raise ModelRefused(
            f"quantize.bitsandbytes quantized nothing: outside of its head and of skip_modules, a "
            f"{model.config.model_type} model has no layer that bitsandbytes replaces"
        )
    save_model(model, context.output)
    context.task.processor(artifact.folder).save(context.output)
    return {"int8_layers": len(layers) - len(floats), "float_layers": floats}


def _linear_layers(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    """The linear layers by name."""
    return {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear | Conv1D)}


def _kept(model: PreTrainedModel, skip: Sequence[str]) -> list[str]:
    """Names of the linear layers that stay float: the head's, and those that an entry of
    ``skip`` names."""
    names, body = list(_linear_layers(model)), names_of_body(model)
    idle = [entry for entry in skip if not _names_any(entry, names)]
    if idle:
        raise UsageError(
            f"skip_modules: {', '.join(map(repr, idle))} names no linear layer; there are, among "
            f"others: {', '.join(names[:3])}"
        )
    return [
        name
        for name in names
        if f"{name}.weight" not in body or not should_convert_module(name, list(skip))
    ]


def _names_any(entry: str, names: Sequence[str]) -> bool:
    """Whether ``entry`` of ``skip_modules`` makes transformers leave one of the layers
    ``names`` as it is."""
    return not all(should_convert_module(name, [entry]) for name in names)


def _quantized(
    artifact: Artifact, task: Task[Any], threshold: float, kept: list[str]
) -> PreTrainedModel:
    """The model with int8 layers, made on the GPU where there is one."""
    own = load_config(artifact.folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = BitsAndBytesConfig(
        load_in_8bit=True, llm_int8_threshold=threshold, llm_int8_skip_modules=kept
    )
    try:
        model: PreTrainedModel = model_class(task, own).from_pretrained(
            artifact.folder,
            quantization_config=config,
            device_map=device,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
        )
    except (MemoryError, OSError, torch.OutOfMemoryError):  # this machine's trouble
        raise
    except Exception as error:  # transformers raises whatever the family's own loading meets
        traceback.print_exc()
        raise ModelRefused(
            f"quantize.bitsandbytes: the weights of a {own.model_type} model cannot be quantized "
            f"while they are read ({name_and_first_line(error)[:200]}; the log has the rest)"
        ) from error
    model.eval()
    return model
