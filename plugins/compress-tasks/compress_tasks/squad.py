"""How an answer to a question is compared with the right ones: the rules of SQuAD's own script
(Rajpurkar et al. 2016, section 6.1; version 2, with questions that have no answer: Rajpurkar et al.
2018)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from compress_tasks.bundled.questions import NO_ANSWER

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def counted_words(text: str) -> list[str]:
    """The words that count: in lower case, without ASCII punctuation and without articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()


def is_exact(answer: str, wanted: str) -> bool:
    """Whether two answers have the same words in one order."""
    return counted_words(answer) == counted_words(wanted)


def overlap(answer: str, wanted: str) -> float:
    """F1 of the words of two answers, 0 to 1. Of two answers without a word it is 1, of one such
    answer 0."""
    own, other = counted_words(answer), counted_words(wanted)
    if not own or not other:
        return float(own == other)
    same = (Counter(own) & Counter(other)).total()
    if same == 0:
        return 0.0
    precision, recall = same / len(own), same / len(other)
    return 2 * precision * recall / (precision + recall)


def best_scores(answer: str, references: Sequence[str]) -> tuple[float, float]:
    """(F1, exact match), each with the reference that fits it best. Without references, none is
    the right answer."""
    known = references or (NO_ANSWER,)
    f1 = max(overlap(answer, wanted) for wanted in known)
    return f1, float(any(is_exact(answer, wanted) for wanted in known))


def with_words(references: Sequence[str]) -> list[str]:
    """The references that have a word that counts, as version 2 reads them."""
    return [text for text in references if counted_words(text)]


def scores_of(answers: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """(F1, exact match, 1) of each answer, float64 [n, 3]. Sums of rows give the means."""
    pairs = zip(answers, references, strict=True)
    scores = [(*best_scores(answer, known), 1.0) for answer, known in pairs]
    return np.array(scores, dtype=np.float64).reshape(-1, 3)
