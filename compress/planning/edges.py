"""Whether a stage can take an artifact, decided from traits alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress.artifact import Traits
from compress.stage import Accepts, Stage


def edge_mistake(
    stage: type[Stage[Any]],
    traits: Traits | None,
    parent: str | None,
    task: str,
    serving: Sequence[str],
    accepts: Accepts | None = None,
) -> tuple[str, str] | None:
    """(message, hint) where ``stage`` cannot take an artifact of ``traits`` made by ``parent``;
    None where it can.

    ``traits`` is None for a fresh model; ``serving`` names the earlier artifacts that it could take
    instead. A task of ``"?"`` is not known yet and fits. ``accepts`` stands in for what the stage
    accepts as its input."""
    accepts, hint = accepts or stage.accepts, _from_hint(serving)
    if traits is None:
        if accepts.nothing:
            return None
        return (
            f"{stage.name!r} needs a model to start from, and the recipe's model is a fresh one",
            "put a stage that makes a model before it, such as a pre-training",
        )
    if traits.format not in accepts.formats:
        return (
            f"{stage.name!r} takes {' or '.join(accepts.formats)} models, and {parent!r} makes "
            f"{traits.format}",
            hint,
        )
    if traits.precision not in accepts.precisions:
        return (
            f"{stage.name!r} takes {' or '.join(accepts.precisions)} models, and {parent!r} is "
            f"{traits.precision}",
            hint,
        )
    if traits.shape not in accepts.shapes:
        return (
            f"{stage.name!r} takes models whose shape a stock config expresses, and {parent!r} is "
            "of free shape",
            hint,
        )
    if accepts.trainable and not traits.trainable:
        return f"{stage.name!r} trains, and {parent!r} makes a model that cannot be trained", hint
    if accepts.task and traits.task not in (task, "?"):
        has = f"serves {traits.task}" if traits.task else "has no task head"
        return (
            f"{stage.name!r} takes a model for {task}, and {parent!r} {has}",
            hint or "fine-tune it first",
        )
    return None


def _from_hint(serving: Sequence[str]) -> str:
    return f"give the step `from: {serving[-1]}`" if serving else ""
