"""From the logits of steps to tokens: greedy, drawn or by beam search. For engines that have no
loop of their own. No torch.

Greedy search and beam search give the tokens of transformers' ``generate``; tests compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from compress.generation import Limits, OnToken, Special


class Steps(Protocol):
    """Sequences in an engine, with the keys and values of their tokens."""

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """The logits [n, vocabulary], float32, after one more token, int64 [n], of each
        sequence."""
        ...

    def take(self, places: np.ndarray) -> None:
        """Go on with the sequences at ``places``, int64 [m], in this order. A place may occur more
        than once, or not at all."""
        ...


def decode(
    logits: np.ndarray,
    steps: Steps,
    limits: Limits,
    most: int,
    special: Special,
    on_token: OnToken | None = None,
) -> list[list[int]]:
    """The new tokens of each sequence, without the one that ends it; ``most`` at most.

    ``logits`` [n, vocabulary] are those after the prompts. ``on_token`` is told each token; with
    beams, when the answers are known."""
    limits.refuse_misfits()
    if limits.beams == 1:
        return _one_by_one(logits, steps, limits, most, special, on_token)
    answers = _search(logits, steps, limits, most, special)
    if on_token:
        for row, tokens in enumerate(answers):
            for token in tokens:
                on_token(row, token)
    return answers


def _one_by_one(
    logits: np.ndarray,
    steps: Steps,
    limits: Limits,
    most: int,
    special: Special,
    on_token: OnToken | None,
) -> list[list[int]]:
    answers: list[list[int]] = [[] for _ in logits]
    rows = np.arange(len(logits))
    for count in range(most):
        tokens = chosen(possible(logits, limits, special, count), limits, count)
        goes_on = ~np.isin(tokens, list(special.end))
        rows, tokens = rows[goes_on], tokens[goes_on]
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            answers[row].append(token)
            if on_token:
                on_token(row, token)
        if not len(rows) or count + 1 == most:
            break
        if not goes_on.all():
            steps.take(np.flatnonzero(goes_on))
        logits = steps.step(tokens)
    return answers


def possible(scores: np.ndarray, limits: Limits, special: Special, count: int) -> np.ndarray:
    """The scores [n, vocabulary] of the token number ``count``, from 0, with minus infinity for
    those that it cannot be: a token that is never part of an answer, an end before the least number
    of tokens, or any but the token that an answer must begin with."""
    too_early = special.end if count < limits.min_new_tokens else frozenset()
    impossible = [*special.never, *too_early]
    if impossible:
        scores = scores.copy()
        scores[:, impossible] = -np.inf
    if special.first is None or count:
        return scores
    alone = np.full_like(scores, -np.inf)
    alone[:, special.first] = 0
    return alone


def chosen(logits: np.ndarray, limits: Limits, count: int) -> np.ndarray:
    """The next token of each sequence, int64 [n], from its logits [n, vocabulary]: the most
    probable one, or one that is drawn."""
    return np.asarray(drawn_scores(logits, limits, count).argmax(axis=1), dtype=np.int64)


def drawn_scores(logits: np.ndarray, limits: Limits, count: int) -> np.ndarray:
    """Scores [n, vocabulary] whose maximum is the next token.

    The maximum of log-probabilities with Gumbel noise is a draw by these probabilities (Maddison,
    Tarlow and Minka 2014, A* Sampling, section 2). The noise depends on the seed and on ``count``,
    the number of the token. So an answer depends neither on the texts beside it nor on the
    engine."""
    if not limits.draws:
        return logits
    scores = _kept(logits.astype(np.float64) / limits.temperature, limits.top_p)
    generator = np.random.default_rng([limits.seed, count])
    return np.asarray(scores + generator.gumbel(size=logits.shape[1]))


def _kept(scores: np.ndarray, share: float) -> np.ndarray:
    """``scores``, with minus infinity for all but the most probable tokens that have ``share``
    together (Holtzman et al. 2020, The Curious Case of Neural Text Degeneration, section 3.1)."""
    if share == 1:
        return scores
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.exp(log_softmax(np.take_along_axis(scores, order, axis=1)))
    before = ordered.cumsum(axis=1) - ordered
    kept = np.empty(scores.shape, dtype=bool)
    np.put_along_axis(kept, order, before < share, axis=1)
    return np.where(kept, scores, -np.inf)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Log-probabilities of scores [..., n], over the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


@dataclass
class _Beams:
    """The search for one answer: sequences that go on, and those that have ended, the best first,
    each with its score. ``rows`` are the places in the engine of those that go on."""

    rows: list[int]
    going: list[tuple[float, list[int]]] = field(default_factory=lambda: [(0.0, [])])
    ended: list[tuple[float, list[int]]] = field(default_factory=list)


def _search(
    logits: np.ndarray, steps: Steps, limits: Limits, most: int, special: Special
) -> list[list[int]]:
    """The best answer of each sequence by its log-probability, divided by a power of its length, as
    transformers searches it."""
    searches = [_Beams([row]) for row in range(len(logits))]
    open_ones = searches
    for count in range(most):
        log_probabilities = possible(log_softmax(logits), limits, special, count)
        for search in open_ones:
            _extend(search, log_probabilities, limits, special, count + 1 == most)
        open_ones = [one for one in open_ones if _may_improve(one, limits, count + 1)]
        if not open_ones or count + 1 == most:
            break
        steps.take(np.array([place for search in open_ones for place in search.rows]))
        _number(open_ones)
        last = [tokens[-1] for search in open_ones for _, tokens in search.going]
        logits = steps.step(np.array(last))
    return [search.ended[0][1] for search in searches]


def _extend(
    search: _Beams,
    log_probabilities: np.ndarray,
    limits: Limits,
    special: Special,
    is_last: bool,
) -> None:
    """Add a token to the sequences of ``search``, and keep the best ones."""
    beams = limits.beams
    scores = np.array([[score] for score, _ in search.going], dtype=np.float32)
    totals = (scores + log_probabilities[search.rows]).ravel()
    # Enough that ``beams`` of them go on, even if each of the best ones ends.
    count = min(len(totals), max(2, 1 + len(special.end)) * beams)
    best = np.argsort(-totals, kind="stable")[:count]
    size = log_probabilities.shape[1]
    going, rows = [], []
    for rank, place in enumerate(best.tolist()):
        beam, token = divmod(place, size)
        score, tokens = float(totals[place]), [*search.going[beam][1], token]
        ends = token in special.end
        if not ends and not is_last:
            going.append((score, tokens))
            rows.append(search.rows[beam])
        elif rank < beams:
            whole = tokens[:-1] if ends else tokens
            search.ended.append((score / len(tokens) ** limits.length_penalty, whole))
    search.going, search.rows = going[:beams], rows[:beams]
    search.ended = sorted(search.ended, key=lambda each: -each[0])[:beams]


def _may_improve(search: _Beams, limits: Limits, length: int) -> bool:
    """Whether a sequence that goes on could still be among the best, if its score stays."""
    if not search.going:
        return False
    best = search.going[0][0] / length**limits.length_penalty
    return len(search.ended) < limits.beams or best > search.ended[-1][0]


def _number(searches: Sequence[_Beams]) -> None:
    """Give the sequences the places that they have in the engine after ``take``."""
    start = 0
    for search in searches:
        search.rows = list(range(start, start + len(search.going)))
        start += len(search.going)
