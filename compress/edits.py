"""Edits: the shapes of a cut model that its config cannot express.

An edit gives one part of one block its shape, by module paths and counts, without weights. Edits
are stored as JSON in the manifest. ``compress.surgery`` writes and replays them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config

# pydantic, which checks the edits of a manifest, needs this one before Python 3.12.
from typing_extensions import TypedDict

_NO_OTHERS = ConfigDict(extra="forbid")

Count = Annotated[int, Field(ge=1, le=10_000_000)]
"""A number of neurons or heads, or a width. The largest feed-forward parts have some 100,000
neurons."""
ModulePath = Annotated[str, Field(max_length=1000)]
AttributeName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$", max_length=100)]
Unit = Annotated[str, Field(pattern="^(heads|width)$")]


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

    ``block`` is the block's module path, ``keep`` its number of query heads, ``head_size`` the
    width of one. The others are as in ``compress.architecture.AttentionLayout``."""

    op: Literal["heads"]
    block: ModulePath
    keep: Count
    head_size: Count
    query: ModulePath
    key: ModulePath
    value: ModulePath
    output: ModulePath
    counts: list[tuple[ModulePath, AttributeName, Unit]]


Edit = FeedForwardEdit | HeadsEdit
