"""PyTorch models: built, opened, given a head and saved, always through transformers. Only workers
import this."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from optimum.exporters.tasks import TasksManager
from safetensors.torch import load_file
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from compress import surgery
from compress.artifact import Artifact
from compress.errors import IntegrityError, UsageError
from compress.sizes import positions
from compress.task import Task, meant_labels

# optimum's resolution by task is the dependency that the project keeps; the model classes
# themselves are transformers'.


def auto_class(task: Task[Any]) -> Any:
    """transformers' auto class for a task (``AutoModelForTokenClassification``), as optimum's
    TasksManager resolves it."""
    return TasksManager.get_model_class_for_task(task.optimum_name)


def load_config(folder: str | Path) -> PreTrainedConfig:
    """The config of a local model folder. Raises UsageError for one that asks to run code of its
    own (``auto_map``)."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if getattr(config, "auto_map", None):
        raise UsageError(
            f"{folder}: its config has an auto_map, which runs code from the model folder; that is "
            "refused"
        )
    return config


def fresh_model(
    config: Mapping[str, Any], task: Task[Any], labels: Sequence[str]
) -> PreTrainedModel:
    """A model with random float32 weights of a fresh configuration: ``type`` and the family's
    config keys.

    Raises UsageError where the family gives it fewer positions than the task keeps tokens, or the
    head is configured too; what a family raises for values that it cannot use is its own."""
    values, head = dict(config), task.head_config(labels)
    kind = values.pop("type")
    if clash := sorted(values.keys() & head.keys()):
        raise UsageError(
            f"{clash[0]} follows from the task and its labels: leave it out of the model's "
            "configuration"
        )
    built = AutoConfig.for_model(kind, **values, **head)
    limit, wanted = positions(built.to_dict()), task.options.max_length
    if limit is not None and wanted > limit:
        raise UsageError(
            f"task {task.name} keeps {wanted} tokens of an example, and a {kind} model of this "
            "configuration "
            f"has {limit} positions: set max_length: {limit}, or max_position_embeddings"
        )
    return _saved_as_named(auto_class(task).from_config(built, dtype=torch.float32))


def open_model(artifact: Artifact, task: Task[Any], device: str = "cpu") -> PreTrainedModel:
    """The artifact's model in evaluation mode, float32 where its precision is float, every weight
    accounted for.

    Raises IntegrityError where a weight is missing, of another shape, or of a layer that the config
    does not have. Other weights that the model has no use for, such as another head's or a
    pooler's, are left, as transformers leaves them."""
    if artifact.traits.shape == "free":
        model = _open_free(artifact, task)
    else:
        model = _open_stock(artifact, task, device)
    if artifact.traits.precision == "float":
        model.to(torch.device(device))  # type: ignore[arg-type]
    _pad_as_tokenizer(model, task, artifact.folder)
    return _saved_as_named(model).eval()


def adapt_model(artifact: Artifact, task: Task[Any], labels: Sequence[str]) -> PreTrainedModel:
    """The artifact's model with a head for ``task`` and ``labels``; a head that fits is kept,
    another is drawn anew.

    Raises IntegrityError where anything but a head is missing, and for layers that the config does
    not have."""
    if artifact.traits.task == task.name and meant_labels(
        artifact.manifest.labels, labels
    ) == tuple(labels):
        model = open_model(artifact, task)
        for key, value in task.head_config(
            labels
        ).items():  # the same labels may be learnt in another way
            setattr(model.config, key, value)
        return model.train()
    if artifact.traits.shape == "free":
        raise UsageError(
            f"{artifact.folder}: a pruned model of free shape keeps its head; it cannot be given "
            "another"
        )
    config = load_config(artifact.folder)
    for key, value in task.head_config(labels).items():
        setattr(config, key, value)
    model, info = auto_class(task).from_pretrained(
        artifact.folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    prefix = model.base_model_prefix + "."
    lost = sorted(k for k in info["missing_keys"] if k.startswith(prefix) and ".pooler." not in k)
    lost += sorted(str(k[0]) for k in info["mismatched_keys"] if str(k[0]).startswith(prefix))
    _refuse_more_layers(model, info["unexpected_keys"], artifact.folder)
    if lost:
        raise IntegrityError(
            f"{artifact.folder}: weights of the model's body are missing or of another shape: "
            + ", ".join(lost[:5])
        )
    if artifact.traits.task is not None and (info["mismatched_keys"] or not info["missing_keys"]):
        _draw_head(model, task)  # all of it, where the last layer alone has another shape too
    _pad_as_tokenizer(model, task, artifact.folder)
    return _saved_as_named(model).train()


def _saved_as_named(model: PreTrainedModel) -> PreTrainedModel:
    """``model``, whose weights are saved under its modules' names from now on.

    transformers writes them under those that it found in the file (``LayerNorm.gamma`` in BERT's of
    2018); but Trainer, when it takes up its best epoch or goes on from a checkpoint, and ``_fill``
    read weights by the modules' names alone."""
    vars(model)["_weight_conversions"] = []
    return model


def _pad_as_tokenizer(model: PreTrainedModel, task: Task[Any], folder: Path) -> None:
    """Tell a head that finds the last token of a text by ``input_ids != pad_token_id`` with which
    id texts are padded: as Llama's and GPT-2's do, whose configs name none. What such a text ends
    with itself is skipped too, alone and in a batch alike; an id that ends ordinary texts must
    therefore not pad, and UsageError is raised where none is named."""
    # The families have no class in common, but their forward reads the config's entry.
    if "pad_token_id" not in inspect.unwrap(type(model).forward).__code__.co_names:
        return
    pad = task.processor(folder).named_pad_id
    if pad is None:
        raise UsageError(
            f"{folder}: its head finds the last token of a text by the padding token, and its "
            "tokenizer names "
            "neither that nor an end-of-text token: set pad_token in tokenizer_config.json"
        )
    model.config.get_text_config().pad_token_id = pad


def _draw_head(model: PreTrainedModel, task: Task[Any]) -> None:
    """Give ``model`` a new head: the old one has the same shape, but was trained for other labels
    or another task."""
    fresh = auto_class(task).from_config(model.config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith(model.base_model_prefix + "."):
                parameter.copy_(fresh.get_parameter(name))


def save_model(model: PreTrainedModel, folder: Path) -> int:
    """Write config and safetensors weights into ``folder``; the number of parameters comes back
    (shared ones once)."""
    model.save_pretrained(folder, max_shard_size="4GB")
    return count_parameters(model)


def count_parameters(model: torch.nn.Module) -> int:
    """Number of parameters, a shared one counted once."""
    return sum(p.numel() for p in model.parameters())


def _open_stock(artifact: Artifact, task: Task[Any], device: str) -> PreTrainedModel:
    load_config(artifact.folder)
    options: dict[str, Any] = {"dtype": torch.float32}
    if artifact.traits.precision == "int8":
        # The folder's config holds the quantization; weights go to the device as they are read.
        options = {"device_map": device}
    model, info = auto_class(task).from_pretrained(
        artifact.folder,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
        **options,
    )
    wrong = [
        f"{kind.removesuffix('_keys')}: {', '.join(sorted(map(str, info[kind])))}"
        for kind in ("missing_keys", "mismatched_keys")
        if info[kind]
    ]
    if wrong:
        raise IntegrityError(
            f"{artifact.folder}: its weights do not fill its model; " + "; ".join(wrong)
        )
    _refuse_more_layers(model, info["unexpected_keys"], artifact.folder)
    return model


def _refuse_more_layers(model: PreTrainedModel, unexpected: Iterable[str], folder: Path) -> None:
    """Raise IntegrityError for weights that differ from the model's own by a layer's number alone:
    its config has fewer."""

    def place(name: str) -> str:
        return re.sub(
            r"(?<=\.)\d+(?=\.)", "#", "." + name.removeprefix(f"{model.base_model_prefix}.")
        )

    own = set(map(place, model.state_dict()))
    more = sorted(name for name in unexpected if place(name) in own)
    if more:
        raise IntegrityError(
            f"{folder}: it holds weights of layers that its config does not have: "
            f"{', '.join(more[:5])}"
        )


def _open_free(artifact: Artifact, task: Task[Any]) -> PreTrainedModel:
    config = load_config(artifact.folder)
    # Parameters get no memory yet; buffers do, for those that are not saved (position ids, rotary
    # frequencies) are computed where a module is built.
    with init_empty_weights(include_buffers=False):
        model = auto_class(task).from_config(config, dtype=torch.float32)
    surgery.replay(model, artifact.manifest.edits)
    return _fill(model, artifact)


def _fill(model: PreTrainedModel, artifact: Artifact) -> PreTrainedModel:
    """``model`` with the artifact's weights in float32, strictly; tied weights, saved once, are
    tied again."""
    weights: dict[str, torch.Tensor] = {}
    for file in sorted(artifact.folder.glob("*.safetensors")):
        weights.update(
            {name: w.float() if w.is_floating_point() else w for name, w in load_file(file).items()}
        )
    try:
        loaded = model.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError as error:
        raise IntegrityError(
            f"{artifact.folder}: its weights do not have the shapes of its edits: {error}"
        ) from error
    model.tie_weights()
    empty = [
        name for name, parameter in model.named_parameters() if parameter.device.type == "meta"
    ]
    if empty or loaded.unexpected_keys:
        raise IntegrityError(
            f"{artifact.folder}: its weights do not fill its model; missing: "
            f"{', '.join(empty[:5])}; "
            f"unexpected: {', '.join(loaded.unexpected_keys[:5])}"
        )
    return model
