"""How fast a model writes at stated lengths: token by token at batch 1 (``generation``), and
at a batch (``generation_batched``).

Each answer has exactly the stated number of tokens: an end token cuts no timing. So two
models are compared at equal work, whatever they would write. What they write by themselves
is timed by ``latency`` and ``throughput``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from compress.errors import CompressError
from compress.generation import Limits
from compress.measurement import Conditions, Measurement
from compress.meter import Effort, Probe, Rounds, Sample
from compress.session import generate
from compress.task import Batch, Task
from compress_meters import rounds
from compress_meters.calls import Answering, Call
from compress_meters.conditions import run_by
from compress_meters.rounds import Timings
from compress_meters.stretched import most_tokens, stretched_prompts
from compress_meters.timing import Quantity, Timing, measurement, ratio_named, timings_of

PROMPT, ANSWER = 64, 32
"""Tokens of a prompt, and of an answer, where the model has positions for them."""
BATCH = 8
_SETTLING = 2
"""Tokens of the answer that is generated untimed when a side's turn begins: a prompt, and a step
that reads its keys and values."""


class _AtLengths(Timing):
    """A meter of answers of a stated length to a prompt of a stated length."""

    @classmethod
    def measures(cls, task: type[Task[Any]]) -> bool:
        """A task whose answers are generated."""
        return task.generates()

    def stated(self, probe: Probe, batch: int) -> Conditions:
        """The conditions, with both lengths in tokens."""
        prompt, answer = lengths(probe)
        return {
            **run_by(probe),
            "batch": batch,
            "prompt": prompt,
            "answer": answer,
            "prompts": "the first example's, repeated or cut",
            "clock": "host",
            "search": "greedy",
        }


class Generation(_AtLengths):
    """Milliseconds from a prompt to the first token of its answer, and for each further token;
    and tokens in a second over the whole answer. A sample has the time of each token."""

    name: ClassVar[str] = "generation"
    summary: ClassVar[str] = "Milliseconds to the first token, and for each further one"
    order: ClassVar[int] = 38
    quantities: ClassVar[Sequence[Quantity]] = (
        Quantity("first_token", "ms", "lower", "first token"),
        Quantity("next_token_p50", "ms", "lower", "next token"),
        Quantity("next_token_p95", "ms", "lower"),
        Quantity("tokens_per_second", "tokens/s", "higher"),
    )
    ratio: ClassVar[Quantity] = ratio_named("generation_speedup")
    ratio_first: ClassVar[Quantity] = ratio_named("first_token_speedup", "first token")
    ratio_next: ClassVar[Quantity] = ratio_named("next_token_speedup", "next token")

    def rounds(self, effort: Effort) -> Rounds:
        """Until the ratios are known to 2 % (1 % in a thorough run), or the time is over."""
        by_effort: dict[Effort, Rounds] = {
            "quick": Rounds(3, 3, ceiling=30.0),
            "standard": Rounds(8, 40, 0.02, 6.0, 2, ceiling=90.0),
            "thorough": Rounds(24, 120, 0.01, 30.0, 6, fresh=True, ceiling=300.0),
        }
        return by_effort[effort]

    def prepare(self, probe: Probe) -> None:
        """As of any timing. What settles a side is a short answer."""
        super().prepare(probe)
        if self.name in probe.state:
            calls, stated, _ = probe.state[self.name]
            settling = Answering(probe, _prompts(probe, 1), Limits.exactly(_SETTLING))
            probe.state[self.name] = calls, stated, settling

    def calls(self, probe: Probe) -> tuple[list[Call], Conditions]:
        """One answer."""
        _, answer = lengths(probe)
        return [TokenByToken(probe, _prompts(probe, 1), answer)], self.stated(probe, 1)

    def sample(self, probe: Probe) -> Sample:
        """As of any timing, with the ``nanoseconds`` of each token."""
        sample = super().sample(probe)
        if "absent" not in sample:
            (call,), _, _ = probe.state[self.name]
            sample["nanoseconds"] = call.times
        return sample

    def measurements(self, timings: Timings, stated: Conditions) -> list[Measurement]:
        """``first_token``, ``next_token_p50`` and ``next_token_p95`` in ms, and
        ``tokens_per_second``."""
        milliseconds = Timings(timings.times / 1e6, timings.blocks)
        count, further = len(timings.times), _further(milliseconds)
        spreads = (
            rounds.total(_first(milliseconds)),
            rounds.quantile(further, 0.5),
            rounds.quantile(further, 0.95),
            rounds.per_second(rounds.total(timings), timings.times.shape[1] * 1e9),
        )
        return [
            measurement(quantity, spread, count, stated)
            for quantity, spread in zip(self.quantities, spreads, strict=True)
        ]

    def compared(self, own: Timings, other: Timings, stated: Conditions) -> list[Measurement]:
        """How many times faster the whole answer, its first token, and its further ones are."""
        ratios = (
            (self.ratio, rounds.ratio(other, own)),
            (self.ratio_first, rounds.ratio(_first(other), _first(own))),
            (self.ratio_next, rounds.ratio(_further(other), _further(own))),
        )
        return [
            measurement(quantity, spread, len(own.times), stated) for quantity, spread in ratios
        ]

    def half_width(self, samples: Sequence[Sample], others: Sequence[Sample]) -> float:
        """The relative half-width of the ratio of further tokens. That of the first token is of one
        call in a round, and is wider."""
        if "absent" in samples[0] or "absent" in others[0]:
            return 0.0
        return rounds.ratio(_further(timings_of(others)), _further(timings_of(samples))).half_width


class BatchedGeneration(_AtLengths):
    """Tokens in a second of answers that are generated together."""

    name: ClassVar[str] = "generation_batched"
    summary: ClassVar[str] = f"Tokens in a second at batch {BATCH}"
    order: ClassVar[int] = 46
    quantities: ClassVar[Sequence[Quantity]] = (
        Quantity("tokens_per_second_batched", "tokens/s", "higher", f"batch {BATCH}"),
    )
    ratio: ClassVar[Quantity] = ratio_named("generation_batched_speedup")

    def rounds(self, effort: Effort) -> Rounds:
        """Until the ratios are known to 2 % (1 % in a thorough run), or the time is over."""
        by_effort: dict[Effort, Rounds] = {
            "quick": Rounds(2, 2, ceiling=30.0),
            "standard": Rounds(6, 20, 0.02, 6.0, 2, ceiling=90.0),
            "thorough": Rounds(18, 60, 0.01, 30.0, 6, fresh=True, ceiling=300.0),
        }
        return by_effort[effort]

    def calls(self, probe: Probe) -> tuple[list[Call], Conditions]:
        """One batch."""
        _, answer = lengths(probe)
        call = Answering(probe, _prompts(probe, BATCH), Limits.exactly(answer))
        return [call], self.stated(probe, BATCH)

    def measurements(self, timings: Timings, stated: Conditions) -> list[Measurement]:
        """``tokens_per_second_batched``."""
        tokens = stated["answer"] * stated["batch"]
        spread = rounds.per_second(rounds.total(timings), tokens * 1e9)
        return [measurement(self.quantities[0], spread, len(timings.times), stated)]


class TokenByToken:
    """A call that generates an answer of so many ``tokens``. ``times`` are the nanoseconds of each
    token of the last call; the first one's begin with the call."""

    def __init__(self, probe: Probe, prompts: Batch, tokens: int) -> None:
        self._session, self._prompts, self._tokens = probe.session, prompts, tokens
        self.times: list[int] = []

    def __call__(self) -> int:
        """The nanoseconds of the whole answer. Raises CompressError for one of another length."""
        ends = [time.perf_counter_ns()]
        limits = Limits.exactly(self._tokens)
        generate(
            self._session, self._prompts, limits, lambda *_: ends.append(time.perf_counter_ns())
        )
        if len(ends) - 1 != self._tokens:
            raise CompressError(
                f"{len(ends) - 1} tokens were generated, and exactly {self._tokens} were asked for"
            )
        self.times = np.diff(ends).tolist()
        return ends[-1] - ends[0]


def lengths(probe: Probe) -> tuple[int, int]:
    """Tokens of a prompt and of its answer: the stated ones, or what the model has positions
    for."""
    most = most_tokens(probe)
    answer = int(min(ANSWER, most // 2))
    return int(min(PROMPT, most - answer)), answer


def _prompts(probe: Probe, batch: int) -> Batch:
    prompt, _ = lengths(probe)
    asked = probe.task.prompts([probe.features[0]], probe.processor)
    assert asked is not None  # the task generates
    return stretched_prompts(asked, prompt, batch)


def _first(timings: Timings) -> Timings:
    return Timings(timings.times[:, :1], timings.blocks)


def _further(timings: Timings) -> Timings:
    return Timings(timings.times[:, 1:], timings.blocks)
