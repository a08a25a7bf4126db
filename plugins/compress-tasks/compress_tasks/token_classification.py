"""``token-classification``: a tag for each word, scored by the entities that the tags
form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from tokenizers import Encoding

from compress.architecture import ModelConfig
from compress.errors import UsageError
from compress.padding import model_inputs, pad, padded
from compress.processor import TextProcessor
from compress.request import Request, texts_of
from compress.rows import Columns, length_of
from compress.task import (
    IGNORED,
    Batch,
    CardInfo,
    Column,
    Decision,
    Features,
    Prediction,
    Quality,
    Row,
    RowError,
    Shown,
    Task,
    TextTaskOptions,
)
from compress_tasks import statistics
from compress_tasks.bundled import words as answering
from compress_tasks.bundled.words import OUTSIDE, entities, names
from compress_tasks.cells import (
    distinct_names,
    is_number,
    label_index,
    label_name,
    whole,
)
from compress_tasks.confidence import likeliest
from compress_tasks.iob import (
    check_scheme,
    entity_type,
    is_tag,
    tag_names,
    to_iob2,
)
from compress_tasks.swapping import EntitySwap


class TokenClassification(Task[TextTaskOptions]):
    """A tag for each word, learnt and answered at the word's first piece (Devlin et al.
    2019, section 5.3). Labels are IOB2 tags."""

    name = "token-classification"
    summary = "A tag for each word: named entities, in IOB1 or IOB2."
    synonyms = ("ner",)
    kind = "token-classification"
    bundled = "compress_tasks.bundled.words"
    columns = (
        Column("tokens", "The words of a sentence, a list."),
        Column("tags", "A tag for each word, a list.", is_target=True),
    )
    headline = "f1"
    Options = TextTaskOptions
    directions = {"precision": "higher", "recall": "higher", "accuracy": "higher"}
    card = CardInfo(
        reading=(
            "# logits: [1, tokens, labels], before softmax\n"
            "print([labels[int(i)] for i in logits[0].argmax(-1)])  # one for each token\n"
        ),
    )

    def labels(
        self, splits: Mapping[str, Iterable[Columns]], declared: Sequence[str] | None
    ) -> list[str]:
        """The declared labels, completed by the ``B-`` or ``I-`` that a type lacks; else
        ``O`` and both tags of each type in the training split.

        Raises RowError for tags that are neither IOB1 nor IOB2."""
        known = distinct_names(declared or [])
        if known and OUTSIDE not in known:
            raise RowError(
                f"the declared labels {', '.join(known)} lack 'O', the tag of words outside all "
                "entities"
            )
        types: dict[str, set[str]] = {split: set() for split in splits}
        tags = {}
        for split, chunks in splits.items():
            tags[split] = _watched(_sentences(chunks, known), types[split])
        check_scheme(tags)
        if known:
            chosen = _types_in(known)
        else:
            chosen = types["train"] if "train" in types else set().union(*types.values())
        return known + [name for name in tag_names(chosen) if name not in known]

    def normalise(self, columns: Columns, labels: Sequence[str]) -> Columns:
        """``tokens``, and ``tags`` as indices into IOB2 ``labels``. Raises RowError."""
        names = _TagNames(labels)
        tokens = [_tokens(cell) for cell in _column(columns, "tokens")]
        tags = []
        for words, cell in zip(tokens, _column(columns, "tags"), strict=True):
            given = _list(cell, "tags")
            if len(given) != len(words):
                raise RowError(f"{len(given)} tags for {len(words)} tokens")
            tags.append(names.indices(given))
        return {"tokens": tokens, "tags": tags}

    def count_labels(self, columns: Columns, labels: Sequence[str]) -> Mapping[str, int]:
        """The tag of each word."""
        counts = Counter(chain.from_iterable(columns["tags"]))
        return {labels[tag]: count for tag, count in counts.items()}

    def head_mistake(self, config: ModelConfig, labels: Sequence[str]) -> str | None:
        """Another number of outputs than the data have ``labels``; without these, an output
        whose name is no IOB tag."""
        names = self.stated_labels(config)
        if labels:
            if len(names) == len(labels):
                return None
            return f"has {len(names)} outputs, and the data have {len(labels)} tags"
        for name in names:
            if not is_tag(name):
                return f"calls an output {name!r}, which is not O, B-TYPE or I-TYPE"
        return None

    def features(self, rows: Sequence[Row], processor: TextProcessor) -> list[Features]:
        """``input_ids``, ``starts`` and ``labels``.

        ``starts`` are the positions of the words' first pieces; None for a word that was
        cut off or has no piece. ``labels`` hold a word's tag at its start, and IGNORED
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

    def with_answer(self, row: Row, prediction: Prediction) -> Row:
        """``row`` with the answered tags; a word that the model did not see has the first one,
        which no model sees either."""
        return {**row, "tags": [0 if tag is None else tag for tag in prediction["tags"]]}

    def variation(self, rows: Iterable[Row], labels: Sequence[str]) -> EntitySwap:
        """Entities become others of their type from ``rows``."""
        return EntitySwap(rows, labels)

    def predictions(
        self, outputs: Mapping[str, np.ndarray], batch: Sequence[Features]
    ) -> list[Prediction]:
        """``tags``: one index for each word, and ``confidence``, its probability. Both are
        None for a word that the model did not see."""
        logits = outputs["logits"]  # [batch, length, tags]
        return [_tagged(row, f["starts"]) for row, f in zip(logits, batch, strict=True)]

    def score(
        self,
        predictions: Sequence[Prediction],
        rows: Sequence[Row],
        labels: Sequence[str],
        processor: TextProcessor,
    ) -> Quality:
        """Precision, recall and F1 of entities, for all and for each type, and the share of
        words with the right tag.

        By seqeval in strict mode with IOB2. A word that the model did not see counts as
        ``O``."""
        from compress.scoring import quality
        from compress_tasks.metrics import EntityMetric

        return quality(
            EntityMetric,
            [names(p["tags"], labels) for p in predictions],
            [names(row["tags"], labels) for row in rows],
        )

    def resample(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> np.ndarray:
        """Entities found, invented and missed in each sentence, float64 [n, 3]."""
        counts = []
        for prediction, row in zip(predictions, rows, strict=True):
            guess = set(entities(names(prediction["tags"], labels)))
            truth = set(entities(names(row["tags"], labels)))
            counts.append([len(guess & truth), len(guess - truth), len(truth - guess)])
        return np.array(counts, dtype=np.float64)

    def headline_of(self, counts: np.ndarray) -> np.ndarray:
        """F1 of entities for summed counts [..., 3] -> [...]."""
        return statistics.f1_of_entities(counts)

    def most_frequent(
        self, predictions: Sequence[Prediction], rows: Sequence[Row], labels: Sequence[str]
    ) -> list[Prediction]:
        """The most frequent tag for each word. That is nearly always ``O``: it finds no entity,
        and its F1 is 0."""
        counts = Counter(chain.from_iterable(row["tags"] for row in rows))
        tag, count = counts.most_common(1)[0]
        share = count / counts.total()
        return [
            {"tags": [tag] * len(row["tags"]), "confidence": [share] * len(row["tags"])}
            for row in rows
        ]

    def decisions(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> list[Decision]:
        """One for each word: its tag. The class is the entity's type, or ``O``. A word that
        the model did not see is answered ``O``, as in the score, and has no confidence."""
        answers, truth = names(prediction["tags"], labels), names(row["tags"], labels)
        return [
            Decision(answer, answer == tag, entity_type(tag) or OUTSIDE, share)
            for answer, tag, share in zip(answers, truth, prediction["confidence"], strict=True)
        ]

    def request(self, requests: Sequence[Request]) -> list[Row]:
        """A row for each text, cut into words. A word is a run of letters, digits and
        underscores, or any other single character but a space. ``spans`` are the words'
        (start, end) in the text. A mapping may hold the words themselves, as ``tokens``."""
        texts = iter(texts_of([one for one in requests if not _holds_words(one)], ("text",)))
        return [
            _row_of_words(one) if _holds_words(one) else answering.with_words(next(texts)["text"])
            for one in requests
        ]

    def present(self, prediction: Prediction, row: Row, labels: Sequence[str]) -> Shown:
        """The text and its entities: ``type``, ``text``, ``start`` and ``end`` (characters,
        ``end`` exclusive)."""
        text = row.get("text") or " ".join(row["tokens"])
        spans = row.get("spans") or _joined_spans(row["tokens"])
        found = entities(names(prediction["tags"], labels))
        return {"text": text, "entities": answering.shown(text, spans, found)}


def _holds_words(request: Request) -> bool:
    return isinstance(request, Mapping) and list(request) == ["tokens"]


def _row_of_words(request: Any) -> Row:
    try:
        return {"tokens": _tokens(request["tokens"])}
    except RowError as error:
        raise UsageError(str(error)) from error


def _watched(sentences: Iterable[list[str]], types: set[str]) -> Iterator[list[str]]:
    """The tags of sentences as they are; their types are added."""
    for tags in sentences:
        types |= _types_in(tags)
        yield tags


def _types_in(tags: Iterable[str]) -> set[str]:
    """The types of the tags, without ``O``."""
    types = {entity_type(tag) for tag in set(tags)}
    return {kind for kind in types if kind is not None}


def _column(columns: Columns, name: str) -> Sequence[Any]:
    return columns.get(name) or [None] * length_of(columns)


def _list(value: Any, column: str) -> Sequence[Any]:
    if value is None:
        raise RowError(f"{column} are missing")
    if not isinstance(value, list | tuple):
        raise RowError(f"{column} are {value!r}, which is not a list")
    if not value:
        raise RowError(f"{column} are empty")
    return value


def _tokens(cell: Any) -> list[str]:
    tokens = _list(cell, "tokens")
    odd = [token for token in tokens if not isinstance(token, str)]
    if odd:
        raise RowError(f"token {odd[0]!r} is not text")
    return [whole(token, "token") for token in tokens]


class _TagNames:
    """The tags of cells among ``labels``, each of which is looked for once."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._known: dict[tuple[type, Any], str] = {}
        self._places = {name: place for place, name in enumerate(labels)}

    def indices(self, tags: Sequence[Any]) -> list[int]:
        """The indices of a sentence's tags, in IOB2. Raises RowError for a tag that is no IOB tag
        or is not among the labels."""
        return [self._index(name) for name in to_iob2([self._name(tag) for tag in tags])]

    def _name(self, value: Any) -> str:
        try:
            name = self._known.get((type(value), value))
        except TypeError:  # a list, which has no hash and is no tag
            return self._read(value)
        if name is None:
            name = self._known[type(value), value] = self._read(value)
        return name

    def _read(self, value: Any) -> str:
        name = label_name(value, "tag")
        if not is_number(name):
            entity_type(name)  # raises
        return self._labels[label_index(name, self._labels, "tag")]

    def _index(self, name: str) -> int:
        place = self._places.get(name)
        return label_index(name, self._labels, "tag") if place is None else place


def _sentences(chunks: Iterable[Columns], known: Sequence[str]) -> Iterator[list[str]]:
    """The tags of each row, as far as they can be read."""
    for columns in chunks:
        for cell in _column(columns, "tags"):
            yield _readable(cell, known)


def _readable(cell: Any, known: Sequence[str]) -> list[str]:
    """The names of a row's tags. None where one cannot be read: ``normalise`` refuses that
    row later, with its place. A number is an index into the ``known`` labels, where there
    are any."""
    names = []
    try:
        for tag in _list(cell, "tags"):
            name = label_name(tag, "tag")
            if known and is_number(name):
                name = known[label_index(name, known, "tag")]
            entity_type(name)  # raises
            names.append(name)
    except RowError:
        return []
    return names


def _features(row: Row, encoding: Encoding, processor: TextProcessor) -> Features:
    starts = answering.starts_of(encoding.word_ids, len(row["tokens"]))
    features = model_inputs(row, encoding, processor) | {"starts": starts}
    if "tags" in row:
        tag_at = dict(zip(starts, row["tags"], strict=True))
        features["labels"] = [
            tag_at.get(position, IGNORED) for position in range(len(encoding.ids))
        ]
    return features


def _tagged(logits: np.ndarray, starts: Sequence[int | None]) -> Prediction:
    """The likeliest tag at each word's first piece and its probability, from ``logits``
    [length, tags]."""
    best, shares = likeliest(logits)
    return {
        "tags": [None if start is None else int(best[start]) for start in starts],
        "confidence": [None if start is None else float(shares[start]) for start in starts],
    }


def _joined_spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """The (start, end) of each token in their text joined by spaces."""
    ends = np.cumsum([len(token) + 1 for token in tokens]).tolist()
    return [(end - 1 - len(token), end - 1) for token, end in zip(tokens, ends, strict=True)]
