"""What a cut model is to reach, in place of shares: a speed, a count of parameters, or a size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from compress.options import Options
from compress.stage import OptionMistake

if TYPE_CHECKING:
    from compress_prune.options import StructuredOptions

_BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(kB|MB|GB)")
_FASTER = re.compile(r"(\d+(?:\.\d+)?)x")
LEAST = 0.02
"""A smaller gain of a target is not worth a try."""


class Target(Options):
    """What the cut model reaches; one of these is given."""

    latency: str | None = Field(
        default=None,
        pattern=f"^{_FASTER.pattern}$",
        description=(
            "How many times as fast as the step's input, at batch 1 on training rows, as in 2x; "
            "`serve` says in which engine."
        ),
    )
    parameters: float | None = Field(
        default=None, gt=0, lt=1, description="Share of the input's parameters that stays."
    )
    size: str | None = Field(
        default=None,
        pattern=f"^{_SIZE.pattern}$",
        description="Bytes of the weights on disk, as in 20 MB.",
    )

    @property
    def asked(self) -> str:
        """The target as a recipe has it, as in ``latency: 2x``."""
        values = {"latency": self.latency, "parameters": self.parameters, "size": self.size}
        return ", ".join(f"{name}: {value}" for name, value in values.items() if value is not None)

    @property
    def factor(self) -> float:
        """How many times as fast it is to be."""
        assert self.latency is not None
        return float(self.latency.removesuffix("x"))

    @property
    def bytes(self) -> float:
        """The size that is asked for."""
        found = _SIZE.fullmatch(self.size or "")
        assert found is not None, "the pattern of the option"
        return float(found[1]) * _BYTES[found[2]]

    def half(self) -> Target | None:
        """Half of the gain: 1.5x for 2x, 0.7 of the parameters for 0.4. None where that is too
        little to try, and for a size, whose gain only the model tells."""
        if self.latency is not None and (self.factor - 1) / 2 >= LEAST:
            return Target(latency=f"{round(1 + (self.factor - 1) / 2, 3)}x")
        if self.parameters is not None and (1 - self.parameters) / 2 >= LEAST:
            return Target(parameters=(1 + self.parameters) / 2)
        return None


def target_mistakes(options: StructuredOptions) -> Iterator[OptionMistake]:
    """A target beside shares, none or several in one, one that asks for nothing, and an engine
    that no target asks of."""
    target = options.target
    if options.serve is not None and (target is None or target.latency is None):
        message = "it says in which engine a latency counts, and no latency is asked for"
        yield OptionMistake("serve", message, "give target: {latency: 2x}, or leave it out")
    if target is None:
        return
    given = [name for name, value in target if value is not None]
    if len(given) != 1:
        message = f"it has {len(given)} of latency, parameters and size"
        yield OptionMistake("target", message, "give one, such as {latency: 2x}")
    for option in ("feed_forward", "heads"):
        if getattr(options, option) is not None:
            message = "a target finds the shares itself"
            yield OptionMistake(option, message, "give shares or a target")
    if target.latency is not None and target.factor <= 1:
        message = f"{target.latency} asks for no gain"
        yield OptionMistake("target.latency", message, "ask for more than 1x, such as 2x")
