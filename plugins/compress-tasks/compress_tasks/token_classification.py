"""``token-classification``: a tag for each word, scored by the entities that the tags spell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from compress.processor import TextProcessor
from compress.task import (
    IGNORED,
    Batch,
    Column,
    Decision,
    Features,
    Prediction,
    Quality,
    Row,
    RowError,
    Task,
    TaskOptions,
)
from compress_tasks import statistics
from compress_tasks.cells import (
    distinct_names,
    is_number,
    label_index,
    label_name,
    requested,
    whole,
)
from compress_tasks.confidence import likeliest
from compress_tasks.iob import (
    OUTSIDE,
    check_scheme,
    entities,
    entity_type,
    is_tag,
    tag_names,
    to_iob2,
)
from compress_tasks.padding import model_inputs, pad, padded

_WORD = re.compile(r"\w+|[^\w\s]")


class TokenClassification(Task[TaskOptions]):
    """A tag for each word, learnt on the word's first piece (Devlin et al. 2019, section 5.3), IOB2
    throughout."""

    name = "token-classification"
    summary = "A tag for each word: named entities, in IOB1 or IOB2."
    synonyms = ("ner",)
    optimum_name = "token-classification"
    heads = ("ForTokenClassification",)
    columns = (
        Column("tokens", "The words of a sentence, a list."),
        Column("tags", "A tag for each word, a list."),
    )
    headline = "f1"
    directions = {"precision": "higher", "recall": "higher", "accuracy": "higher"}
    pipeline_tag = "token-classification"
    auto_class = "AutoModelForTokenClassification"
    reading = (
        "# logits: [1, tokens, labels], before softmax\n"
        "print([labels[int(i)] for i in logits[0].argmax(-1)])  # one for each token\n"
    )

    def labels(
        self, rows: Mapping[str, Sequence[Row]], declared: Sequence[str] | None
    ) -> list[str]:
        """As declared, with the ``B-`` or ``I-`` that a declared type lacks; else ``O`` and the
        pairs of the types in the training split. Raises RowError for tags that are neither IOB1 nor
        IOB2."""
        known = distinct_names(declared or [])
        if known and OUTSIDE not in known:
            raise RowError(
                f"the declared labels {', '.join(known)} lack 'O', the tag of words outside all "
                "entities"
            )
        tags = {split: [_readable(row, known) for row in some] for split, some in rows.items()}
        check_scheme(tags)
        source = (
            [known] if known else tags.get("train") or [t for some in tags.values() for t in some]
        )
        names = tag_names(
            kind for some in source for tag in some if (kind := entity_type(tag)) is not None
        )
        return known + [name for name in names if name not in known]

    def normalise(self, row: Row, labels: Sequence[str]) -> Row:
        """``tokens``, and ``tags`` as indices into IOB2 ``labels``. Raises RowError."""
        tokens = _list(row, "tokens")
        odd = [token for token in tokens if not isinstance(token, str)]
        if odd:
            raise RowError(f"token {odd[0]!r} is not text")
        tags = _list(row, "tags")
        if len(tags) != len(tokens):
            raise RowError(f"{len(tags)} tags for {len(tokens)} tokens")
        names = to_iob2([_tag(tag, labels) for tag in tags])
        return {
            "tokens": [whole(token, "token") for token in tokens],
            "tags": [label_index(name, labels, "tag") for name in names],
        }

    def head_mistake(self, config: Mapping[str, Any], labels: Sequence[str]) -> str | None:
        """Outputs that are not as many as the data's ``labels``; without these, labels that are no
        IOB tags."""
        names = self.stated_labels(config)
        if labels:
            return (
                None
                if len(names) == len(labels)
                else f"has {len(names)} outputs, and the data have {len(labels)} tags"
            )
        odd = next((name for name in names if not is_tag(name)), None)
        return odd and f"calls an output {odd!r}, which is not O, B-TYPE or I-TYPE"

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """``input_ids``, ``starts`` (the position of each word's first piece, None for a word that
        was cut or has no piece), and ``labels``: the word's tag at that position, IGNORED
        elsewhere."""
        encodings = processor.encode(
            [row["tokens"] for row in rows], max_length=self.options.max_length, words=True
        )
        return [
            _features(row, encoding, processor)
            for row, encoding in zip(rows, encodings, strict=True)
        ]

    def collate(
        self,
        features: Sequence[Features],
        processor: TextProcessor,
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """Padded arrays; ``labels`` int64 [batch, length], IGNORED where padded."""
        batch = pad(features, processor)
        if all("labels" in f for f in features):
            batch["labels"] = padded([f["labels"] for f in features], IGNORED)
        return batch

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """``tags``: one index for each word, and ``confidence``, the probability of each; both None
        for a word that the model did not see."""
        logits = outputs["logits"]  # [batch, length, tags]
        return [_tagged(row, f["starts"]) for row, f in zip(logits, batch, strict=True)]

    def score(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> Quality:
        """Entity-level precision, recall and F1, overall and for each type, and the share of words
        tagged right.

        seqeval in strict mode with IOB2; a word that the model did not see counts as ``O``."""
        from compress_tasks.metrics import EntityMetric, quality

        return quality(
            EntityMetric,
            [_names(p["tags"], labels) for p in predictions],
            [_names(row["tags"], labels) for row in rows],
        )

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray:
        """Entities right, invented and missed in each sentence, [n, 3]."""
        counts = []
        for prediction, row in zip(predictions, rows, strict=True):
            guess, truth = (
                set(entities(_names(tags, labels))) for tags in (prediction["tags"], row["tags"])
            )
            counts.append([len(guess & truth), len(guess - truth), len(truth - guess)])
        return np.array(counts, dtype=np.float64)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """Entity-level F1 for summed counts [..., 3] -> [...]."""
        return statistics.f1_of_entities(counts)

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """One for each word: its tag. A word that the model did not see is answered ``O``, as it is
        scored, and has no confidence. The class is the entity's type, or ``O``."""
        answers, truth = _names(prediction["tags"], labels), _names(row["tags"], labels)
        return [
            Decision(answer, answer == tag, entity_type(tag) or OUTSIDE, share)
            for answer, tag, share in zip(answers, truth, prediction["confidence"], strict=True)
        ]

    def request(self, texts: Sequence[str]) -> list[Row]:
        """A row for each text, cut into words: a run of letters, digits and underscores is a word,
        and so is every other character but spaces. ``spans`` are the words' (start, end) in the
        text."""
        found = [(text, list(_WORD.finditer(text))) for text in requested(texts)]
        return [
            {"text": text, "tokens": [m.group() for m in words], "spans": [m.span() for m in words]}
            for text, words in found
        ]

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> dict[str, Any]:
        """The text and its entities: ``type``, ``text``, ``start`` and ``end`` (characters, ``end``
        exclusive)."""
        text = row.get("text") or " ".join(row["tokens"])
        spans = row.get("spans") or _joined_spans(row["tokens"])
        found = [
            (kind, spans[first][0], spans[end - 1][1])
            for first, end, kind in entities(_names(prediction["tags"], labels))
        ]
        return {
            "text": text,
            "entities": [
                {"type": kind, "text": text[start:end], "start": start, "end": end}
                for kind, start, end in found
            ],
        }


def _list(row: Row, column: str) -> Sequence[Any]:
    value = row.get(column)
    if value is None:
        raise RowError(f"{column} are missing")
    if not isinstance(value, list | tuple):
        raise RowError(f"{column} are {value!r}, which is not a list")
    if not value:
        raise RowError(f"{column} are empty")
    return value


def _tag(value: Any, labels: Sequence[str]) -> str:
    """The name of a tag cell, IOB1 or IOB2. Raises RowError for one that is not IOB or not among
    ``labels``."""
    name = label_name(value, "tag")
    if not is_number(name):
        entity_type(name)
    return labels[label_index(name, labels, "tag")]


def _readable(row: Row, known: Sequence[str]) -> list[str]:
    """The names of a row's tags; none where one cannot be read, for the row is refused by its place
    later."""
    try:
        names = [label_name(tag, "tag") for tag in _list(row, "tags")]
        names = [
            known[label_index(n, known, "tag")] if known and is_number(n) else n for n in names
        ]
        for name in names:
            entity_type(name)
    except RowError:
        return []
    return names


def _features(row: Row, encoding: Encoding, processor: TextProcessor) -> Features:
    first: dict[int, int] = {}
    for position, word in enumerate(encoding.word_ids):
        if word is not None:
            first.setdefault(word, position)
    features = model_inputs(row, encoding, processor) | {
        "starts": [first.get(i) for i in range(len(row["tokens"]))]
    }
    if "tags" in row:
        tag_at = {position: row["tags"][word] for word, position in first.items()}
        features["labels"] = [
            tag_at.get(position, IGNORED) for position in range(len(encoding.ids))
        ]
    return features


def _tagged(logits: np.ndarray, starts: Sequence[int | None]) -> Prediction:
    """The likeliest tag at each word's first piece, of ``logits`` [length, tags], and its
    probability."""
    best, shares = likeliest(logits)
    return {
        "tags": [None if start is None else int(best[start]) for start in starts],
        "confidence": [None if start is None else float(shares[start]) for start in starts],
    }


def _names(tags: Sequence[int | None], labels: Sequence[str]) -> list[str]:
    return [OUTSIDE if tag is None else labels[tag] for tag in tags]


def _joined_spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """The (start, end) of each token in their text joined by spaces."""
    ends = np.cumsum([len(token) + 1 for token in tokens]).tolist()
    return [(end - 1 - len(token), end - 1) for token, end in zip(tokens, ends, strict=True)]
