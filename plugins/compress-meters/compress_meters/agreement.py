"""Whether a model writes what another writes: the tokens of their answers, compared place by place.

A score of texts may stay while many answers change, and one token that differs changes all that
follow. So three numbers are told: the share of answers that changed, how far the changed ones
agree, and the share of all tokens that are equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from compress.generation import Limits
from compress.measurement import Conditions, Measurement, absent
from compress.meter import Effort, Probe
from compress.quantities import FLIPS
from compress.session import generate
from compress.task import Prediction
from compress_meters import bootstrap, decisions
from compress_meters.calls import cannot_write, writes
from compress_meters.company import spread_places
from compress_meters.conditions import parts_at
from compress_meters.proportion import ONE_SIDED, wilson

COMPARED: Mapping[Effort, int] = {"quick": 16, "standard": 64, "thorough": 256}
"""Test examples that are continued, where the score is not of answers that are generated."""
EQUAL, FIRST = "equal_tokens", "first_difference"


class Written(TypedDict):
    """Generated answers as JSON: the ``ids`` of their rows, the ``tokens`` of each as
    ``decisions.written`` writes numbers, and what tells one ``tokenizer`` from another."""

    ids: list[str]
    tokens: list[str]
    tokenizer: str


def written(probe: Probe, answers: Sequence[Prediction]) -> Written | None:
    """The tokens of the ``answers`` to the test split, if they are generated. If they are not, as
    those of a language model whose score is a probability, the greedy answers to some prompts.
    None for a task that generates nothing, or a model that cannot."""
    if not writes(probe) or cannot_write(probe):
        return None
    given = {place: answer.get("tokens") for place, answer in enumerate(answers)}
    tokens = {place: one for place, one in given.items() if isinstance(one, list)}
    if len(tokens) < len(answers):
        places = sorted(spread_places(probe, COMPARED[probe.effort]))
        tokens = {place: _continued(probe, place) for place in places}
    return {
        "ids": [probe.rows[place]["id"] for place in tokens],
        "tokens": [decisions.written(one) for one in tokens.values()],
        "tokenizer": _name(probe.processor.identity()),
    }


def flips(own: Written, other: Written, stated: Conditions) -> Measurement:
    """The share of answers that changed."""
    changed = sum(one != another for one, another in _pairs(own, other))
    share, n = changed / len(own["ids"]), len(own["ids"])
    low, high = wilson(share, n)
    return Measurement(
        FLIPS,
        share,
        "share",
        "lower",
        low,
        high,
        n,
        stated,
        detail={"changed": changed},
        worst=wilson(share, n, ONE_SIDED)[1],
    )


def agreement(own: Written, other: Written, seed: int, stated: Conditions) -> list[Measurement]:
    """``equal_tokens``, the share of places at which both have the same token, of those of the
    longer answers; and ``first_difference``, the mean number of tokens before the first that
    differs, of the answers that changed."""
    pairs = [tuple(map(_numbers, pair)) for pair in _pairs(own, other)]
    counts = np.array([_equal(one, another) for one, another in pairs], dtype=np.float64)
    values = bootstrap.resampled(counts, _share, seed)
    low, high = bootstrap.interval(values, len(pairs))
    equal = Measurement(
        EQUAL,
        float(_share(counts.sum(axis=0))),
        "share",
        "higher",
        max(0.0, low),
        min(1.0, high),
        int(counts[:, 1].sum()),
        stated,
        title="equal tokens",
        worst=max(0.0, bootstrap.worst(values, "higher", len(pairs))),
    )
    before = [_before(one, another) for one, another in pairs if not np.array_equal(one, another)]
    if not before:
        return [equal, absent(FIRST, "tokens", "higher", "no answer differs")]
    mean = float(np.mean(before))
    return [equal, Measurement(FIRST, mean, "tokens", "higher", n=len(before), conditions=stated)]


def incomparable(own: Written, other: Written) -> str:
    """Why the tokens of two models cannot be compared; empty where they can."""
    if own["tokenizer"] != other["tokenizer"]:
        return "the two have other tokenizers"
    return "" if own["ids"] == other["ids"] else "the two wrote on other test examples"


def _continued(probe: Probe, place: int) -> list[int]:
    """The greedy answer to the first part of a test example."""
    prompts = probe.task.prompts(parts_at(probe, [place])[:1], probe.processor)
    assert prompts is not None  # the task generates
    most = probe.task.limits().max_new_tokens
    (tokens,) = generate(probe.session, prompts, Limits(max_new_tokens=most))
    return tokens


def _name(identity: object) -> str:
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def _pairs(own: Written, other: Written) -> list[tuple[str, str]]:
    return list(zip(own["tokens"], other["tokens"], strict=True))


def _numbers(text: str) -> np.ndarray:
    return decisions.read(text, np.int64)


def _equal(one: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """How many places have the same token, and how many the longer answer has. Two empty answers
    are equal at one place, their end."""
    shorter, longer = sorted((len(one), len(other)))
    if longer == 0:
        return 1, 1
    return int((one[:shorter] == other[:shorter]).sum()), longer


def _before(one: np.ndarray, other: np.ndarray) -> int:
    """The tokens before the first that differs, or before the end of the shorter answer."""
    shorter = min(len(one), len(other))
    differing = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(differing[0]) if len(differing) else shorter


def _share(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts[..., 0] / counts[..., 1])
