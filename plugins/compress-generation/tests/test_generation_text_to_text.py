"""Pairs of texts become batches, and models answer: with the tokens of transformers' own
``generate``, by the settings in the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_artifact, read
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import compress
from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import UsageError
from compress.generation import PROMPT, read_generation
from compress.registry.plugins import engine_for, load_plugins
from compress.task import IGNORED, RowError, Task

SOURCES = ["a man plays the guitar", "dog runs", "two women sit in the park on grass"]
CONFIGS: dict[str, dict[str, Any]] = {
    "t5": {"num_layers": 1, "num_heads": 2, "d_model": 16, "d_kv": 8, "d_ff": 16},
    "marian": {
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "d_model": 16,
        "max_position_embeddings": 32,
    },
}
ROWS = [
    {"source": "a man plays", "target": "ein mann spielt"},
    {"source": "the dog runs on grass in the park", "target": "ein hund"},
] * 8


def task_of(name: str = "translation", **options: Any) -> Task[Any]:
    cls = load_plugins().tasks[name].cls
    made: Task[Any] = cls(cls.Options(**{"max_length": 16, "target_length": 8, **options}))
    return made


@pytest.fixture(scope="module")
def models(
    make_model: Callable[..., Path], as_artifact: Callable[[Path, str], Artifact]
) -> dict[str, Artifact]:
    """A tiny model of each family."""
    return {
        family: as_artifact(make_model(family), "translation")
        for family in ("t5", "bart", "marian")
    }


def trained(artifact: Artifact, task: Task[Any], folder: Path) -> Artifact:
    """The model after a step, saved by a stage of the task."""
    splits = {"train": ROWS, "test": ROWS[:2]}
    options = {"epochs": 1, "batch_size": 16, "precision": "fp32"}
    return make_artifact(folder, "finetune", task, splits, input=artifact, **options)


def answered(artifact: Artifact, task: Task[Any]) -> list[list[int]]:
    """The tokens of the answers, of texts that are answered together."""
    session = engine_for(load_plugins(), "pytorch").open(artifact, Placement("cpu", 1), task)
    processor = task.processor(artifact.folder)
    features = task.features(task.request(SOURCES), processor)
    return [one["tokens"] for one in task.answer(session, features, processor)]


def stock_model(folder: Path) -> Any:
    """The model as transformers opens it."""
    return AutoModelForSeq2SeqLM.from_pretrained(folder)


def stock(folder: Path) -> list[list[int]]:
    """The tokens of transformers' own ``generate`` without any argument, of each text alone;
    without what an answer begins and ends with."""
    model = stock_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    special = {model.generation_config.eos_token_id, model.generation_config.forced_bos_token_id}
    answers = []
    for text in SOURCES:
        with torch.no_grad():
            (ids,) = model.generate(**tokenizer(text, return_tensors="pt")).tolist()
        answers.append([token for token in ids[1:] if token not in special])
    return answers


@pytest.mark.parametrize("family", ["t5", "bart", "marian"])
@pytest.mark.parametrize("search", [{}, {"beams": 3, "length_penalty": 0.4}])
def test_transformers_generates_what_was_measured(
    models: dict[str, Artifact], family: str, search: dict[str, Any], tmp_path: Path
) -> None:
    task = task_of(**search)
    made = trained(models[family], task, tmp_path / "step")
    answers = answered(made, task)
    assert stock(made.folder) == answers
    assert len({tuple(answer) for answer in answers}) > 1


def test_what_no_engine_here_knows_does_not_stay_in_the_settings(
    models: dict[str, Artifact], tmp_path: Path
) -> None:
    assert "forced_eos_token_id" in read_generation(models["bart"].folder)
    made = trained(models["bart"], task_of(), tmp_path / "step")
    assert read_generation(made.folder) == {
        "bos_token_id": 0,
        "decoder_start_token_id": 1,
        "do_sample": False,
        "eos_token_id": 1,
        "length_penalty": 1.0,
        "max_new_tokens": 8,
        "min_new_tokens": 0,
        "num_beams": 1,
        "pad_token_id": 0,
    }


def test_a_target_is_learnt_from_the_tokens_before(models: dict[str, Artifact]) -> None:
    task = task_of()
    processor = task.processor(models["bart"].folder)
    batch = task.collate(task.features(ROWS[:2], processor), processor)
    assert batch[PROMPT][:, 0].tolist() == [1, 1]
    np.testing.assert_array_equal(batch[PROMPT][0, 1:], batch["labels"][0, :-1])
    assert batch["labels"][0, -1] == 1
    assert batch["labels"][1].tolist()[-1] == IGNORED  # padding is not learnt
    assert set(task.prompts(task.features(ROWS[:2], processor), processor)) == {
        "input_ids",
        "attention_mask",
        PROMPT,
    }


def test_an_end_token_in_a_text_ends_no_target(models: dict[str, Artifact]) -> None:
    task = task_of()
    processor = task.processor(models["t5"].folder)
    (one,) = task.features([{"source": "a </s> man", "target": "ein </s> mann"}], processor)
    ids = processor.vocabulary()
    assert one["labels"] == [ids["ein"], 1, ids["mann"], 1]
    assert len(one["input_ids"]) == 4


def test_an_answer_takes_the_place_of_the_target(models: dict[str, Artifact]) -> None:
    task = task_of()
    for artifact in models.values():
        processor = task.processor(artifact.folder)
        row = {"id": "train-0", "source": "w1 w2", "target": "w3", "references": ["w4"]}
        answers = ("w2 w5", "")
        taught = [task.with_answer(row, {"answer": text, "tokens": []}) for text in answers]
        labels = [one["labels"] for one in task.features(taught, processor)]
        assert labels == processor.targets(list(answers), 128) and len(labels[1]) == 1
        assert [one["source"] for one in taught] == ["w1 w2"] * 2


def test_what_is_longer_is_cut_and_keeps_its_end(models: dict[str, Artifact]) -> None:
    for family, model in models.items():
        task = task_of(max_length=4, target_length=3)
        processor = task.processor(model.folder)
        row = {"source": "a man plays the guitar in the park", "target": "ein mann spielt hund ein"}
        (one,) = task.features([row], processor)
        assert (len(one["input_ids"]), len(one["labels"])) == (4, 3), family
        assert one["input_ids"][-1] == one["labels"][-1] == processor.token_id("eos")


def test_a_prefix_stands_before_each_source(models: dict[str, Artifact]) -> None:
    task = task_of(prefix="in the ")
    processor = task.processor(models["t5"].folder)
    (one,) = task.features(task.request(["park"]), processor)
    assert one["input_ids"] == processor.ids("in the park")


def test_the_tokens_of_two_languages_are_put_where_the_model_reads_them(
    make_model: Callable[..., Path], as_artifact: Callable[[Path, str], Artifact], tmp_path: Path
) -> None:
    codes = ("en_XX", "de_DE")
    model = as_artifact(make_model("mbart", codes), "translation")
    task = task_of(source_language="en_XX", target_language="de_DE")
    processor = task.processor(model.folder)
    ids = processor.vocabulary()
    batch = task.collate(task.features([ROWS[0]], processor), processor)
    target = [ids[word] for word in ROWS[0]["target"].split()]
    assert batch["input_ids"][0, 0] == ids["en_XX"]
    assert batch[PROMPT][0].tolist() == [1, ids["de_DE"], *target]
    assert batch["labels"][0].tolist() == [IGNORED, *target, 1]
    made = trained(model, task, tmp_path / "step")
    assert read_generation(made.folder)["forced_bos_token_id"] == ids["de_DE"]
    assert stock(made.folder) == answered(made, task)


def test_languages_that_do_not_fit_are_refused(
    make_model: Callable[..., Path], models: dict[str, Artifact]
) -> None:
    folder = make_model("mbart", ("en_XX", "de_DE"))
    with pytest.raises(UsageError, match="no token for the language 'de_DD': did you mean 'de_DE'"):
        task_of(target_language="de_DD").processor(folder)
    with pytest.raises(UsageError, match="leave source_language and target_language out"):
        task_of(target_language="de_DE").processor(models["t5"].folder)
    with pytest.raises(UsageError, match="set prefix"):
        task_of(target_language="de_DE").processor(models["marian"].folder)
    task = task_of()
    assert "set source_language" in str(task.processor_mistake(task.processor(folder)))


def test_a_tokenizer_without_an_end_token_is_refused(make_model: Callable[..., Path]) -> None:
    task, folder = task_of(), make_model("t5")
    processor = task.processor(folder)
    assert task.processor_mistake(processor) is None
    processor.end = None
    assert "no end token" in str(task.processor_mistake(processor))


def test_rows_may_have_sentences_and_several_right_answers() -> None:
    task = task_of("summarization")
    (row,) = read([{"source": ["One. ", "Two."], "target": ["Sum.", "", " Other."]}], task, [])
    assert row == {
        "source": "One. Two.",
        "target": "Sum.",
        "references": ["Other."],
        "id": "train-0",
    }


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"source": " ", "target": "x"}, "source is empty"),
        ({"source": "x", "target": None}, "target is empty"),
        ({"source": "x", "target": []}, "target is empty"),
        ({"source": "x", "target": 3}, "target is 3, and not a text or a list of texts"),
    ],
)
def test_a_row_without_texts_is_refused(row: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RowError, match=complaint):
        read([row], task_of(), [])


def test_more_tokens_than_positions_are_refused() -> None:
    config = {"max_position_embeddings": 12, "model_type": "bart"}
    assert "target, and the model has 12 positions" in str(task_of(target_length=13).limit(config))
    assert "12 positions" in str(task_of(max_length=13).limit(config))
    fitted = task_of(target_length=99, max_length=99).options.fitted(config)
    assert (fitted.max_length, fitted.target_length) == (12, 12)


def test_texts_are_answered_in_pieces(models: dict[str, Artifact], tmp_path: Path) -> None:
    for family in ("t5", "marian"):
        made = trained(models[family], task_of(), tmp_path / family)
        predictor, pieces = compress.load(made.folder), []
        answers = predictor(SOURCES[0], max_new_tokens=6, on_text=pieces.append)
        assert "".join(pieces).strip() == answers[0]["answer"]
        assert predictor(SOURCES, 3, max_new_tokens=6)[:1] == answers


@pytest.mark.parametrize("family", ["t5", "marian"])
def test_a_fresh_model_gets_a_tokenizer_of_both_languages(family: str, tmp_path: Path) -> None:
    task = task_of(max_length=32, target_length=12)
    splits = {"train": ROWS, "test": ROWS[:2]}
    options = {"epochs": 1, "vocabulary": 300, "precision": "fp32"}
    fresh = {"type": family, **CONFIGS[family]}
    made = make_artifact(tmp_path / "step", "finetune", task, splits, fresh=fresh, **options)
    processor = task.processor(made.folder)
    tokenizer, model = AutoTokenizer.from_pretrained(made.folder), stock_model(made.folder)
    for row in ROWS[:2]:
        for text in (row["source"], row["target"]):
            assert processor.ids(text) == tokenizer(text)["input_ids"]
            assert processor.decode(processor.ids(text)).strip() == text
    assert model.config.vocab_size == len(processor.vocabulary()) <= 300
    assert model.config.decoder_start_token_id == processor.begin[0] == processor.pad_id
    assert stock(made.folder) == answered(made, task)
