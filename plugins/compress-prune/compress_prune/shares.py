"""The shares of heads and neurons that go: one for every layer, or some by a layer's number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from compress.architecture import Layers
from compress.layers import in_words
from compress.stage import OptionMistake

if TYPE_CHECKING:
    from compress_prune.options import StructuredOptions

Share = Annotated[float, Field(gt=0, lt=1)]
LayerNumber = Annotated[str, BeforeValidator(str), Field(pattern="^(0|[1-9][0-9]*)$")]
Shares = Share | Annotated[dict[LayerNumber, Share], Field(min_length=1)]
"""A share of each layer's units, or those of single layers by their numbers from 0."""

LEAST = 0.01
"""A smaller share is not worth a try: in most layers it rounds to nothing."""


def by_layer(shares: Shares | None, layers: int) -> list[float]:
    """The share of each of ``layers``; 0 for one that is not named, and without shares for all."""
    if isinstance(shares, Mapping):
        return [shares.get(str(number), 0.0) for number in range(layers)]
    return [shares or 0.0] * layers


def half(shares: Shares | None) -> Shares | None:
    """Half of each share, without those that get too small; None if none is left."""
    if isinstance(shares, Mapping):
        return {layer: share / 2 for layer, share in shares.items() if share / 2 >= LEAST} or None
    return shares / 2 if shares is not None and shares / 2 >= LEAST else None


def share_mistakes(options: StructuredOptions, layers: Layers) -> list[OptionMistake]:
    """Shares of layers that a model does not have, of which ``layers`` are left when heads and
    neurons are cut."""
    mistakes = []
    for option in ("feed_forward", "heads"):
        shares = getattr(options, option)
        if not isinstance(shares, Mapping):
            continue
        if len(layers) > 1:
            message = f"{option}: shares by layer do not say of which stack: {in_words(layers)}"
            mistakes.append(OptionMistake(option, message, "give one share"))
            continue
        (count,) = layers.values()
        for layer in shares:
            if count is not None and int(layer) >= count:
                message = f"{option}: no layer {layer} in a model of {in_words(layers)}"
                hint = f"they are numbered from 0 to {count - 1}"
                mistakes.append(OptionMistake(f"{option}.{layer}", message, hint, of_key=True))
    return mistakes
