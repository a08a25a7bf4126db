"""Open a model to train it for a task: with the head that it has, or with a new one.

A head is the weights outside of the model's body. For a task without labels, such as
language modelling, the head that was trained stays, whatever it is. For a task with labels it
stays if its outputs mean these labels in this order. Otherwise its outputs have no use, and
all of the head is drawn at random. Weights that the files do not hold are drawn too. The
caller learns the name of every tensor that was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import MODEL_MAPPING, AutoModel, PreTrainedConfig, PreTrainedModel

from compress.artifact import Artifact
from compress.errors import IntegrityError, UsageError
from compress.heads import meant_labels
from compress.models import (
    empty_model,
    load_config,
    model_class,
    open_model,
    pad_as_tokenizer,
    refuse_more_layers,
    saved_as_named,
)
from compress.stage import Context
from compress.task import Task


@dataclass(frozen=True)
class Adapted:
    """A model in training mode, and the names of its tensors with new random weights: in
    the order of the alphabet, and empty if every weight comes from the artifact."""

    model: PreTrainedModel
    drawn: tuple[str, ...] = ()

    @property
    def notes(self) -> Mapping[str, Any]:
        """``drawn`` for the manifest's notes; empty if nothing was drawn."""
        return {"drawn": list(self.drawn)} if self.drawn else {}


def adapt_input(context: Context[Any], labels: Sequence[str]) -> Adapted:
    """The model that a stage starts from, as ``adapt_model`` opens it for the stage's task.
    The user is shown the name of each tensor with new random weights."""
    assert context.input is not None, "a fresh model is not adapted"
    adapted = adapt_model(context.input, context.task, labels)
    if adapted.drawn:
        context.note(f"these weights are new, and drawn at random: {', '.join(adapted.drawn)}")
    return adapted


def adapt_model(artifact: Artifact, task: Task[Any], labels: Sequence[str]) -> Adapted:
    """The artifact's model in training mode, with a head for ``task`` and ``labels``: its own head
    if that fits, else a new one with random weights.

    Raises IntegrityError if weights outside of the head are missing or of another shape,
    and for layers that the config does not have."""
    if _head_fits(artifact, task, labels):
        model = open_model(artifact, task)
        # The same labels may now be learnt with another loss (``problem_type``).
        _state_head(model.config, task, labels)
        adapted = Adapted(model)
    else:
        adapted = _with_head_for(artifact, task, labels)
    adapted.model.train()
    return adapted


def _head_fits(artifact: Artifact, task: Task[Any], labels: Sequence[str]) -> bool:
    """Whether the artifact's head serves ``task``, and its outputs mean ``labels`` in order."""
    if artifact.traits.task != task.name:
        return False
    is_own = not task.head_config(labels)
    return is_own or meant_labels(artifact.manifest.labels, labels) == tuple(labels)


def _state_head(config: PreTrainedConfig, task: Task[Any], labels: Sequence[str]) -> None:
    """Write into the config that the model's head is for ``task`` and ``labels``."""
    for key, value in task.head_config(labels).items():
        setattr(config, key, value)


def _with_head_for(artifact: Artifact, task: Task[Any], labels: Sequence[str]) -> Adapted:
    """The artifact's model with a head for ``task`` and ``labels``. What the files lack of it
    has random weights."""
    if artifact.traits.shape == "free":
        raise UsageError(
            f"{artifact.folder}: a pruned model of free shape keeps its head; it cannot be given "
            "another"
        )
    config = load_config(artifact.folder)
    _state_head(config, task, labels)
    model, info = model_class(task, config).from_pretrained(
        artifact.folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    refuse_more_layers(model, info["unexpected_keys"], artifact.folder)
    body, resized = names_of_body(model), {str(entry[0]) for entry in info["mismatched_keys"]}
    drawn = {*map(str, info["missing_keys"]), *resized}  # by transformers
    _refuse_lost_body(drawn, body, artifact.folder)
    if not task.head_config(labels):
        _refuse_other_shapes(resized, artifact.folder)
    elif _has_other_outputs(artifact, task, resized=bool(resized), filled=drawn <= body):
        drawn |= _draw_head(model, task, body)
    pad_as_tokenizer(model, task, artifact.folder)
    return Adapted(saved_as_named(model), tuple(sorted(drawn)))


def _refuse_other_shapes(resized: set[str], folder: Path) -> None:
    """Raise IntegrityError for weights of another shape than the config states."""
    if resized:
        raise IntegrityError(
            f"{folder}: weights of the model's head are of another shape than its config states: "
            + ", ".join(sorted(resized)[:5])
        )


def _has_other_outputs(artifact: Artifact, task: Task[Any], *, resized: bool, filled: bool) -> bool:
    """Whether the files hold a head like the one needed whose outputs mean something else, so
    that all of it must be drawn.

    ``resized``: its last layer has another shape, and transformers kept the layers before it.
    ``filled``: transformers kept all of it, for the number of labels is the same."""
    served = artifact.traits.task
    if served is None:
        return False
    is_known = bool(artifact.manifest.labels) or served != task.name
    return resized or (filled and is_known)


def names_of_body(model: PreTrainedModel) -> set[str]:
    """Names of the tensors of the model without its head."""
    names = set(model.state_dict())
    if model.base_model is not model:
        return {name for name in names if name.startswith(f"{model.base_model_prefix}.")}
    # Some families, such as T5, hold the modules of the body and the head side by side.
    if type(model.config) not in MODEL_MAPPING:
        return names
    with init_empty_weights():
        bare = AutoModel.from_config(model.config)
    return names & set(bare.state_dict())


def _refuse_lost_body(drawn: set[str], body: set[str], folder: Path) -> None:
    """Raise IntegrityError if weights of the body were drawn. A pooler may be missing: not
    every checkpoint has one."""
    lost = sorted(name for name in drawn & body if ".pooler." not in name)
    if lost:
        raise IntegrityError(
            f"{folder}: weights of the model's body are missing or of another shape: "
            + ", ".join(lost[:5])
        )


def _draw_head(model: PreTrainedModel, task: Task[Any], body: set[str]) -> set[str]:
    """Replace the weights of the head by random ones, and return their names."""
    fresh = empty_model(task, model.config)
    head = [(name, weight) for name, weight in model.named_parameters() if name not in body]
    with torch.no_grad():
        for name, weight in head:
            weight.copy_(fresh.get_parameter(name))
    return {name for name, _ in head}
