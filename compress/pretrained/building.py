"""Building a model of a config from outside, without memory for its weights: whether that can be
done, and how many embeddings it has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import UsageError, first_line, name_and_first_line

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def embedding_rows(folder: Path) -> int | None:
    """The number of token embeddings of the model that a folder's ``config.json`` describes; None
    if its ids go another way than through one table, or no class is known for it.

    Imports torch and transformers. Raises UsageError if its family cannot build the model."""
    import torch

    try:
        with torch.device("meta"):
            model = _built(folder)
    except Exception as error:  # a family's code may raise anything for values it cannot use
        raise UsageError(
            f"transformers cannot build the model of {folder / 'config.json'}: "
            f"{reason_of_failed_build(error)}"
        ) from error
    if model is None:
        return None
    try:
        table = model.get_input_embeddings()
    except (NotImplementedError, AttributeError):  # sounds or pictures go in
        return None
    return table.num_embeddings if isinstance(table, torch.nn.Embedding) else None


def reason_of_failed_build(error: Exception) -> str:
    """The line of an error that explains it. Errors other than ValueError get their type in front,
    because their text may be one word (``'gelo'``)."""
    from huggingface_hub.errors import StrictDataclassError

    if isinstance(error, StrictDataclassError):  # its first line names the field alone
        lines = str(error).splitlines() or [""]
        return lines[-1].strip().removeprefix("TypeError: ")
    return first_line(error) if isinstance(error, ValueError) else name_and_first_line(error)


def _built(folder: Path) -> PreTrainedModel | None:
    """The model, as the first class of its config that transformers has builds it, else as a bare
    one."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    for name in config.architectures or ():
        model_class: Any = getattr(transformers, name, None)
        if _builds(model_class, config):
            model: PreTrainedModel = model_class(config)
            return model
    return _bare(config)


def _bare(config: PreTrainedConfig) -> PreTrainedModel | None:
    from transformers import MODEL_MAPPING, AutoModel

    if type(config) not in MODEL_MAPPING:
        return None
    model: PreTrainedModel = AutoModel.from_config(config)
    return model


def _builds(value: Any, config: PreTrainedConfig) -> bool:
    """Whether a value is the class of a model with this kind of config."""
    from transformers import PreTrainedModel

    is_model = isinstance(value, type) and issubclass(value, PreTrainedModel)
    return is_model and value.config_class is type(config)
