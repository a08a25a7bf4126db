"""``evaluate.Metric`` classes for generated texts, over sacrebleu and rouge-score. Only ``score``
and ``resample`` import this module.

A metric of evaluate's own is never loaded by name: that would run a script from the working
directory or the hub."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from datasets import Features, Value
from datasets import Sequence as ListOf
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from compress.scoring import SIGNATURES, evaluate

_ROUGES = ("rouge1", "rouge2", "rougeL")
References = Sequence[Sequence[str]]
"""The right answers of each example, one at least."""


class TextMetric(evaluate.Metric):
    """For texts, each with its right answers: BLEU, chrF2, ROUGE-1, ROUGE-2, ROUGE-L, and the share
    of texts that equal a right answer.

    BLEU and chrF are of all texts together, ROUGE is the mean of the best F-score of each text with
    a right answer, after stemming. ``signatures`` say how sacrebleu counted."""

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": Value("string"), "references": ListOf(Value("string"))}
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "", citation="", features=Features(features)
        )

    def _compute(
        self, predictions: Sequence[str], references: References, words: str
    ) -> dict[str, Any]:
        bleu, chrf = BLEU(tokenize=words, force=True), CHRF()
        by_place = _by_place(references)
        rouges = _rouges(predictions, references)
        exact = [text in right for text, right in zip(predictions, references, strict=True)]
        return {
            "bleu": bleu.corpus_score(list(predictions), by_place).score,
            "chrf": chrf.corpus_score(list(predictions), by_place).score,
            **{name: float(rouges[:, place].mean()) for place, name in enumerate(_ROUGES)},
            "exact_match": float(np.mean(exact)),
            SIGNATURES: {"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())},
        }


def counts_of(metric: str, texts: Sequence[str], references: References, words: str) -> np.ndarray:
    """The counts of ``compress_generation.ngrams`` for each text, float64 [n, k]."""
    if metric == "rougeL":
        scores = _rouges(texts, references)[:, _ROUGES.index(metric)]
        return np.stack([scores, np.ones_like(scores)], axis=1)
    counter = BLEU(tokenize=words, force=True) if metric == "bleu" else CHRF()
    # sacrebleu has no public name for what it counts of each text; a test compares the score of the
    # sums with its own.
    counted = counter._extract_corpus_statistics(list(texts), _by_place(references))
    return np.array(counted, dtype=np.float64)


def _rouges(texts: Sequence[str], references: References) -> np.ndarray:
    """ROUGE-1, ROUGE-2 and ROUGE-L of each text with the right answer that is best for it, float64
    [n, 3]."""
    scorer = RougeScorer(list(_ROUGES), use_stemmer=True)
    scores = []
    for text, right in zip(texts, references, strict=True):
        best = scorer.score_multi(list(right), text)
        scores.append([best[name].fmeasure for name in _ROUGES])
    return np.array(scores, dtype=np.float64)


def _by_place(references: References) -> Any:
    """The first right answers of all texts, the second ones, and so on; None where a text has
    fewer."""
    return [list(some) for some in zip_longest(*references)]
