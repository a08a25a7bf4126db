"""Edits: the shapes of a cut model that its config cannot express.

An edit gives one part of one block its shape, by module paths and counts, without weights. Edits
are stored as JSON in the manifest. ``compress.shapes`` writes and replays them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config

# pydantic, which checks the edits of a manifest, needs this one before Python 3.12.
from typing_extensions import TypedDict

_NO_OTHERS = ConfigDict(extra="forbid")

Count = Annotated[int, Field(ge=1, le=10_000_000)]
"""A number of neurons or heads, or a width. The largest feed-forward parts have some 100,000
neurons."""
ModulePath = Annotated[str, Field(max_length=1000)]
AttributeName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$", max_length=100)]
Axis = Annotated[int, Field(ge=0, le=7)]
Unit = Annotated[str, Field(pattern="^(heads|width|group)$")]


@with_config(_NO_OTHERS)
class FeedForwardEdit(TypedDict):
    """The width of a feed-forward part.

    ``block`` is the block's module path, ``keep`` its number of neurons. ``inputs`` and ``output``
    are paths in the block, as in ``compress.architecture.FeedForwardLayout``."""

    op: Literal["feed_forward"]
    block: ModulePath
    keep: Count
    inputs: list[ModulePath]
    output: ModulePath


@with_config(_NO_OTHERS)
class HeadsEdit(TypedDict):
    """The number of heads of an attention part.

    ``block`` is the block's module path, ``keep`` its number of query heads, ``shared`` that of key
    and value heads if it is another, ``head_size`` the width of one. The others are as in
    ``compress.architecture.AttentionLayout``."""

    op: Literal["heads"]
    block: ModulePath
    keep: Count
    shared: NotRequired[Count]
    head_size: Count
    query: ModulePath
    key: ModulePath
    value: ModulePath
    output: ModulePath
    counts: list[tuple[ModulePath, AttributeName, Unit]]
    bias: NotRequired[tuple[ModulePath, AttributeName, AttributeName]]


@with_config(_NO_OTHERS)
class HiddenEdit(TypedDict):
    """The hidden width.

    ``keep`` is the number of its places. ``axes`` are the axes of parameters that have it, by their
    names, in which ``*`` is the number of any block."""

    op: Literal["hidden"]
    keep: Count
    axes: dict[ModulePath, list[Axis]]


@with_config(_NO_OTHERS)
class LowRankEdit(TypedDict):
    """The rank of the embeddings, which are two matrices. ``modules`` are the paths of what shares
    them, the embeddings first."""

    op: Literal["low_rank"]
    rank: Count
    modules: Annotated[list[ModulePath], Field(min_length=1, max_length=100)]


@with_config(ConfigDict(extra="allow"))
class OwnEdit(TypedDict):
    """An edit of a kind that a plugin brings; its other entries are the plugin's own. The name of
    the kind has a dot, as in ``acme.low_rank``."""

    op: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$", max_length=100)]


Edit = FeedForwardEdit | HeadsEdit | HiddenEdit | LowRankEdit | OwnEdit


def hidden_after(edits: Sequence[Edit]) -> int | None:
    """The hidden width of a model with these edits; None if they leave that of its config."""
    for edit in edits:
        if edit["op"] == "hidden":
            return edit["keep"]  # type: ignore[typeddict-item]
    return None
