"""Build, open and save PyTorch models, always through transformers. Only workers
import this."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from accelerate.utils import extract_model_from_parallel
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from compress.architecture import ModelConfig
from compress.artifact import Artifact
from compress.errors import CompressError, IntegrityError, UsageError
from compress.generation import GENERATION_FILE
from compress.jsonfiles import read_object
from compress.labelled import labelled_loss
from compress.processor import TextProcessor
from compress.shapes import replay
from compress.task import Task
from compress.weightfiles import weight_files


def model_class(task: Task[Any], config: PreTrainedConfig) -> Any:
    """The class that opens a model of ``config`` for a task, such as
    ``AutoModelForTokenClassification``: ``Task.model_class`` names it.

    Raises CompressError for a name that stands for no class."""
    name = task.model_class(config.to_dict())
    module, _, attribute = name.rpartition(":")
    try:
        return getattr(importlib.import_module(module or "transformers"), attribute)
    except (ImportError, AttributeError) as error:
        raise CompressError(
            f"task {task.name}: model_class names {name}, which cannot be imported: {error}"
        ) from error


def empty_model(task: Task[Any], config: PreTrainedConfig) -> PreTrainedModel:
    """A model of ``config`` for a task, in float32, with the weights that its family draws."""
    opener = model_class(task, config)
    # A class of models lacks the public name that auto classes have.
    build = getattr(opener, "from_config", None) or opener._from_config
    model: PreTrainedModel = build(config, dtype=torch.float32)
    return model


def forward(model: PreTrainedModel, batch: Mapping[str, Tensor], **switches: bool) -> Any:
    """The model's own output object for the entries of ``batch`` that its forward pass reads. The
    others, such as groups of examples, are for the task's loss.

    ``switches`` are arguments of the forward pass, such as ``output_hidden_states``. One that is
    False is left out: not every model of a plugin takes it."""
    names = _arguments(type(extract_model_from_parallel(model)).forward)
    on = {name: value for name, value in switches.items() if value}
    return model(**{name: batch[name] for name in batch if name in names}, **on)


def task_loss(
    task: Task[Any], model: PreTrainedModel, batch: Mapping[str, Tensor]
) -> Tensor | None:
    """The task's loss of a batch, a scalar; None if it has none."""
    whole = extract_model_from_parallel(model)
    # The loss of these models is known: fewer logits give the same.
    is_masked = type(whole).__name__.endswith("ForMaskedLM") and "labels" in batch
    if is_masked and type(task).loss is Task.loss:
        return labelled_loss(partial(forward, model), whole, batch)
    return task.loss(forward(model, batch), batch)


@cache
def _arguments(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)


def load_config(folder: str | Path) -> PreTrainedConfig:
    """The config of a local model folder. Raises UsageError for one that would run code
    from the folder (``auto_map``), and for a model type that is not known."""
    kind = read_object(Path(folder) / "config.json", infinity=True).get("model_type")
    if kind is not None and kind not in CONFIG_MAPPING:
        raise UsageError(
            f"{folder}: transformers knows no {kind!r} models, and no installed plugin brings them"
        )
    config: PreTrainedConfig = AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    if getattr(config, "auto_map", None):
        raise UsageError(
            f"{folder}: its config has an auto_map, which runs code from the model folder; that is "
            "refused"
        )
    return config


def fresh_model(config: ModelConfig, task: Task[Any], labels: Sequence[str]) -> PreTrainedModel:
    """A model with random float32 weights. ``config`` is a fresh configuration: ``type``
    and keys of the family's config.

    Raises UsageError if ``config`` sets up the head too, or the model has fewer
    positions than the task keeps tokens. A family raises errors of its own for values that
    it cannot use."""
    values, head = dict(config), task.head_config(labels)
    kind = values.pop("type")
    clash = sorted(values.keys() & head.keys())
    if clash:
        raise UsageError(
            f"{clash[0]} follows from the task and its labels: leave it out of the model's "
            "configuration"
        )
    built = AutoConfig.for_model(kind, **values, **head)
    unfit = task.limit(built.to_dict())
    if unfit:
        raise UsageError(f"task {task.name} {unfit} (this configuration of a {kind} model)")
    return saved_as_named(empty_model(task, built))


def open_model(artifact: Artifact, task: Task[Any], device: str = "cpu") -> PreTrainedModel:
    """The artifact's model in evaluation mode, in float32 if its precision is float.

    Every weight of the model comes from the artifact. Raises IntegrityError if one is
    missing, of another shape, or of a layer that the config does not have. Other weights in
    the files, such as a pooler's or another head's, are ignored, as transformers does."""
    if artifact.traits.shape == "free":
        model = _open_free(artifact, task)
    else:
        model = _open_stock(artifact, task, device)
    if artifact.traits.precision == "float":
        model.to(torch.device(device))  # type: ignore[arg-type]
    pad_as_tokenizer(model, task, artifact.folder)
    saved_as_named(model).eval()
    return model


def saved_as_named(model: PreTrainedModel) -> PreTrainedModel:
    """``model``, which will save its weights under the names of its modules.

    By default transformers saves them under the names that it found in the file
    (``LayerNorm.gamma`` in BERT's of 2018). But Trainer, when it loads a checkpoint, and
    ``_fill`` read weights by the names of modules alone."""
    vars(model)["_weight_conversions"] = []
    return model


def pad_as_tokenizer(model: PreTrainedModel, task: Task[Any], folder: Path) -> None:
    """Set the config's ``pad_token_id`` for a head that finds a text's last token by it.

    Llama's and GPT-2's heads read the answer at the last token whose id differs from it,
    and their configs name no such id. Such a head also skips the id at the end of a text
    itself, so an id that ordinary texts end with must not pad. Raises UsageError if the
    tokenizer names no id to pad with."""
    # These families have no class in common, but their forward reads the config's entry.
    if "pad_token_id" not in inspect.unwrap(type(model).forward).__code__.co_names:
        return
    processor = task.processor(folder)
    if not isinstance(processor, TextProcessor):  # what is padded is no text
        return
    pad = processor.named_pad_id
    if pad is None:
        raise UsageError(
            f"{folder}: its head finds the last token of a text by the padding token, and its "
            "tokenizer names neither that nor an end-of-text token: set pad_token in "
            "tokenizer_config.json"
        )
    model.config.get_text_config().pad_token_id = pad


def save_model(model: PreTrainedModel, folder: Path) -> int:
    """Write config and safetensors weights into ``folder``, and return the number of parameters.
    Shared ones count once."""
    # Positions that a family computes (Marian) are saved too: a model of another width has others.
    model._keys_to_ignore_on_save = None
    saved_as_named(model).save_pretrained(folder, max_shard_size="4GB")
    return count_parameters(model)


def count_parameters(model: torch.nn.Module) -> int:
    """Number of parameters; a shared one counts once."""
    return sum(p.numel() for p in model.parameters())


def _open_stock(artifact: Artifact, task: Task[Any], device: str) -> PreTrainedModel:
    """A model of stock shape, as transformers loads it."""
    config = load_config(artifact.folder)  # refuses one that would run code
    options: dict[str, Any] = {"dtype": torch.float32}
    if artifact.traits.precision == "int8":
        # The folder's config holds the quantization; weights go to the device as they are
        # read.
        options = {"device_map": device}
    model: PreTrainedModel
    model, info = model_class(task, config).from_pretrained(
        artifact.folder,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are refused below, all of them at once
        **options,
    )
    problems = []
    for kind in ("missing", "mismatched"):
        names = sorted(map(str, info[f"{kind}_keys"]))
        if names:
            problems.append(f"{kind}: {', '.join(names)}")
    if problems:
        raise IntegrityError(
            f"{artifact.folder}: its weights do not fill its model; " + "; ".join(problems)
        )
    refuse_more_layers(model, info["unexpected_keys"], artifact.folder)
    return model


def refuse_more_layers(model: PreTrainedModel, unexpected: Iterable[str], folder: Path) -> None:
    """Raise IntegrityError for weights whose names differ from the model's own in a layer's
    number alone: the config has fewer layers than the files.

    transformers would ignore them, and the model would silently be a shorter one."""

    def place(name: str) -> str:
        """The name with every number replaced, without the base model's prefix."""
        path = "." + name.removeprefix(f"{model.base_model_prefix}.")
        return re.sub(r"(?<=\.)\d+(?=\.)", "#", path)

    own = set(map(place, model.state_dict()))
    more = sorted(name for name in unexpected if place(name) in own)
    if more:
        raise IntegrityError(
            f"{folder}: it holds weights of layers that its config does not have: "
            f"{', '.join(more[:5])}"
        )


def _open_free(artifact: Artifact, task: Task[Any]) -> PreTrainedModel:
    """A model of free shape: built empty from its config, cut by the edits, then filled."""
    config = load_config(artifact.folder)
    # Parameters get no memory yet. Buffers do: those that are not saved (position ids,
    # rotary frequencies) are computed when a module is built.
    with init_empty_weights(include_buffers=False):
        model = empty_model(task, config)
    replay(model, artifact.manifest.edits, artifact.manifest.needs)
    if (artifact.folder / GENERATION_FILE).is_file():
        model.generation_config = GenerationConfig.from_pretrained(
            artifact.folder, local_files_only=True
        )
    return _fill(model, artifact)


def _fill(model: PreTrainedModel, artifact: Artifact) -> PreTrainedModel:
    """``model`` with the artifact's weights in float32. Raises IntegrityError if the two
    do not match. Tied weights, which are saved once, are tied again."""
    weights: dict[str, torch.Tensor] = {}
    for file in weight_files(artifact.folder):
        for name, weight in load_file(file).items():
            weights[name] = weight.float() if weight.is_floating_point() else weight
    try:
        loaded = model.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError as error:
        raise IntegrityError(
            f"{artifact.folder}: its weights do not have the shapes of its edits: "
            f"{' '.join(str(error).split()):.300}"
        ) from error
    model.tie_weights()
    empty = [
        name for name, parameter in model.named_parameters() if parameter.device.type == "meta"
    ]
    if empty or loaded.unexpected_keys:
        raise IntegrityError(
            f"{artifact.folder}: its weights do not fill its model; "
            f"missing: {', '.join(empty[:5])}; "
            f"unexpected: {', '.join(loaded.unexpected_keys[:5])}"
        )
    return model
