"""Answers to the test split that do not depend on their company: the other examples of a call.

An answer should depend on its own text alone, and for most models it does. There are exceptions.
Dynamic int8 computes one scale for the activations of a whole call, so that one text's numbers are
rounded by another text's range. Some encoders mix positions without a mask, so that padding changes
an answer (FNet, Nystromformer, ConvBERT). Low precision rounds in an order that depends on the
shape of the batch.

So quality is measured one example at a time, as latency is. Batches answer the test split only
where a sample shows that they give the same answers, and where they are quicker.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compress.measurement import Conditions
from compress.meter import Effort, Probe, Sample
from compress.predict import batches_in_order, join, predict_batches
from compress.task import Prediction
from compress_meters.batched import Changes, changes_between
from compress_meters.conditions import conditions

BATCH = 32
"""Examples in a batch, where batches are tried."""
SAMPLE = 64
"""Examples that are answered alone and in batches, to see whether batches may answer the others."""
COMPARED: Mapping[Effort, int] = {"quick": 128, "standard": 512, "thorough": 2048}
"""Examples from which the share of changed decisions is taken, where batches change answers."""


@dataclass(frozen=True)
class Answered:
    """The ``answers`` to the test split, in its order, and the size of the batches that gave them.

    ``changes`` are those of batches at the test examples ``compared``; None where the split has
    one example."""

    answers: list[Prediction]
    batch: int
    compared: Sequence[int] = ()
    changes: Changes | None = None

    def stated(self, probe: Probe) -> Conditions:
        """The conditions of the answers, and whether batches give equal ones."""
        stated = conditions(probe, range(len(probe.rows)), self.batch)
        if self.changes is None:
            return stated
        return {**stated, "answers_in_batches": "equal" if self.changes.equal else "other"}

    def kept(self, probe: Probe) -> Sample | None:
        """The changes as JSON, with their conditions; None where there are none."""
        if self.changes is None:
            return None
        stated = {**conditions(probe, self.compared, BATCH), "compared_with": "batch 1"}
        return {**self.changes.as_dict(), "conditions": stated}


def answer(probe: Probe) -> Answered:
    """The answers to the whole test split, as if each example were answered alone."""
    sample = spread_places(probe, SAMPLE)
    if len(sample) < 2:
        return Answered(_in_order(_alone(probe, sample)), 1)
    start = time.perf_counter()
    alone = _alone(probe, sample)
    middle = time.perf_counter()
    # Companions of all lengths, and then of about the own length: the padding differs.
    mixed = _changes(probe, alone, _mixed(probe, sample))
    quicker = time.perf_counter() - middle < middle - start
    alike = _changes(probe, alone, sample)
    others = _longest_first(probe, [i for i in range(len(probe.rows)) if i not in alone])
    largest = max(mixed.largest, alike.largest)
    if mixed.equal and alike.equal:
        batch = BATCH if quicker and others else 1
        answers = {**alone, **_answers(probe, others, batch)}
        return Answered(_in_order(answers), batch, sample, replace(mixed, largest=largest))
    answers = {**alone, **_alone(probe, others)}
    compared = spread_places(probe, COMPARED[probe.effort])
    changes = _changes(probe, answers, _mixed(probe, compared))
    largest = max(largest, changes.largest)
    changes = replace(changes, largest=largest, equal=False)
    return Answered(_in_order(answers), 1, compared, changes)


def spread_places(probe: Probe, count: int) -> list[int]:
    """Places of at most ``count`` test examples, the longest first, spread evenly over the examples
    in the order of their lengths. So all artifacts with one tokenizer answer the same ones."""
    order = _longest_first(probe, range(len(probe.rows)))
    steps = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [order[step] for step in steps]


def _longest_first(probe: Probe, places: Sequence[int]) -> list[int]:
    """The places by length, so that a lack of memory shows at once."""
    return sorted(places, key=lambda row: -probe.length(row))


def _mixed(probe: Probe, places: Sequence[int]) -> list[int]:
    """The places in an order drawn by the probe's seed, so that examples of different lengths are
    in one batch."""
    drawn: list[int] = np.random.default_rng(probe.seed).permutation(places).tolist()
    return drawn


def _alone(probe: Probe, places: Sequence[int]) -> dict[int, Prediction]:
    return _answers(probe, places, 1)


def _answers(probe: Probe, places: Sequence[int], size: int) -> dict[int, Prediction]:
    """The answers to the examples at these places, taken in this order, in batches of a size. Where
    a task cuts an example into parts, each part counts."""
    parts = [part for place in places for part in probe.parts[place]]
    batches = batches_in_order(probe.task, probe.features, parts, size)
    answers = predict_batches(probe.session, probe.task, probe.processor, probe.features, batches)
    return {i: join(probe.task, probe.parts[i], answers, probe.rows[i]) for i in places}


def _in_order(answers: Mapping[int, Prediction]) -> list[Prediction]:
    return [answers[i] for i in range(len(answers))]


def _changes(probe: Probe, alone: Mapping[int, Prediction], places: Sequence[int]) -> Changes:
    """How the answers at these places, taken in this order in batches, differ from those
    ``alone``."""
    together = _answers(probe, places, BATCH)
    pairs = [(alone[place], answer) for place, answer in together.items()]
    rows = [probe.rows[place] for place in together]
    return changes_between(pairs, rows, probe.task, probe.labels)
