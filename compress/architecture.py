"""How a family of models is built: the paths of its modules, the config keys of its sizes, and
what makes transformers know it, if a plugin brings its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from compress.exportable import Exportable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ModelConfig = Mapping[str, Any]
"""Entries of a model's ``config.json``."""


@dataclass(frozen=True)
class SharedBias:
    """An embedding with a column for each head, which the first block of a stack has and whose
    values the attention of every block adds. So all blocks must keep the same heads.

    ``module`` is the path of the attention in a block, ``embedding`` the name of the embedding in
    it, and ``flag`` that of the attribute that says whether the block has it."""

    module: str
    embedding: str
    flag: str


@dataclass(frozen=True)
class AttentionLayout:
    """Module paths inside one block. A cut removes the rows of a head from ``query``,
    ``key`` and ``value`` and its columns from ``output``.

    If one layer computes all three, they have one path. Its rows are then those of the queries,
    the keys and the values, one after the other.

    ``counts`` are (path, attribute, unit) of integers that a cut must update. The unit
    ``heads`` is the number of query heads, ``width`` the number of their rows, ``group`` how many
    share a key and value head.

    ``is_product``: the score of one token for another is the product of its query and the other's
    key over the root of the head size, plus a mask, and nothing more. No position is added to it,
    and none turns a query or a key."""

    query: str
    key: str
    value: str
    output: str
    counts: tuple[tuple[str, str, str], ...] = ()
    bias: SharedBias | None = None
    is_product: bool = False


@dataclass(frozen=True)
class FeedForwardLayout:
    """Module paths inside one block. A cut removes the rows of a neuron from ``inputs`` and
    its column from ``output``. Of ``inputs`` a block may have some alone, such as those of a
    gate."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Stack:
    """Blocks of one kind, one after the other. ``blocks`` is the path of the module list under the
    base model.

    ``cross_attention`` is that of a decoder's block to the encoder. ``keys`` are the config keys of
    the stack's own ``layers``, ``feed_forward`` and ``heads``, where the config has one for each
    stack; the others are in ``Architecture.sizes``."""

    blocks: str
    attention: AttentionLayout
    feed_forward: FeedForwardLayout
    cross_attention: AttentionLayout | None = None
    name: str = "layers"
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def attentions(self) -> tuple[AttentionLayout, ...]:
        """The attentions of each block: to itself, and to the encoder if there is one."""
        return (self.attention, self.cross_attention) if self.cross_attention else (self.attention,)


@dataclass(frozen=True)
class Layout:
    """The stacks of a model: one, or an encoder's and a decoder's, with names that differ."""

    stacks: tuple[Stack, ...]


@dataclass(frozen=True)
class Origin:
    """A teacher that a fresh model can start from.

    ``model`` is the teacher in evaluation mode, and ``processor`` what reads texts for it; ``own``
    is what reads them for the fresh model. ``counts``, int64 [ids], says how often each id that
    ``own`` can make is in the inputs of the training rows."""

    model: PreTrainedModel
    processor: Any
    own: Any
    counts: np.ndarray


Layers = Mapping[str, int | None]
"""How many layers each stack of a model has, by the stack's name and in the order of its layout;
None where that is not known."""


@dataclass(frozen=True)
class KnownSizes:
    """What is known of a model's sizes before it is opened.

    ``layers`` are those of each stack, ``hidden`` the width of the hidden state and ``vocabulary``
    the number of token ids; None where it is not known."""

    layers: Layers
    hidden: int | None = None
    vocabulary: int | None = None


class Architecture:
    """A family of models.

    ``model_types`` are the values of ``model_type`` in its configs. ``sizes`` maps our
    names of sizes (the fields of ``compress.sizes.Sizes``) to config keys, where optimum's
    NormalizedConfig has none or a wrong one. ``layout`` is None for a family that cannot be
    cut; one with a layout has the key of ``feed_forward`` in ``sizes``.

    An architecture that overrides ``register`` brings models of its own: transformers does not
    know its ``model_types`` before that call."""

    name: ClassVar[str]
    summary: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    sizes: ClassVar[Mapping[str, str]] = {}
    layout: ClassVar[Layout | None] = None
    states_head_size: ClassVar[bool] = False
    """Whether the stock config states the head size, so that it can express another head
    count. The ``sizes`` of such a family have the keys of ``heads``, ``head_size`` and
    ``key_value_heads``."""

    states_hidden: ClassVar[bool] = False
    """Whether the stock config can express another hidden width than that of its heads together,
    and gives nothing but shapes by it (T5 also divides its outputs by it). The ``sizes`` of such a
    family have the key of ``hidden``."""

    config_keys: ClassVar[tuple[str, ...]] = ()
    """Keys of the config of a family that it brings. A plan refuses any other; if there are none,
    it checks no key. A plan imports no config class, so they are stated here."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions, besides torch and transformers, whose versions shape the models that it
    brings."""

    @classmethod
    def register(cls) -> None:
        """Make transformers know the config and the models of a family that it brings
        (``AutoConfig.register``, ``AutoModelForSequenceClassification.register``).

        Called once in a process, before a model of its ``model_types`` is built or opened with
        PyTorch, and never in a process of another engine. Heavy imports stand inside it. By default
        it does nothing: transformers has the family."""

    @classmethod
    def start_from(cls, model: PreTrainedModel, origin: Origin) -> Mapping[str, Any]:
        """Give a fresh ``model`` of the family first weights that follow from a teacher's, in
        place, where a recipe says ``embeddings_of: teacher``. Returns notes for the manifest.

        By default no weight can follow from a teacher's, and a plan refuses these words."""
        raise NotImplementedError(f"{cls.name} does not start from a teacher")

    @classmethod
    def own_edits(cls, model: PreTrainedModel) -> Sequence[Mapping[str, Any]]:
        """Edits of kinds of its own, which give an empty model of this config the shape of
        ``model``. By default none.

        The name of a kind has a dot, as in ``acme.low_rank``. ``register`` hands the function that
        repeats it to ``compress.shapes.register_edit``."""
        return ()

    @classmethod
    def exportables(
        cls, model: PreTrainedModel, task: Any, batch: Mapping[str, np.ndarray]
    ) -> Sequence[Exportable] | None:
        """The parts of ``model`` that are exported for ``task``, a ``compress.task.Task``, with
        example inputs made of ``batch``. None, the default: the whole model is one part
        (``compress.exporting.whole``).

        It is called once for the export, and once for each batch that the files are checked with.
        It always returns the same parts in one order, with inputs of the batch's sizes."""
        return None


def brings_models(architecture: type[Architecture]) -> bool:
    """Whether an architecture overrides ``register``."""
    return _overrides(architecture, "register")


def starts_from_teachers(architecture: type[Architecture]) -> bool:
    """Whether an architecture overrides ``start_from``."""
    return _overrides(architecture, "start_from")


def _overrides(architecture: type[Architecture], name: str) -> bool:
    own, inherited = (getattr(each, name) for each in (architecture, Architecture))
    return getattr(own, "__func__", own) is not inherited.__func__
