from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from byrow import labels_of, normalised
from compress_tasks import FillMask
from compress_tasks.fill_mask import FillMaskOptions

from compress.errors import UsageError
from compress.processor import TextProcessor
from compress.task import IGNORED, RowError

TEXT = "the cat sat on the mat and john smith went to paris , not berlin ."
MASK_ID = 4


def task(**options: Any) -> FillMask:
    """The task with the options given."""
    return FillMask(FillMaskOptions(**options))


def features_of(processor: TextProcessor, *texts: str) -> list[dict[str, Any]]:
    """Features of texts as rows of the data."""
    return task().features(
        [{"text": text, "id": f"train-{i}"} for i, text in enumerate(texts)], processor
    )


def knowing(batch: dict[str, np.ndarray], size: int) -> np.ndarray:
    """Logits of a model that knows every hidden token."""
    return (
        20
        * np.eye(size, dtype=np.float32)[np.where(batch["labels"] == IGNORED, 0, batch["labels"])]
    )


def test_rows_are_texts_without_labels() -> None:
    assert labels_of(task(), {"train": [{"text": "a"}]}, None) == []
    assert task().head_config([]) == {}
    assert normalised(task(), {"text": "a", "label": 3}, []) == {"text": "a"}
    with pytest.raises(RowError, match="text is empty"):
        normalised(task(), {"text": ""}, [])


def test_special_and_unknown_tokens_are_never_hidden(processor: TextProcessor) -> None:
    features = features_of(processor, "the xyzzy cat [MASK]")[0]
    assert features["maskable"] == [1, 3]
    assert features["id"] == "train-0"
    for seed in range(20):
        labels = task(mask_probability=0.9).collate(
            [features], processor, np.random.default_rng(seed)
        )["labels"][0]
        assert np.flatnonzero(labels != IGNORED).tolist() == [1, 3]


def test_the_share_is_kept_and_hidden_tokens_go_80_10_10(processor: TextProcessor) -> None:
    features = features_of(processor, *[TEXT] * 4000)
    batch = task().collate(features, processor, np.random.default_rng(0))
    original = np.array([f["input_ids"] for f in features])
    chosen = batch["labels"] != IGNORED
    assert (chosen.sum(axis=1) == 2).all()  # 15 % of 16 tokens
    np.testing.assert_array_equal(batch["labels"][chosen], original[chosen])
    np.testing.assert_array_equal(batch["input_ids"][~chosen], original[~chosen])
    masked = (batch["input_ids"][chosen] == MASK_ID).mean()
    kept = (batch["input_ids"][chosen] == original[chosen]).mean()
    vocabulary = processor.tokenizer.get_vocab_size()
    # 8000 draws: a standard deviation is 0.0045 for the first, 0.0035 for the second.
    assert masked == pytest.approx(0.8 + 0.1 / vocabulary, abs=0.015)
    assert kept == pytest.approx(0.1 + 0.1 / vocabulary, abs=0.012)
    per_position = chosen.mean(axis=0)[1:-1]
    assert per_position == pytest.approx(2 / 16, abs=0.025)  # every position is as likely


def test_a_short_text_is_asked_for_one_token(processor: TextProcessor) -> None:
    batch = task().collate(features_of(processor, "cat"), processor)
    assert (batch["labels"] != IGNORED).sum() == 1


def test_training_draws_anew_and_repeats_with_the_same_generator(processor: TextProcessor) -> None:
    features = features_of(processor, TEXT)
    draws = np.random.default_rng(3)
    first, second = (task().collate(features * 8, processor, draws)["labels"] for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(
        task().collate(features * 8, processor, np.random.default_rng(3))["labels"], first
    )


def test_evaluation_masks_depend_on_the_example_alone(processor: TextProcessor) -> None:
    features = features_of(
        processor, TEXT, "john likes the film .", "the dog and the cat went to the play ."
    )
    batch = task().collate(features, processor)
    alone = [task().collate([f], processor) for f in features]
    for i, single in enumerate(alone):
        length = single["input_ids"].shape[1]
        np.testing.assert_array_equal(batch["input_ids"][i, :length], single["input_ids"][0])
        np.testing.assert_array_equal(batch["labels"][i, :length], single["labels"][0])
        assert (batch["labels"][i, length:] == IGNORED).all()
    before = features[0]["input_ids"][:]
    task().collate(features, processor)
    assert features[0]["input_ids"] == before


def test_evaluation_masks_are_the_same_in_every_release(processor: TextProcessor) -> None:
    batch = task().collate(features_of(processor, TEXT), processor)
    assert np.flatnonzero(batch["labels"][0] != IGNORED).tolist() == [4, 11]


def test_a_model_that_knows_all_is_right_everywhere(processor: TextProcessor) -> None:
    features = features_of(processor, TEXT, "john likes the film .")
    batch = task().collate(features, processor)
    logits = knowing(batch, processor.tokenizer.get_vocab_size())
    predictions = task().predictions({"logits": logits}, features)
    assert [(p["correct"], p["masked"]) for p in predictions] == [(2, 2), (1, 1)]
    quality = task().score(predictions, [], [], None)
    assert quality.metrics["accuracy"] == 1.0
    assert quality.metrics["perplexity"] == pytest.approx(1.0, abs=1e-6)  # 49 other tokens at e^-20


def test_loss_is_the_cross_entropy_that_torch_computes_from_the_batch(
    processor: TextProcessor,
) -> None:
    import torch

    features = features_of(processor, TEXT, "john likes the film .")
    batch = task().collate(features, processor)
    logits = np.random.default_rng(0).normal(size=(*batch["labels"].shape, 60)).astype(np.float32)
    metrics = task().score(task().predictions({"logits": logits}, features), [], [], None).metrics
    loss = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits).double().flatten(0, 1), torch.from_numpy(batch["labels"]).flatten()
    )
    assert metrics["loss"] == pytest.approx(loss.item(), abs=1e-12)
    assert metrics["perplexity"] == pytest.approx(math.exp(loss.item()), rel=1e-12)


def test_the_headline_follows_exactly_from_summed_counts() -> None:
    draws = np.random.default_rng(0)
    predictions = [
        {"correct": int(draws.integers(0, m + 1)), "masked": int(m), "nll": 1.5}
        for m in draws.integers(0, 9, 100)
    ]
    counts = task().resample(predictions, [], [])
    assert (
        float(task().headline_of(counts.sum(axis=0)))
        == task().score(predictions, [], [], None).metrics["accuracy"]
    )


def test_texts_without_any_ordinary_token_cannot_be_scored(processor: TextProcessor) -> None:
    features = features_of(processor, "xyzzy")
    batch = task().collate(features, processor)
    assert (batch["labels"] == IGNORED).all()
    predictions = task().predictions(
        {"logits": np.zeros((*batch["labels"].shape, 9), np.float32)}, features
    )
    assert predictions == [
        {"correct": 0, "masked": 0, "nll": 0.0, "answers": [], "wanted": [], "confidence": []}
    ]
    with pytest.raises(UsageError, match="no text has a token that can be masked"):
        task().score(predictions, [], [], None)


def test_a_request_is_answered_with_the_likeliest_tokens_at_each_mask(
    processor: TextProcessor,
) -> None:
    rows = task().request(["the [MASK] sat on the [MASK] .", "good [MASK]"])
    features = task().features(rows, processor)
    batch = task().collate(features, processor)
    assert "labels" not in batch
    assert (batch["input_ids"] == MASK_ID).sum(axis=1).tolist() == [2, 1]
    logits = np.zeros((*batch["input_ids"].shape, processor.tokenizer.get_vocab_size()), np.float32)
    logits[0, 2, processor.tokenizer.token_to_id("cat")] = 9
    logits[0, 6, processor.tokenizer.token_to_id("mat")] = 9
    predictions = task().predictions({"logits": logits}, features)
    shown = task().present(predictions[0], rows[0], [])
    assert shown["text"] == "the [MASK] sat on the [MASK] ."
    assert [mask[0]["token"] for mask in shown["masks"]] == ["cat", "mat"]
    assert [len(mask) for mask in shown["masks"]] == [5, 5]
    assert shown["masks"][0][0]["score"] == pytest.approx(
        math.exp(9) / (math.exp(9) + logits.shape[-1] - 1), rel=1e-9
    )


def test_a_request_may_use_the_tokenizers_own_mask_token(processor: TextProcessor) -> None:
    processor.tokenizer.add_special_tokens(["<mask>"])
    other = TextProcessor(
        processor.tokenizer, {**processor.config, "mask_token": "<mask>"}, "roberta"
    )
    typed = [
        f["input_ids"] for f in task().features(task().request(["a <mask> .", "a [MASK] ."]), other)
    ]
    assert typed[0] == typed[1]


def test_a_request_without_a_mask_and_a_tokenizer_without_one_are_usage_errors(
    processor: TextProcessor,
) -> None:
    with pytest.raises(
        UsageError, match=r"'the cat' has no \[MASK\] among the tokens that are kept"
    ):
        task().features(task().request(["the cat"]), processor)
    without = TextProcessor(processor.tokenizer, {}, "gpt2")
    with pytest.raises(UsageError, match="has no mask token"):
        task().features([{"text": "the cat"}], without)
