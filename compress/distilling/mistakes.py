"""Losses whose options exclude each other. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compress.distilling.menu import LogitsLoss, LossItem, of_kind
from compress.stage import OptionMistake


def loss_mistakes(losses: Sequence[LossItem], option: str = "losses") -> Iterator[OptionMistake]:
    """Options of a divergence where the logits are compared otherwise."""
    for place, loss in enumerate(losses):
        if loss.logits is None or loss.logits.distance == "divergence":
            continue
        for name in ("temperature", "beta"):
            if name in loss.logits.model_fields_set:
                yield OptionMistake(
                    f"{option}.{place}.logits.{name}",
                    f"{name} is of the divergence, and distance is {loss.logits.distance}",
                    f"leave {name} out",
                )


def several_temperatures(losses: Sequence[LossItem]) -> bool:
    """Whether answers are compared at more than one temperature."""
    return len({one.temperature for one in of_kind(losses, LogitsLoss)}) > 1
