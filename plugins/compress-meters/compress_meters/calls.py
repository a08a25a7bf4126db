"""What is timed: a call of the model on some examples, and a call from their rows to their answers.

The examples are real ones at their true lengths. Padded to one length, a model that is slow
on short inputs would look as good as any. A call of the model runs from arrays to arrays on
the host, with copies to a GPU and back, as a user's call does. Tokenization is excluded unless
a meter states otherwise. Every engine shares it, so it would pull all ratios towards 1.

Where a task's answers are generated, such a call generates them, from the prompts to the last
token, as the task's limits say. A single run of the model would answer nothing there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from compress.generation import Limits
from compress.meter import Probe
from compress.predict import predict
from compress.session import GeneratingSession, generate
from compress.task import Batch, Features, Row, Task

Call = Callable[[], int]
"""Runs something once and returns the nanoseconds of that run."""


class Answering:
    """A call that generates answers, timed by the host's clock. ``tokens`` are how many the last
    call generated, in all of its answers."""

    def __init__(self, probe: Probe, prompts: Batch, limits: Limits) -> None:
        self._run = partial(generate, probe.session, prompts, limits)
        self.tokens = 0

    def __call__(self) -> int:
        """The nanoseconds of all the answers."""
        start = time.perf_counter_ns()
        answers = self._run()
        taken = time.perf_counter_ns() - start
        self.tokens = sum(map(len, answers))
        return taken


def writes(probe: Probe) -> bool:
    """Whether the answers to the probe's examples are generated."""
    return bool(probe.features) and _prompts(probe, [probe.features[0]]) is not None


def cannot_write(probe: Probe) -> str:
    """Why answers that are to be generated cannot be; empty if they can, or need not."""
    if isinstance(probe.session, GeneratingSession) or not writes(probe):
        return ""
    return f"the {probe.engine} engine does not generate with this model"


def on_the_clock(run: Callable[[], object]) -> Call:
    """A call timed by the host's clock."""

    def call() -> int:
        start = time.perf_counter_ns()
        run()
        return time.perf_counter_ns() - start

    return call


def run_once(
    probe: Probe, features: Sequence[Features], limits: Limits | None = None
) -> Callable[[], object]:
    """What answers some examples together, from arrays on the host to arrays on the host. Generated
    answers are as the ``limits`` say, by default those of the task."""
    prompts = _prompts(probe, features)
    if prompts is not None:
        return Answering(probe, prompts, limits or probe.task.limits())
    return partial(probe.session.run, probe.task.collate(features, probe.processor))


def of_model(probe: Probe, features: Sequence[Features]) -> Call:
    """A call of the model on some examples together. Generated answers are as the task's limits
    say.

    On a GPU the device's own events time a run, if the session offers that: the host's clock
    would also count waits in the driver. Otherwise the host's clock times it."""
    prompts = _prompts(probe, features)
    if prompts is not None:
        return Answering(probe, prompts, probe.task.limits())
    batch = probe.task.collate(features, probe.processor)
    elapsed = _elapsed(probe)
    if elapsed is None:
        return on_the_clock(partial(probe.session.run, batch))
    return lambda: round(elapsed(batch) * 1e6)  # milliseconds to nanoseconds


def of_model_stated(probe: Probe) -> dict[str, str | int]:
    """The conditions of calls of the model alone."""
    if writes(probe):
        return {"tokenization": "excluded", "clock": "host", **generated(probe.task.limits())}
    return {"tokenization": "excluded", "clock": "host" if _elapsed(probe) is None else "device"}


def generated(limits: Limits) -> dict[str, str | int]:
    """The conditions of answers that are generated."""
    return {"answers": "generated", "beams": limits.beams, "most_tokens": limits.max_new_tokens}


def from_text(probe: Probe, rows: Sequence[Row], task: Task[Any] | None = None) -> Call:
    """A call from rows to their answers, by the host's clock. ``task`` is by default the
    probe's."""
    asked = {"limits": probe.task.limits()} if writes(probe) else {}
    return on_the_clock(partial(_answer, probe, rows, task or probe.task, asked))


FROM_TEXT_STATED = {"tokenization": "included", "clock": "host"}
"""The conditions of calls from text to answer."""


def _answer(probe: Probe, rows: Sequence[Row], task: Task[Any], asked: dict[str, Any]) -> object:
    features = task.features(rows, probe.processor)
    return predict(probe.session, task, probe.processor, rows, features, len(rows), **asked)


def _prompts(probe: Probe, features: Sequence[Features]) -> Batch | None:
    return probe.task.prompts(features, probe.processor)


def _elapsed(probe: Probe) -> Callable[[Batch], float] | None:
    """The session's own clock: milliseconds of a batch. None on a processor, and for a
    session without such a clock."""
    elapsed: Callable[[Batch], float] | None = getattr(probe.session, "elapsed", None)
    return elapsed if probe.placement.device == "cuda" else None
