"""Whether a stage can work on an artifact, decided from traits alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress.artifact import Traits
from compress.errors import Mistake
from compress.stage import Accepts, Stage

UNKNOWN_TASK = "?"
"""The task of a hub model before it is downloaded; it fits every stage."""


def edge_mistake(
    stage: type[Stage[Any]],
    traits: Traits | None,
    parent: str | None,
    task: str,
    serving: Sequence[str],
    accepts: Accepts | None = None,
) -> Mistake | None:
    """Why ``stage`` cannot start from the artifact ``parent`` with these traits; None where it can.
    The mistake has no place.

    ``traits`` is None for a fresh model. ``serving`` names the earlier artifacts that would fit.
    ``accepts`` is what an option accepts; by default it is what the stage accepts as its input."""
    accepts = accepts or stage.accepts
    if traits is None:
        return None if accepts.nothing else _needs_a_model(stage)
    hint = f"give the step `from: {serving[-1]}`" if serving else ""
    problem = _wrong_form(accepts, traits, parent)
    if problem:
        return Mistake("", f"{stage.name!r} takes {problem}", hint)
    if accepts.trainable and not traits.trainable:
        message = f"{stage.name!r} trains, and {parent!r} makes a model that cannot be trained"
        return Mistake("", message, hint)
    if accepts.task and traits.task not in (task, UNKNOWN_TASK):
        message = f"{stage.name!r} takes a model for {task}, and {parent!r} {served_by(traits)}"
        return Mistake("", message, hint or "fine-tune it first")
    return None


def served_by(traits: Traits) -> str:
    """In words: the task that a model serves."""
    return f"serves {traits.task}" if traits.task else "has no task head"


def _needs_a_model(stage: type[Stage[Any]]) -> Mistake:
    message = f"{stage.name!r} needs a model to start from, and the recipe's model is a fresh one"
    hint = "put a stage that makes a model before it, such as a pre-training"
    return Mistake("", message, hint)


def _wrong_form(accepts: Accepts, traits: Traits, parent: str | None) -> str:
    """The formats, precisions or shapes that are accepted and the one that does not fit, in words;
    empty where all fit."""
    if traits.format not in accepts.formats:
        return f"{' or '.join(accepts.formats)} models, and {parent!r} makes {traits.format}"
    if traits.precision not in accepts.precisions:
        return f"{' or '.join(accepts.precisions)} models, and {parent!r} is {traits.precision}"
    if traits.shape not in accepts.shapes:
        return f"models whose shape a stock config expresses, and {parent!r} is of free shape"
    return ""
