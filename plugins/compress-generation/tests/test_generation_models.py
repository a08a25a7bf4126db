"""A language model from nothing to ONNX: pretrained with a tokenizer of its own, opened by stock
transformers, continued in both engines."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
from tiny import make_artifact, taken_in, task_named
from transformers import AutoModelForCausalLM, AutoTokenizer

import compress
from compress.artifact import Artifact
from compress.predict import predict
from compress.registry.plugins import load_plugins
from compress.sessions import TorchSession
from compress.task import Task

SOURCE = Path(__file__).read_text(encoding="utf-8")
ROWS = {
    "train": [{"text": part} for part in SOURCE.split("\n\n") if part.strip()],
    "test": [{"text": "def weights(artifact: Artifact) -> dict[str, torch.Tensor]:\n    pass"}],
}
FRESH = {"type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64}
OPTIONS = {"vocabulary": 320, "batch_size": 8, "learning_rate": 5e-3, "precision": "fp32"}


@pytest.fixture(scope="module")
def task() -> Task[Any]:
    return task_named("text-generation", max_length=32)


@pytest.fixture(scope="module")
def pretrained(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    place = tmp_path_factory.mktemp("pretrained") / "step"
    return make_artifact(place, "pretrain", task, ROWS, fresh=FRESH, epochs=4, **OPTIONS)


def perplexity(artifact: Artifact, task: Task[Any]) -> float:
    session = TorchSession(AutoModelForCausalLM.from_pretrained(artifact.folder).eval(), "cpu")
    processor, rows = task.processor(artifact.folder), [{"text": [ROWS["test"][0]["text"]]}]
    answers = predict(session, task, processor, rows, task.features(rows, processor), 4)
    return task.score(answers, rows, [], processor).metrics["perplexity"]


def test_a_fresh_model_learns_from_texts_with_a_tokenizer_that_gives_them_back(
    pretrained: Artifact, task: Task[Any]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(pretrained.folder)
    for text in ("  if x:\n\treturn żółw  ", "e\u0301", " a", "a"):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert ids == task.processor(pretrained.folder).tokenizer.encode(text).ids
    config = AutoModelForCausalLM.from_pretrained(pretrained.folder).config
    assert config.eos_token_id == tokenizer.eos_token_id == 0
    assert config.vocab_size == len(tokenizer) == 320
    assert perplexity(pretrained, task) < 320 / 2


def test_a_student_and_a_pruned_model_are_language_models_too(
    pretrained: Artifact, task: Task[Any], tmp_path: Path
) -> None:
    options = {"epochs": 1, "batch_size": 8, "precision": "fp32"}
    student = make_artifact(
        tmp_path / "student",
        "distill",
        task,
        ROWS,
        input=pretrained,
        student={"layers": 1},
        **options,
    )
    assert math.isfinite(perplexity(student, task))
    (answer,) = compress.load(student.folder)("def ", max_new_tokens=4)
    assert answer.keys() == {"text", "generated"}


def test_stock_generate_writes_what_compress_writes(pretrained: Artifact) -> None:
    tokenizer = AutoTokenizer.from_pretrained(pretrained.folder)
    model = AutoModelForCausalLM.from_pretrained(pretrained.folder).eval()
    asked = tokenizer("def test_", return_tensors="pt")
    ids = model.generate(**asked, max_new_tokens=6, do_sample=False)[
        0, asked["input_ids"].shape[1] :
    ]
    (answer,) = compress.load(pretrained.folder)("def test_", max_new_tokens=6)
    assert answer["generated"] == tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.slow
def test_onnx_runtime_gives_the_same_perplexity_and_the_same_continuation(
    pretrained: Artifact, task: Task[Any], tmp_path: Path
) -> None:
    made = make_artifact(tmp_path / "float", "export.onnx", task, ROWS, input=pretrained)
    small = make_artifact(tmp_path / "int8", "quantize.onnx", task, ROWS, input=made)
    texts = ["def test_", "import ", "from compress."]
    want, got = compress.load(pretrained.folder), compress.load(made.folder)
    assert got(texts, 3, max_new_tokens=8) == want(texts, max_new_tokens=8)
    scores = []
    for predictor in (want, got, compress.load(small.folder)):
        rows = [{"text": [row["text"] for row in ROWS["train"]]}]
        features = task.features(rows, predictor.processor)
        answers = predict(predictor.session, task, predictor.processor, rows, features, 1)
        scores.append(task.score(answers, rows, [], predictor.processor).metrics["perplexity"])
    assert scores[1] == pytest.approx(scores[0], rel=1e-4)
    assert scores[2] == pytest.approx(scores[0], rel=0.05)


@pytest.mark.slow
@pytest.mark.shared_data
def test_a_real_decoder_tells_the_same_story_in_both_engines(tmp_path: Path) -> None:
    shared = Path(os.environ.get("COMPRESS_TEST_DATA", "")) / "models" / "stories260K"
    if not shared.is_dir():
        pytest.skip("COMPRESS_TEST_DATA names no folder with models/stories260K")
    model = taken_in(shared, tmp_path / "model", load_plugins())
    stories = task_named("text-generation", max_length=64)
    made = make_artifact(tmp_path / "float", "export.onnx", stories, ROWS, input=model)
    want, got = compress.load(model.folder), compress.load(made.folder)
    beginnings = ["Once upon a time", "Lily saw a cat"]
    for asked in ({}, {"beams": 4}, {"temperature": 0.8, "top_p": 0.9, "seed": 3}):
        answers = want(beginnings, max_new_tokens=60, **asked)
        assert got(beginnings, max_new_tokens=60, **asked) == answers
        assert got(beginnings, 2, max_new_tokens=60, **asked) == answers
        assert "Lily" in answers[0]["generated"]
