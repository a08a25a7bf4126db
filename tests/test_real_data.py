"""The shipped recipes on real data with a real encoder, cut down to minutes. Opt in:
COMPRESS_TEST_DATA names a folder with ``data/conll2003``, ``data/banking77`` and
``models/all-MiniLM-L6-v2``."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from kept_families import kept_families
from pointing import Pointing
from running import Run
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from compress.planning import load_plan
from compress.predict import predict
from compress.processor import TextProcessor
from compress.registry.plugins import load_plugins
from compress.running.runner import run_plan
from compress.store.prepared import Prepared, prepare
from compress.store.store import Store

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
pytestmark = pytest.mark.shared_data
TAGS = {"O", *(f"{start}-{kind}" for start in "BI" for kind in ("LOC", "MISC", "ORG", "PER"))}


def shared(name: str) -> Path:
    """A folder of COMPRESS_TEST_DATA; skips where there is none."""
    root = os.environ.get("COMPRESS_TEST_DATA")
    if not root:
        pytest.skip("COMPRESS_TEST_DATA names no folder with data/ and models/")
    folder = Path(root) / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


def tiny_run(place: Path, recipe: str, *overrides: str) -> Run:
    """The shipped recipe with the real encoder and these overrides, every training shortened, and
    quality alone measured: timings would take most of the time."""
    short = [
        "stages.teacher.epochs=4",
        "stages.teacher.learning_rate=1e-3",
        "stages.distill.epochs=4",
        "stages.distill.learning_rate=1e-3",
        "stages.prune.structured.recover.epochs=2",
    ]
    words = [f"model={shared('models/all-MiniLM-L6-v2')}", *short, *overrides]
    registry = load_plugins()
    made = load_plan(recipe, words, registry, kept_families())
    report = run_plan(
        made,
        replace(registry, meters={"quality": registry.meters["quality"]}),
        store=Store(place / "store"),
        runs=place / "runs",
        listener=lambda event: None,
    )
    return Run(place, Path(report.folder), "")


def labels_of(found: Run, step: str) -> list[str]:
    """What the model's config calls its classes."""
    config = json.loads((found.artifact(step) / "config.json").read_text(encoding="utf-8"))
    return list(config["id2label"].values())


def quality(found: Run, step: str) -> float:
    """The step's score as the run measured it on the saved model."""
    return float(found.step(step)["measurements"]["quality"]["value"])


# questions


def test_every_question_of_squad_is_answered_through_windows(tmp_path: Path) -> None:
    """By a session that knows the places of the answers: what is lost is lost by windows, offsets
    and scores. One of the answers ends inside of a word piece."""
    registry = load_plugins()
    kinds = registry.sources["json"].cls, registry.tasks["question-answering"].cls
    file = shared("data/squad") / "xquad.en.json"
    options = {"train": str(file), "splits": {"train": "data.paragraphs.qas"}}
    source = kinds[0](kinds[0].Options(**options))
    task = kinds[1](
        kinds[1].Options.model_validate({"max_length": 96, "stride": 32, "question_length": 40})
    )
    prepare(source, task, tmp_path)
    rows = Prepared(tmp_path, "digest").rows("train")
    processor = TextProcessor.load(shared("models/all-MiniLM-L6-v2"))
    features = task.features(rows, processor)
    assert len(rows) == 1190 and len(features) > 3 * len(rows)
    answers = predict(Pointing(), task, processor, rows, features, 32)
    metrics = task.score(answers, rows, (), processor).metrics
    assert metrics["exact_match"] == 1189 / 1190 and metrics["f1"] > 0.999


# named entities


def first_sentences(source: Path, count: int, target: Path) -> None:
    """A file in columns with the first sentences of another."""
    lines = source.read_text(encoding="utf-8").splitlines()
    sentences = [
        list(some) for empty, some in groupby(lines, lambda line: not line.strip()) if not empty
    ]
    target.write_text(
        "\n\n".join("\n".join(some) for some in sentences[:count]) + "\n", encoding="utf-8"
    )


def bare_f1(folder: Path, test: Path) -> float:
    """Strict F1 by seqeval, of the answers of transformers or ONNX Runtime alone."""
    answer = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bare.py"), str(folder), "--test", str(test)],
        input=json.dumps({"do": "score"}) + "\n",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return float(json.loads(answer.stdout)["f1"])


def test_the_recipe_for_named_entities_makes_models_that_answer_alike_without_the_toolkit(
    tmp_path: Path,
) -> None:
    columns = shared("data/conll2003")
    for name, count in (("eng.train", 500), ("eng.testa", 60), ("eng.testb", 150)):
        first_sentences(columns / name, count, tmp_path / name)
    found = tiny_run(
        tmp_path,
        "ner-conll2003",
        f"data={{source: conll, train: {tmp_path}/eng.train, validation: {tmp_path}/eng.testa, "
        f"test: {tmp_path}/eng.testb}}",
    )
    steps = ["teacher", "distill", "prune.structured", "quantize.onnx", "quantize.bitsandbytes"]
    assert [s["name"] for s in found.report["steps"] if s["role"] in ("reference", "step")] == steps
    assert quality(found, "teacher") > 0.3, "nothing was learned that could be lost"
    for step in steps:
        assert set(labels_of(found, step)) == TAGS
        assert bare_f1(found.artifact(step), tmp_path / "eng.testb") == pytest.approx(
            quality(found, step), abs=1e-9
        ), step


# intents


def some_of_each(source: Path, count: int, target: Path) -> list[dict[str, str]]:
    """The first rows of each category, written as a csv file."""
    with source.open(encoding="utf-8", newline="") as stream:
        rows = sorted(csv.DictReader(stream), key=lambda row: row["category"])
    chosen = [
        row for _, some in groupby(rows, lambda row: row["category"]) for row in list(some)[:count]
    ]
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["text", "category"])
        writer.writeheader()
        writer.writerows(chosen)
    return chosen


def logits_of(folder: Path, texts: list[str]) -> np.ndarray[Any, Any]:
    """Logits [texts, labels] by transformers, or ONNX Runtime, one text at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.backend_tokenizer.no_padding()
    batches = [
        tokenizer(text, truncation=True, max_length=96, return_tensors="pt") for text in texts
    ]
    files = sorted((folder / "onnx").glob("*.onnx"))
    if files:
        session = onnxruntime.InferenceSession(str(files[0]), providers=["CPUExecutionProvider"])
        names = [put.name for put in session.get_inputs()]
        return np.concatenate(
            [session.run(["logits"], {n: batch[n].numpy() for n in names})[0] for batch in batches]
        )
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32
    ).eval()
    with torch.inference_mode():
        return np.concatenate([model(**batch).logits.numpy() for batch in batches])


def test_the_recipe_for_intents_makes_models_that_answer_alike_without_the_toolkit(
    tmp_path: Path,
) -> None:
    folder = shared("data/banking77")
    some_of_each(folder / "train.csv", 12, tmp_path / "train.csv")
    rows = some_of_each(folder / "test.csv", 2, tmp_path / "test.csv")
    found = tiny_run(
        tmp_path,
        "intent-banking77",
        f"data={{train: {tmp_path}/train.csv, validation: 0.1, test: {tmp_path}/test.csv, "
        "columns: {label: category}}",
    )
    steps = ["teacher", "distill", "prune.structured", "quantize.onnx"]
    assert [s["name"] for s in found.report["steps"] if s["role"] in ("reference", "step")] == steps
    categories = sorted({row["category"] for row in rows})
    assert len(categories) == 77 and quality(found, "teacher") > 0.3
    for step in steps:
        assert labels_of(found, step) == categories
        best = logits_of(found.artifact(step), [row["text"] for row in rows]).argmax(-1)
        right = float(
            np.mean([categories[i] == row["category"] for i, row in zip(best, rows, strict=True)])
        )
        # Int8 activations have one scale for a batch, so that an answer may turn with what stands
        # beside it.
        assert right == pytest.approx(
            quality(found, step), abs=0.03 if step == "quantize.onnx" else 1e-9
        ), step
