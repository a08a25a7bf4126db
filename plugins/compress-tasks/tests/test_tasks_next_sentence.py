from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from byrow import labels_of
from compress_tasks import FillMask, NextSentence
from compress_tasks.document_pairs import Frame, passages_of_others, tokens_of
from compress_tasks.fill_mask import FillMaskOptions
from compress_tasks.masking import own_generator
from transformers import BertConfig, BertForPreTraining

from compress.errors import UsageError
from compress.predict import predict
from compress.processor import TextProcessor
from compress.rows import columns_of, rows_in
from compress.task import IGNORED, RowError

Row = dict[str, Any]
DOCUMENTS = [
    "the cat sat on the mat . a dog sat in paris .\njohn likes the film . it is very good !",
    "berlin is not bad . smith went to berlin .\nthe play was good . the dog was bad !",
    "a film is a film . a very good film !",
]


def task(**options: Any) -> NextSentence:
    return NextSentence(FillMaskOptions(**{"max_length": 24, **options}))


def prepared(texts: list[str], made: NextSentence) -> list[Row]:
    """The documents as prepared data hold them."""
    rows = rows_in(made.normalise(columns_of([{"text": text} for text in texts]), []))
    return [{**row, "id": f"train-{i}"} for i, row in enumerate(rows)]


def halves(ids: list[int]) -> tuple[list[int], list[int]]:
    """The two texts of ``[CLS] A [SEP] B [SEP]``; 2 and 3 are the special tokens."""
    assert ids[0] == 2 and ids[-1] == 3
    middle = ids.index(3)
    return ids[1:middle], ids[middle + 1 : -1]


def test_a_pair_is_framed_as_the_tokenizer_frames_it(processor: TextProcessor) -> None:
    first, second = "the cat sat", "john likes xyzzy"
    (whole,) = processor.encode([(first, second)], max_length=64)
    one, two = (processor.encode([text], max_length=64)[0].ids[1:-1] for text in (first, second))
    frame = Frame.of(processor)
    pair = frame.pair(one, two)
    assert (pair["input_ids"], pair["token_type_ids"]) == (whole.ids, whole.type_ids)
    assert frame.around == 3 and pair["maskable"] == [1, 2, 3, 5, 6]


def test_second_texts_begin_where_sentences_do_else_words_else_anywhere(
    processor: TextProcessor,
) -> None:
    for text, places in [
        ("the cat . a dog", [3]),
        ("the cat\n\na dog", [2]),
        ("the cats sat", [1, 3]),
        ("unaffordable", [1, 2]),
    ]:
        (encoding,) = processor.encode([text], max_length=64)
        assert tokens_of(text, encoding)[1] == places, text


def test_every_document_gets_a_passage_of_another_one_the_same_each_time() -> None:
    texts = [f"{word} one. {word} two." for word in "abcdefgh"]
    others = passages_of_others(texts, 100)
    assert others == passages_of_others(texts, 100)
    assert all(other and other[0] != text[0] for text, other in zip(texts, others, strict=True))
    assert len({other[0] for other in others if other}) == 8
    assert all(other and other[2:5] in ("one", "two") for other in others)
    assert passages_of_others(["alone"], 100) == [None]


def test_half_of_the_pairs_go_on_and_the_others_are_of_the_other_document(
    processor: TextProcessor,
) -> None:
    made = task(mask_probability=0.01)
    rows = prepared(DOCUMENTS, made)
    features = made.features(rows, processor)
    draws = np.random.default_rng(0)
    seen: list[int] = []
    for _ in range(300):
        batch = made.collate(features, processor, draws)
        original = np.where(batch["labels"] == IGNORED, batch["input_ids"], batch["labels"])
        seen += batch["next_sentence_label"].tolist()
        for ids, mask, label, f in zip(
            original, batch["attention_mask"], batch["next_sentence_label"], features, strict=True
        ):
            first, second = halves(ids[: mask.sum()].tolist())
            assert first == f["input_ids"][: len(first)] and len(first) in f["cuts"]
            rest = f["input_ids"][len(first) :]
            if label == 0:
                assert second == rest
            else:
                joined = " ".join(map(str, f["other"]))
                assert " ".join(map(str, second)) in joined and len(second) <= len(rest)
    assert np.mean(seen) == pytest.approx(0.5, abs=0.05)  # 1200 draws or more: 3 deviations


def test_parts_of_long_documents_hold_all_tokens_and_pairs_fit(processor: TextProcessor) -> None:
    made = task(max_length=12)
    rows = prepared(DOCUMENTS, made)
    features = made.features(rows, processor)
    for place, text in enumerate(DOCUMENTS):
        (whole,) = processor.encode([text], max_length=999)
        parts = [f["input_ids"] for f in features if f["row"] == place]
        assert sum(parts, []) == whole.ids[1:-1] and len(parts) > 1
    batch = made.collate(features, processor, np.random.default_rng(0))
    assert batch["input_ids"].shape[1] == 12


def test_an_evaluation_asks_the_same_of_an_example_in_any_batch(processor: TextProcessor) -> None:
    made = task()
    features = made.features(prepared(DOCUMENTS, made), processor)
    together = made.collate(features, processor)
    for i, one in enumerate(features):
        alone = made.collate([one], processor)
        for name, array in alone.items():
            row = together[name][i]
            np.testing.assert_array_equal(
                row[: array.shape[1]] if array.ndim > 1 else row, array[0]
            )
    np.testing.assert_array_equal(
        made.collate(features, processor, np.random.default_rng(3))["input_ids"],
        made.collate(features, processor, np.random.default_rng(3))["input_ids"],
    )
    assert own_generator(features[0]).random() == own_generator(features[0]).random()


class Model:
    """BERT with both heads and random weights."""

    inputs = ("input_ids", "attention_mask", "token_type_ids")

    def __init__(self) -> None:
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=64,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            initializer_range=0.5,
        )
        self.model = BertForPreTraining(config).eval()

    def outputs(self, batch: dict[str, np.ndarray]) -> Any:
        with torch.no_grad():
            return self.model(**{name: torch.from_numpy(a) for name, a in batch.items()})

    def run(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = self.outputs({name: batch[name] for name in self.inputs})
        names = ("prediction_logits", "seq_relationship_logits")
        return {name: found[name].numpy() for name in names}


def test_both_losses_are_those_that_the_model_computes(processor: TextProcessor) -> None:
    made, model = task(), Model()
    rows = prepared(DOCUMENTS, made)
    features = made.features(rows, processor)
    answers = predict(model, made, processor, rows, features, 2)  # type: ignore[arg-type]
    metrics = made.score(answers, rows, [], processor).metrics
    batch = made.collate(features, processor)
    outputs = model.outputs(batch)
    pairs = torch.nn.functional.cross_entropy(
        outputs.seq_relationship_logits, torch.from_numpy(batch["next_sentence_label"])
    )
    assert metrics["next_sentence_loss"] == pytest.approx(pairs.item(), abs=1e-5)
    assert metrics["loss"] == pytest.approx(outputs.loss.item(), abs=1e-5)
    assert metrics["loss"] == metrics["masked_loss"] + metrics["next_sentence_loss"]
    assert set(metrics) == {*made.directions, "accuracy"}
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    known = made.distillable(outputs, tensors)
    assert [tuple(one.values.shape[-1:]) for one in known] == [(64,), (2,)]
    counts = made.resample(answers, rows, [])
    assert float(made.headline_of(counts.sum(axis=0))) == metrics["accuracy"]
    decided = made.decisions(answers[0], rows[0], [])
    assert len(decided) == answers[0]["masked"] + len(answers[0]["pairs"])
    assert made.most_frequent(answers, rows, []) is not None


def test_a_pair_is_answered_by_the_probability_that_its_second_text_follows(
    processor: TextProcessor,
) -> None:
    made, model = task(), Model()
    rows = made.request(["the cat sat\ton the mat", ("a dog", "a film")])
    features = made.features(rows, processor)
    answers = predict(model, made, processor, rows, features, 2)  # type: ignore[arg-type]
    shown = [made.present(answer, row, []) for answer, row in zip(answers, rows, strict=True)]
    assert [set(one) for one in shown] == [{"text", "text_pair", "follows"}] * 2
    assert all(0 < one["follows"] < 1 for one in shown)


def test_a_split_of_one_document_is_refused() -> None:
    with pytest.raises(RowError, match="the test split has one document"):
        labels_of(task(), {"train": [{"text": "a"}] * 2, "test": [{"text": "a"}]}, None)
    with pytest.raises(RowError, match="text is empty"):
        prepared(["", "a"], task())


def test_a_family_without_a_head_for_pairs_is_refused() -> None:
    assert task().limit({"model_type": "bert", "max_position_embeddings": 24}) is None
    assert "24 tokens" in str(task().limit({"model_type": "bert", "max_position_embeddings": 8}))
    assert "a roberta model has no head for it: take one of bert, " in str(
        task().limit({"model_type": "roberta"})
    )
    assert FillMask(FillMaskOptions(max_length=24)).limit({"model_type": "roberta"}) is None


def test_every_family_that_is_named_has_a_class_with_both_heads() -> None:
    import inspect

    import transformers
    from compress_tasks.next_sentence import _CLASSES

    for family, name in _CLASSES.items():
        cls = getattr(transformers, name)
        assert cls.config_class.model_type == family
        assert "next_sentence_label" in inspect.signature(cls.forward).parameters


def test_a_tokenizer_without_a_mask_is_a_usage_error(processor: TextProcessor) -> None:
    without = TextProcessor(processor.tokenizer, {}, "bert")
    with pytest.raises(UsageError, match="has no mask token"):
        task().features(prepared(DOCUMENTS, task()), without)
