"""The sizes of a model, read from its config, in which each family has its own names for
them.

``sizes`` needs optimum, so only workers call it; ``positions`` needs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compress.architecture import Architecture, Layout, ModelConfig
from compress.errors import UsageError

# The names of sizes in optimum's NormalizedConfig, for those whose config key no architecture
# names. It looks up a name that it does not define in the config itself, through the config's
# attribute_map (T5's head_dim is its d_kv).
_NORMALIZED = {
    "layers": "num_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "head_size": "head_dim",
    "feed_forward": "intermediate_size",
    "vocabulary": "vocab_size",
    "key_value_heads": "num_key_value_heads",
}

# Families that number positions from ``pad_token_id + 1`` on, so that the first ones serve
# no token (``create_position_ids_from_input_ids`` of transformers' RoBERTa, and what was
# copied from it).
_BEHIND_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "layoutlmv3",
        "lilt",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
_PADDING = 1
"""RoBERTa's padding token, for a config of such a family that names none."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model; None if the config does not state one.

    ``heads`` are the query heads of a layer, ``key_value_heads`` the key and value heads
    that they share (None: as many), ``head_size`` the width of one head, ``feed_forward``
    the inner width, ``vocabulary`` the number of token ids.
    """

    layers: int | None
    hidden: int | None
    heads: int | None
    head_size: int | None
    feed_forward: int | None
    vocabulary: int | None
    key_value_heads: int | None = None


def architecture_of(
    model_type: str, architectures: Sequence[type[Architecture]]
) -> type[Architecture] | None:
    """The architecture that serves ``model_type`` (None if none does). Raises UsageError
    if two do."""
    serving = [a for a in architectures if model_type in a.model_types]
    if len(serving) > 1:
        raise UsageError(
            f"model type {model_type!r} is claimed by two architectures: "
            + ", ".join(sorted(a.name for a in serving))
            + "; disable one of their plugins"
        )
    return serving[0] if serving else None


def layout_of(
    model_type: str, architectures: Sequence[type[Architecture]]
) -> tuple[type[Architecture], Layout]:
    """The architecture that serves ``model_type``, and its layout. Raises UsageError if none has
    one: no part of such a model can be cut."""
    architecture = architecture_of(model_type, architectures)
    if architecture is not None and architecture.layout is not None:
        return architecture, architecture.layout
    known = {name for each in architectures if each.layout for name in each.model_types}
    raise UsageError(
        f"nothing can be cut from {model_type} models: no architecture says where their parts are; "
        "install a plugin that adds one, or take a model of a family that has one: "
        + ", ".join(sorted(known))
    )


def sizes(config: Any, architectures: Sequence[type[Architecture]]) -> Sizes:
    """Sizes of the model that ``config`` (a transformers config) describes.

    Each comes from the config key that the model type's architecture names, else from
    optimum's NormalizedConfig, else it is None. A head size that is not stated is hidden /
    heads, if heads divide hidden."""
    architecture = architecture_of(config.model_type, architectures)
    keys = architecture.sizes if architecture else {}
    normalized = _normalized(config)
    values: dict[str, int | None] = {}
    for name, normalized_name in _NORMALIZED.items():
        if name in keys:
            values[name] = _positive(getattr(config, keys[name], None))
        else:
            values[name] = _positive(getattr(normalized, normalized_name, None))
    if values["head_size"] is None:
        values["head_size"] = _divided(values["hidden"], values["heads"])
    return Sizes(**values)


def _positive(value: Any) -> int | None:
    """``value`` as a size. Families with one value per stage hold lists, for which optimum
    answers 0."""
    return value if isinstance(value, int) and value > 0 else None


def _divided(hidden: int | None, heads: int | None) -> int | None:
    return hidden // heads if hidden and heads and hidden % heads == 0 else None


def positions(config: ModelConfig) -> int | None:
    """Tokens of the longest example that a model has positions for. ``config`` holds the
    entries of ``config.json``.

    None if the config states no limit: positions are relative (T5), or the number is
    left to the family."""
    limit = config.get("max_position_embeddings")
    # A model with relative positions has no limit: T5's n_positions is what it was trained
    # on.
    if limit is None and "relative_attention_num_buckets" not in config:
        limit = config.get("n_positions")
    if not isinstance(limit, int) or limit < 1:
        return None
    if config.get("model_type") not in _BEHIND_PADDING:
        return limit
    padding = config.get("pad_token_id")
    return limit - (_PADDING if padding is None else int(padding)) - 1


def _normalized(config: Any) -> Any:
    from optimum.utils.normalized_config import NormalizedConfigManager, NormalizedTextConfig

    known = NormalizedConfigManager._conf
    # A model type unknown to optimum is read under transformers' common names.
    return known.get(config.model_type, NormalizedTextConfig)(config)
