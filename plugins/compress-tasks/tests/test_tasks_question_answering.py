from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from byrow import labels_of, normalised
from compress_tasks import QuestionAnswering
from compress_tasks.bundled.questions import text_span
from compress_tasks.question_options import QuestionAnsweringOptions
from pointing import Pointing
from pydantic import ValidationError
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForQuestionAnswering

from compress.errors import UsageError
from compress.predict import predict
from compress.processor import TextProcessor
from compress.task import RowError

Row = dict[str, Any]


def task(**options: Any) -> QuestionAnswering:
    """The task with small windows."""
    small = {"max_length": 16, "stride": 4, "question_length": 4, "answer_length": 5}
    return QuestionAnswering(QuestionAnsweringOptions(**{**small, **options}))


def row(context: str, answer: str, question: str = "who sat ?") -> Row:
    """A row as SQuAD has it."""
    answers = {"text": [answer], "answer_start": [context.find(answer)]}
    return {"question": question, "context": context, "answers": answers}


def answered(rows: list[Row], processor: TextProcessor, **options: Any) -> list[Row]:
    """The answers of ``Pointing``."""
    made = task(**options)
    read = [normalised(made, one, []) for one in rows]
    features = made.features(read, processor)
    return predict(Pointing(), made, processor, read, features, 2)  # type: ignore[arg-type]


def byte_level() -> TextProcessor:
    """A tokenizer whose tokens are bytes: a letter may be several of them."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    vocabulary = {token: i for i, token in enumerate([*special.values(), *symbols])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    tokenizer.add_special_tokens(list(special.values()))
    return TextProcessor(tokenizer, dict(special), "bert")


LONG = "the dog was in berlin . " * 6 + "the cat sat on the mat and went to paris ."


def test_rows_of_both_shapes_are_read_alike_and_white_space_is_no_part_of_an_answer() -> None:
    context = "john likes the film"
    columns = {"text": [" likes the"], "answer_start": [4]}
    items = [{"text": " likes the", "answer_start": 4}]
    for answers in (columns, items):
        read = normalised(task(), {"question": "q", "context": context, "answers": answers}, [])
        assert (read["answers"], read["starts"]) == (["likes the"], [5])
    assert labels_of(task(), {"train": [read]}, None) == []


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            {"text": ["film"], "answer_start": [3]},
            "'film' does not stand at character 3: it begins at 15",
        ),
        ({"text": ["filme"], "answer_start": [15]}, "'filme' .* the context does not hold it"),
        ({"text": ["the"], "answer_start": [-8]}, "'the' does not stand at character -8"),
        ({"text": ["film"], "answer_start": ["15"]}, "answer_start is '15', which is not a whole"),
        ({"text": ["film"], "answer_start": []}, "answers has 1 texts and 0 starts"),
        ({"text": "film", "answer_start": 15}, "which is neither {text: "),
        ("film", "answers is 'film', which is neither {text: "),
        ([{"text": " ", "answer_start": 4}], "an answer is empty"),
        (None, "answers is missing"),
        ([], "the question has no answer; to learn that, set no_answer"),
    ],
)
def test_answers_that_cannot_be_used_are_refused_in_one_line(answers: Any, message: str) -> None:
    with pytest.raises(RowError, match=message):
        normalised(
            task(), {"question": "q", "context": "john likes the film", "answers": answers}, []
        )


def test_windows_without_room_are_a_mistake_of_the_options() -> None:
    with pytest.raises(ValidationError, match="max_length 16 leaves no room for a context beside"):
        task(question_length=9)


def test_an_answer_beyond_the_first_window_is_learnt_and_found_there(
    processor: TextProcessor,
) -> None:
    made = task()
    (read,) = [normalised(made, row(LONG, "went to paris"), [])]
    features = made.features([read], processor)
    assert len(features) > 2 and {f["row"] for f in features} == {0}
    assert all(len(f["input_ids"]) <= 16 for f in features)
    held = [i for i, f in enumerate(features) if f["start_positions"]]
    assert held and held[0] > 0
    for number in held:
        f = features[number]
        tokens = [processor.tokenizer.id_to_token(i) for i in f["input_ids"]]
        assert tokens[f["start_positions"] : f["end_positions"] + 1] == ["went", "to", "paris"]
    for f in (f for i, f in enumerate(features) if i not in held):
        assert (f["start_positions"], f["end_positions"]) == (0, 0) and f["input_ids"][0] == 2
    (answer,) = answered([row(LONG, "went to paris")], processor)
    assert answer["answer"] == "went to paris"
    assert LONG[answer["start"] : answer["end"]] == "went to paris"


def test_windows_cover_the_context_and_share_the_stride(processor: TextProcessor) -> None:
    features = task().features([{"question": "who ?", "context": LONG}], processor)
    spans = [{tuple(span) for span in f["spans"].tolist()} for f in features]
    assert len(set().union(*spans)) == len(LONG.split())
    assert all(len(one & other) == 4 for one, other in zip(spans[:-2], spans[1:-1], strict=True))


def test_a_part_of_an_answer_is_no_answer(processor: TextProcessor) -> None:
    """An answer of seven tokens, and windows that share four."""
    words = "the cat sat on the mat and went to paris . the dog was in berlin ."
    made = task(max_length=14)
    (read,) = [normalised(made, row(words, "mat and went to paris . the"), [])]
    features = made.features([read], processor)
    for f in features:
        spans = f["spans"]
        holds = bool((spans[:, 0] == words.find("mat")).any()) and bool(
            (spans[:, 0] == words.find("the dog")).any()
        )
        assert bool(f["start_positions"]) == holds
    assert [bool(f["start_positions"]) for f in features].count(True) <= 1 < len(features)


def test_a_long_question_is_cut_and_leaves_the_context_its_room(processor: TextProcessor) -> None:
    (features, *_) = task().features(
        [{"question": "very good film " * 20, "context": "the cat sat"}], processor
    )
    tokens = [processor.tokenizer.id_to_token(i) for i in features["input_ids"]]
    assert tokens == [
        "[CLS]",
        "very",
        "good",
        "film",
        "very",
        "[SEP]",
        "the",
        "cat",
        "sat",
        "[SEP]",
    ]


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("\U0001f600 \U0001f600 likes \U00020000\U00020001 now", "\U00020000\U00020001"),
        ("a cafe\u0301 in a re\u0301gion", "cafe\u0301"),
        ("a cafe\u0301 in a re\u0301gion", "re\u0301gion"),
        ("\u0928\u092e\u0938\u094d\u0924\u0947 x", "\u0928\u092e\u0938\u094d\u0924\u0947"),
        ("x \U0001f469\u200d\U0001f467 y", "\U0001f469\u200d\U0001f467"),
        ("na\u00efve  Stra\u00dfe", "Stra\u00dfe"),
    ],
)
def test_offsets_are_characters_of_the_text_whatever_the_tokenizer_does(
    context: str, answer: str
) -> None:
    wide = {"max_length": 120, "question_length": 10, "answer_length": 40}
    (found,) = answered([row(context, answer, "q")], byte_level(), **wide)
    assert found["answer"] == answer and context[found["start"] : found["end"]] == answer
    stripped = byte_level()
    stripped.tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    (found,) = answered([row(context, answer, "q")], stripped, **wide)
    assert found["answer"] == answer


def test_an_answer_has_no_white_space_around_it_and_all_its_marks() -> None:
    assert text_span("a  cafe\u0301 b", 1, 7) == (3, 8)
    assert text_span("ab", 1, 1) == (1, 1)


def test_the_best_span_is_that_of_all_pairs_in_order_and_not_too_long() -> None:
    """Held against trying every pair."""
    draws = np.random.default_rng(0)
    made = task(answer_length=3)
    for _ in range(20):
        first, last = draws.normal(size=(2, 12)).astype(np.float32)
        spans = np.stack([np.arange(7), np.arange(1, 8)], axis=1).astype(np.int32)
        features = {"context": 4, "spans": spans, "null": 0}
        (part,) = made.predictions(
            {"start_logits": first[None], "end_logits": last[None]}, [features]
        )
        tried = {
            (i, j): float(first[4 + i]) + float(last[4 + j])
            for i in range(7)
            for j in range(i, min(7, i + 3))
        }
        (i, j), score = max(tried.items(), key=lambda item: item[1])
        assert (part["start"], part["end"]) == (i, j + 1)
        assert part["score"] == pytest.approx(score, abs=1e-6)
        assert part["null"] == pytest.approx(float(first[0]) + float(last[0]))
        assert part["mass"] == pytest.approx(math.log(sum(map(math.exp, tried.values()))))


def part(start: int, score: float, null: float, mass: float | None = None) -> Row:
    mass = score if mass is None else mass
    return {"start": start, "end": start + 3, "score": score, "mass": mass, "null": null}


def test_the_best_window_answers_and_its_probability_counts_all_windows() -> None:
    asked = {"context": "one two six"}
    joined = task().join([part(0, 1.0, 5.0), part(4, 2.0, 5.0)], asked)
    assert (joined["answer"], joined["start"], joined["end"]) == ("two", 4, 7)
    assert joined["confidence"] == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-5)
    assert "margin" not in joined


@pytest.mark.parametrize(("threshold", "answer"), [(0.0, ""), (1.0, ""), (1.5, "two"), (-9.0, "")])
def test_no_answer_is_given_where_its_lowest_score_is_higher_by_more_than_the_threshold(
    threshold: float, answer: str
) -> None:
    """The lowest score of no answer is 3.2, that of the best span 2."""
    joined = task(no_answer=threshold).join(
        [part(0, 1.0, 3.2), part(4, 2.0, 8.0)], {"context": "one two six"}
    )
    assert joined["answer"] == answer and joined["margin"] == pytest.approx(1.2)
    assert (joined["start"] is None) == (answer == "")
    own = 3.2 if answer == "" else 2.0
    total = math.exp(1.0) + math.exp(2.0) + math.exp(3.2)
    assert joined["confidence"] == pytest.approx(math.exp(own) / total, abs=1e-5)


def test_a_context_of_no_token_gets_no_answer(processor: TextProcessor) -> None:
    made = task()
    rows = made.request([("who ?", "\u200b\u200b")])
    processor.tokenizer.normalizer = normalizers.Replace("\u200b", "")
    features = made.features(rows, processor)
    logits = np.zeros((1, 16), np.float32)
    parts = made.predictions({"start_logits": logits, "end_logits": logits}, features)
    assert made.present(made.join(parts, rows[0]), rows[0], [])["answer"] == ""


def test_a_batch_has_the_positions_that_a_model_learns_from(processor: TextProcessor) -> None:
    made = task()
    rows = [
        normalised(made, row(LONG, "went to paris"), []),
        normalised(made, row("the cat", "cat"), []),
    ]
    features = made.features(rows, processor)
    batch = made.collate(features, processor)
    assert set(batch) == {
        "input_ids",
        "attention_mask",
        "token_type_ids",
        "start_positions",
        "end_positions",
    }
    import torch

    torch.manual_seed(0)
    model = BertForQuestionAnswering(
        BertConfig(
            vocab_size=60,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
        )
    )
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    outputs = model(**tensors)
    assert made.loss(outputs, tensors) is outputs.loss and outputs.loss.isfinite()
    known = made.distillable(outputs, tensors)
    assert [one.masks_choices for one in known] == [True, True]
    assert made.counted(tensors) == len(features)
    asked = made.collate(made.features(made.request(["who ?\tthe cat"]), processor), processor)
    assert "start_positions" not in asked


def test_a_request_is_a_question_and_its_context() -> None:
    assert (
        task().request([("q", "c"), "q\tc", {"question": "q", "context": "c"}])
        == [{"question": "q", "context": "c"}] * 3
    )
    with pytest.raises(UsageError, match="it has 1 text, and the task takes 2 texts"):
        task().request(["alone"])
    shown = task().present(
        {"answer": "c", "start": 0, "end": 1, "confidence": 0.5}, {"question": "q"}, []
    )
    assert shown == {"question": "q", "answer": "c", "start": 0, "end": 1, "score": 0.5}


def test_options_fit_a_model_of_few_positions() -> None:
    config = {"model_type": "bert", "max_position_embeddings": 40}
    fitted = QuestionAnsweringOptions().fitted(config)
    assert (fitted.max_length, fitted.stride, fitted.question_length) == (40, 10, 10)
    assert QuestionAnsweringOptions().limit(config) is not None and fitted.limit(config) is None
