"""The options of ``prune.structured``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from compress.machine import gpus, processor, threads
from compress.options import KeptByStack, Options, StageChoices
from compress.stage import OptionMistake
from compress_prune.choose import MULTIPLE, TIMED_MULTIPLE
from compress_prune.recovery import RecoveryOptions, recovery_mistakes
from compress_prune.shares import Shares
from compress_prune.target import Target, target_mistakes


class StructuredOptions(Options):
    """What to remove; at least one of ``layers``, ``feed_forward``, ``heads`` and ``target`` is
    given."""

    layer_criterion: ClassVar[str] = "losses_without"
    """The name in ``compress_prune.importance.LAYER_CRITERIA``, which has one entry, so that it is
    no option yet."""

    layers: KeptByStack | None = Field(
        default=None,
        description=(
            "Layers to keep: how many (those without which the loss is highest), or which "
            "([0, 2, 4]). Of a model with two stacks, for each: {encoder: 6, decoder: 2}."
        ),
    )
    feed_forward: Shares | None = Field(
        default=None,
        description=(
            "Share of each layer's feed-forward neurons to remove; what stays is rounded to a "
            "multiple of 8. Or shares of single layers, by number after `layers` are cut: "
            "{0: 0.5, 5: 0.75}."
        ),
    )
    heads: Shares | None = Field(
        default=None,
        description=(
            "Share of each layer's attention heads to remove, rounded to whole heads; one stays at "
            "least. Where heads share keys and values, whole groups go, or as many of each group "
            "if that would be none. Or shares of single layers, as for feed_forward."
        ),
    )
    target: Target | None = Field(
        default=None,
        description=(
            "What the cut model reaches, in place of shares: {latency: 2x}, {parameters: 0.4} or "
            "{size: 20 MB}. Of stock shape neurons go, of free shape heads too."
        ),
    )
    serve: StageChoices | None = Field(
        default=None,
        description=(
            "With target: {latency}: stages that make what will be served of the cut model; the "
            "fastest counts. null: PyTorch, and every float format that installed plugins offer; "
            "[]: PyTorch alone."
        ),
    )
    shape: Literal["stock", "free"] = Field(
        default="stock",
        description=(
            "stock: each layer loses the same share. free: a share is one of all layers together, "
            "and each loses what it can spare; opens in PyTorch with compress alone."
        ),
    )
    criterion: Literal["taylor", "fisher"] = Field(
        default="taylor",
        description=(
            "How the importance of heads and neurons is measured. taylor: by how much the loss "
            "changes at first when one fades, the mean of absolute values. fisher: half the mean "
            "of their squares."
        ),
    )
    tune: bool = Field(
        default=False,
        description=(
            "Whether what the cut layers make is fitted, by least squares, to what they made "
            "before; without training."
        ),
    )
    importance_examples: int = Field(
        default=512,
        ge=1,
        description=(
            "Training examples, drawn at random, on which importance is measured and layers are "
            "tuned."
        ),
    )
    recover: RecoveryOptions | None = Field(
        default=None,
        description="Training after the cut; none: no training.",
    )

    @property
    def cuts_neurons(self) -> bool:
        """Whether feed-forward neurons are removed."""
        return self.feed_forward is not None or self.target is not None

    @property
    def cuts_heads(self) -> bool:
        """Whether heads are removed. A target cuts them where the model may have any shape: few
        configs can state how many there are."""
        return self.heads is not None or (self.target is not None and self.shape == "free")

    @property
    def cuts_units(self) -> bool:
        """Whether feed-forward neurons or heads are removed."""
        return self.cuts_neurons or self.cuts_heads

    @property
    def asks_latency(self) -> bool:
        """Whether a target asks for a latency."""
        return self.target is not None and self.target.latency is not None

    @property
    def multiple(self) -> int:
        """What the widths of feed-forward parts are multiples of."""
        return TIMED_MULTIPLE if self.asks_latency else MULTIPLE

    def left_to_machine(self) -> Mapping[str, Any]:
        """What a measured latency depends on."""
        own: dict[str, Any] = {}
        if self.asks_latency:
            own = {"processor": processor().name, "threads": threads(), "gpus": gpus()}
        return {**super().left_to_machine(), **own}


def structured_mistakes(options: StructuredOptions) -> Iterator[OptionMistake]:
    """Options that remove nothing, that do not go together, or that nothing reads."""
    if options.layers is None and not options.cuts_units:
        message = "nothing is removed: layers, feed_forward, heads and target are all left out"
        yield OptionMistake("feed_forward", message, "give at least one, such as feed_forward: 0.5")
        return
    yield from target_mistakes(options)
    yield from _unread(options)
    yield from recovery_mistakes(options.recover)


def _unread(options: StructuredOptions) -> list[OptionMistake]:
    """Options that nothing reads beside the others."""
    mistakes = []
    shares = [each for each in (options.feed_forward, options.heads) if each is not None]
    is_shared = bool(shares) and all(isinstance(share, float) for share in shares)
    if options.shape == "free" and options.target is None and not is_shared:
        message = "shape: free shares out one number over all layers, and shares by layer are none"
        mistakes.append(OptionMistake("shape", message, "give numbers, such as feed_forward: 0.5"))
    if not options.cuts_units:
        unread = {"tune": options.tune, "criterion": options.criterion != "taylor"}
        message = "it is for heads and neurons, and none are cut"
        hint = "give feed_forward, heads or target, or leave it out"
        mistakes += [OptionMistake(n, message, hint) for n, is_set in unread.items() if is_set]
    return mistakes
