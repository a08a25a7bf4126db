"""How a family of models is built: where its parts stand and which config keys size them. Paths are
relative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class AttentionLayout:
    """Module paths inside one block. Rows of ``query``, ``key`` and ``value`` are cut by head
    together with the columns of ``output``. ``counts`` are (path, attribute, unit) of integers that
    follow: unit ``heads`` or ``width``."""

    query: str
    key: str
    value: str
    output: str
    counts: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class FeedForwardLayout:
    """Module paths inside one block: rows of ``inputs`` are cut together with the columns of
    ``output``."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Layout:
    """Where the parts of a model stand. ``blocks`` is the path of the module list under the base
    model."""

    blocks: str
    attention: AttentionLayout
    feed_forward: FeedForwardLayout


class Architecture:
    """A family. ``model_types`` are the config's ``model_type`` values; ``sizes`` maps our size
    names (the fields of ``compress.sizes.Sizes``) to config keys where optimum's NormalizedConfig
    has none or a wrong one; ``layout`` is None for a family that is not described for cutting, and
    one that is names the key of ``feed_forward``."""

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    model_types: ClassVar[tuple[str, ...]]
    sizes: ClassVar[Mapping[str, str]] = {}
    layout: ClassVar[Layout | None] = None
    states_head_size: ClassVar[bool] = False
    """Whether the stock config can express a head count with the head size kept; such a family's
    ``sizes`` name the keys of ``heads``, ``head_size`` and ``key_value_heads``."""
