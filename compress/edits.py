"""Edits: the shapes of a cut model that its config cannot express.

An edit gives one part of one block its shape, by module paths and counts, without weights. Edits
are stored as JSON in the manifest. ``compress.surgery`` writes and replays them.
"""

from __future__ import annotations

from typing import Literal, TypedDict


class FeedForwardEdit(TypedDict):
    """The width of a feed-forward part.

    ``block`` is the block's module path, ``keep`` its number of neurons. ``inputs`` and ``output``
    are paths in the block, as in ``compress.architecture.FeedForwardLayout``."""

    op: Literal["feed_forward"]
    block: str
    keep: int
    inputs: list[str]
    output: str


class HeadsEdit(TypedDict):
    """The number of heads of an attention part.

    ``block`` is the block's module path, ``keep`` its number of query heads, ``head_size`` the
    width of one. The others are as in ``compress.architecture.AttentionLayout``."""

    op: Literal["heads"]
    block: str
    keep: int
    head_size: int
    query: str
    key: str
    value: str
    output: str
    counts: list[list[str]]


Edit = FeedForwardEdit | HeadsEdit
