from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from byrow import labels_of, normalised
from compress_tasks import TokenClassification
from compress_tasks.bundled.words import entities
from compress_tasks.iob import to_iob2
from seqeval.metrics import f1_score, precision_score
from seqeval.scheme import IOB2, Entities

from compress.processor import TextProcessor
from compress.task import IGNORED, RowError, TextTaskOptions

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def task(max_length: int = 128) -> TokenClassification:
    """The task with the options given."""
    return TokenClassification(TextTaskOptions(max_length=max_length))


def sentence(*tags: Any) -> dict[str, Any]:
    """A row with as many words as tags."""
    return {"tokens": ["cat"] * len(tags), "tags": list(tags)}


def random_tags(count: int, seed: int) -> list[list[str]]:
    """Tags drawn at random, so that most ``I-`` are out of place."""
    draws = np.random.default_rng(seed)
    return [[LABELS[i] for i in draws.integers(0, 5, draws.integers(1, 12))] for _ in range(count)]


# schemes


@pytest.mark.parametrize(
    ("iob1", "iob2"),
    [
        ("I-PER I-PER O I-LOC", "B-PER I-PER O B-LOC"),
        ("I-PER I-LOC", "B-PER B-LOC"),
        ("I-PER B-PER I-PER O", "B-PER B-PER I-PER O"),
        ("I-PER B-PER B-PER", "B-PER B-PER B-PER"),
        ("O O", "O O"),
    ],
)
def test_iob1_becomes_iob2_and_iob2_stays(iob1: str, iob2: str) -> None:
    assert to_iob2(iob1.split()) == iob2.split()
    assert to_iob2(iob2.split()) == iob2.split()


def test_rows_of_either_scheme_are_normalised_to_the_same_tags() -> None:
    labels = labels_of(task(), {"train": [sentence("I-PER", "I-PER", "O", "I-LOC")]}, None)
    assert labels == LABELS
    assert normalised(task(), sentence("I-PER", "I-PER", "O", "I-LOC"), labels)["tags"] == [
        3,
        4,
        0,
        1,
    ]
    assert normalised(task(), sentence("B-PER", "I-PER", "O", "B-LOC"), labels)["tags"] == [
        3,
        4,
        0,
        1,
    ]


def test_data_that_are_neither_scheme_are_refused_with_both_places() -> None:
    data = {"train": [sentence("O"), sentence("B-PER", "I-PER")], "test": [sentence("O", "I-LOC")]}
    with pytest.raises(
        RowError,
        match="'I-LOC' opens an entity in row 0 of test, 'B-PER' opens an entity in row 1 of",
    ):
        labels_of(task(), data, None)


def test_iob1_may_hold_b_tags_between_entities_that_touch() -> None:
    assert (
        labels_of(task(), {"train": [sentence("I-PER", "B-PER"), sentence("I-LOC")]}, None)
        == LABELS
    )


def test_entities_are_read_as_seqeval_reads_them_in_strict_mode() -> None:
    for tags in random_tags(300, seed=0):
        theirs = [(e.start, e.end, e.tag) for e in Entities([tags], IOB2).entities[0]]
        assert entities(tags) == theirs


# labels and rows


def test_labels_begin_with_o_and_pair_the_prefixes_of_training_types() -> None:
    data = {"train": [sentence("B-PER", "O", "B-LOC")], "test": [sentence("B-ORG")]}
    labels = labels_of(task(), data, None)
    assert labels == LABELS
    with pytest.raises(RowError, match="tag 'B-ORG' is not one of the 5 labels"):
        normalised(task(), data["test"][0], labels)


def test_declared_labels_keep_their_order_and_gain_the_prefix_they_lack() -> None:
    assert labels_of(task(), {}, ["I-PER", "B-LOC", "I-LOC", "O"]) == [
        "I-PER",
        "B-LOC",
        "I-LOC",
        "O",
        "B-PER",
    ]
    with pytest.raises(RowError, match="lack 'O'"):
        labels_of(task(), {}, ["B-PER", "I-PER"])


def test_numbers_are_indices_of_declared_labels_in_either_scheme() -> None:
    declared = ["O", "I-PER", "I-LOC"]
    data = {"train": [sentence(1, 1, 0, 2)]}
    labels = labels_of(task(), data, declared)
    assert [labels[i] for i in normalised(task(), data["train"][0], labels)["tags"]] == [
        "B-PER",
        "I-PER",
        "O",
        "B-LOC",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a"] * 4, "tags": ["O"] * 3}, "3 tags for 4 tokens"),
        ({"tokens": [], "tags": []}, "tokens are empty"),
        ({"tags": ["O"]}, "tokens are missing"),
        ({"tokens": ["a"]}, "tags are missing"),
        ({"tokens": "a b", "tags": ["O", "O"]}, "tokens are 'a b', which is not a list"),
        ({"tokens": [3], "tags": ["O"]}, "token 3 is not text"),
        ({"tokens": ["\ud83d"], "tags": ["O"]}, "is not valid Unicode text"),
        ({"tokens": ["a"], "tags": ["NOUN"]}, "tag 'NOUN' is not O, B-TYPE or I-TYPE"),
        ({"tokens": ["a"], "tags": ["B-"]}, "tag 'B-' is not O, B-TYPE or I-TYPE"),
        (
            {"tokens": ["a"], "tags": ["B-LOK"]},
            r"tag 'B-LOK' is not one of the 5 labels, did you mean 'B-LOC'\?",
        ),
        ({"tokens": ["a"], "tags": [9]}, "tag '9' is not one of the 5 labels"),
        ({"tokens": ["a"], "tags": [None]}, "tag is missing"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        normalised(task(), row, LABELS)


def test_unreadable_rows_do_not_hide_the_labels_of_the_others() -> None:
    data = {"train": [{"tokens": ["a"]}, sentence("NOUN"), sentence("B-PER", "O", "B-LOC")]}
    assert labels_of(task(), data, None) == LABELS


# features

ROW = {"tokens": ["John", "unaffordable", "cats", "Paris"], "tags": [3, 4, 0, 1], "id": "train-0"}


def test_labels_stand_on_the_first_piece_of_each_word(processor: TextProcessor) -> None:
    features = task().features([ROW], processor)[0]
    pieces = [processor.tokenizer.id_to_token(i) for i in features["input_ids"]]
    assert pieces == ["[CLS]", "john", "un", "##afford", "##able", "cat", "##s", "paris", "[SEP]"]
    assert features["labels"] == [IGNORED, 3, 4, IGNORED, IGNORED, 0, IGNORED, 1, IGNORED]
    assert features["starts"] == [1, 2, 5, 7]
    assert features["id"] == "train-0"


def test_words_that_were_cut_or_have_no_piece_have_no_start(processor: TextProcessor) -> None:
    row = {"tokens": ["\u200b", *ROW["tokens"]], "tags": [0, *ROW["tags"]]}
    features = task(max_length=6).features([row], processor)[0]
    assert features["starts"] == [None, 1, 2, None, None]
    assert features["labels"] == [IGNORED, 3, 4, IGNORED, IGNORED, IGNORED]


def test_a_batch_pads_labels_with_ignored_and_changes_nothing_else(
    processor: TextProcessor,
) -> None:
    features = task().features([sentence(0) | {"tokens": ["cat"]}, ROW], processor)
    batch = task().collate(features, processor)
    assert batch["labels"].tolist()[0] == [IGNORED, 0] + [IGNORED] * 7
    assert batch["attention_mask"].tolist()[0] == [1, 1, 1] + [0] * 6
    alone = task().collate(features[:1], processor)
    np.testing.assert_array_equal(batch["input_ids"][:1, :3], alone["input_ids"])
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int64)}


# answers


def perfect_logits(batch: dict[str, np.ndarray]) -> np.ndarray:
    """Logits whose best label is the reference wherever there is one."""
    return np.eye(len(LABELS), dtype=np.float32)[
        np.where(batch["labels"] == IGNORED, 2, batch["labels"])
    ]


def test_a_model_that_knows_all_scores_one_and_each_word_has_one_tag(
    processor: TextProcessor,
) -> None:
    rows = [ROW, {"tokens": ["the", "cat"], "tags": [0, 0]}]
    features = task().features(rows, processor)
    predictions = task().predictions(
        {"logits": perfect_logits(task().collate(features, processor))}, features
    )
    assert [p["tags"] for p in predictions] == [[3, 4, 0, 1], [0, 0]]
    quality = task().score(predictions, rows, LABELS, None)
    assert quality.metrics == {"f1": 1.0, "precision": 1.0, "recall": 1.0, "accuracy": 1.0}
    assert quality.per_class == {
        "LOC": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1.0},
        "PER": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1.0},
    }


def test_cut_words_count_as_outside_and_lower_the_recall(processor: TextProcessor) -> None:
    short = task(max_length=6)
    features = short.features([ROW], processor)
    predictions = short.predictions(
        {"logits": perfect_logits(short.collate(features, processor))}, features
    )
    assert predictions[0]["tags"] == [3, 4, None, None]
    metrics = short.score(predictions, [ROW], LABELS, None).metrics
    assert (metrics["precision"], metrics["recall"]) == (1.0, 0.5)
    last = ["B-LOC", "I-LOC", "B-PER", "I-PER", "O"]  # outside need not be the first label
    assert (
        short.score([{"tags": [2, 3, None, None]}], [{"tags": [2, 3, 4, 0]}], last, None).metrics[
            "recall"
        ]
        == 0.5
    )


def scored(
    seed: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[list[str]], list[list[str]]]:
    """Predictions and rows of 100 random sentences, and both as tag names."""
    truth = [to_iob2(tags) for tags in random_tags(100, seed)]
    draws = np.random.default_rng(seed + 1)
    guess = [
        [tag if draws.random() < 0.7 else LABELS[draws.integers(0, 5)] for tag in tags]
        for tags in truth
    ]
    predictions = [{"tags": [LABELS.index(t) for t in tags]} for tags in guess]
    return predictions, [{"tags": [LABELS.index(t) for t in tags]} for tags in truth], guess, truth


def test_f1_is_seqevals_strict_iob2_and_follows_exactly_from_summed_counts() -> None:
    predictions, rows, guess, truth = scored(seed=5)
    quality = task().score(predictions, rows, LABELS, None)
    assert 0.2 < quality.metrics["f1"] < 0.9
    assert quality.metrics["f1"] == f1_score(truth, guess, mode="strict", scheme=IOB2)
    assert quality.metrics["precision"] == precision_score(truth, guess, mode="strict", scheme=IOB2)
    counts = task().resample(predictions, rows, LABELS)
    assert float(task().headline_of(counts.sum(axis=0))) == quality.metrics["f1"]
    assert sum(row["support"] for row in quality.per_class.values()) == counts[:, [0, 2]].sum()


def test_the_headline_of_every_resample_is_exactly_its_score() -> None:
    predictions, rows, guess, truth = scored(seed=8)
    counts = task().resample(predictions, rows, LABELS)
    for pick in np.random.default_rng(0).integers(0, 100, (20, 40)):
        theirs = f1_score(
            [truth[i] for i in pick], [guess[i] for i in pick], mode="strict", scheme=IOB2
        )
        assert float(task().headline_of(counts[pick].sum(axis=0))) == theirs


@pytest.mark.parametrize("guess", [0, 2])
def test_sentences_without_any_entity_score_zero_without_failing(guess: int) -> None:
    metrics = task().score([{"tags": [guess, 0]}], [{"tags": [0, 0]}], LABELS, None).metrics
    assert (metrics["f1"], metrics["accuracy"]) == (0.0, 1.0 - guess / 4)


# serving


def test_a_request_is_cut_into_words_and_answered_with_the_text_of_entities(
    processor: TextProcessor,
) -> None:
    row = task().request(["John Smith went to Paris, not (Berlin)!"])[0]
    assert row["tokens"] == [
        "John",
        "Smith",
        "went",
        "to",
        "Paris",
        ",",
        "not",
        "(",
        "Berlin",
        ")",
        "!",
    ]
    assert "labels" not in task().features([row], processor)[0]
    shown = task().present({"tags": [3, 4, 0, 0, 1, 0, 0, 0, 1, 2, 0]}, row, LABELS)
    assert shown["entities"] == [
        {"type": "PER", "text": "John Smith", "start": 0, "end": 10},
        {"type": "LOC", "text": "Paris", "start": 19, "end": 24},
        {"type": "LOC", "text": "Berlin)", "start": 31, "end": 38},
    ]


def test_rows_of_the_data_are_presented_as_their_joined_words() -> None:
    shown = task().present(
        {"tags": [0, 1, 2, None]},
        {"tokens": ["in", "San", "José", "!"], "tags": [0, 1, 2, 0]},
        LABELS,
    )
    assert shown == {
        "text": "in San José !",
        "entities": [{"type": "LOC", "text": "San José", "start": 3, "end": 11}],
    }
