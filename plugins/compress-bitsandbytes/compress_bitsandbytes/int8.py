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
from transformers.quantizers.quantizers_utils import should_convert_module

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
    layers = [n for n, m in model.named_modules() if isinstance(m, Linear8bitLt)]
    if not layers:
        raise ModelRefused(
            f"quantize.bitsandbytes quantized nothing: outside of its head and of skip_modules, a "
            f"{model.config.model_type} model has no layer that bitsandbytes replaces"
        )
    save_model(model, context.output)
    context.task.processor(artifact.folder).save(context.output)
    return {"int8_layers": len(layers), "float_layers": kept}


def _kept(model: PreTrainedModel, skip: Sequence[str]) -> list[str]:
    """Names of the linear layers that stay float: the head's, and those that an entry of
    ``skip`` names."""
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    idle = [entry for entry in skip if not _names_any(entry, names)]
    if idle:
        raise UsageError(
            f"skip_modules: {', '.join(map(repr, idle))} names no linear layer; there are, among "
            f"others: {', '.join(names[:3])}"
        )
    body = model.base_model_prefix + "."
    return [n for n in names if not n.startswith(body) or not should_convert_module(n, list(skip))]


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
