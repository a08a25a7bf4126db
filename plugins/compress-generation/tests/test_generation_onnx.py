"""Models that answer a text by a text, in ONNX Runtime: the same tokens, greedily and by a search,
and the tokenizer travels with the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import make_artifact

import compress
from compress.artifact import Artifact
from compress.generation import read_generation
from compress.registry.plugins import load_plugins

ROWS = [{"source": "a man plays the guitar", "target": "ein mann spielt"}] * 2
SOURCES = ["a man plays the guitar", "dog runs", "two women sit in the park on grass"]


@pytest.mark.slow
def test_a_marian_answers_alike_in_onnx_runtime(
    make_model: Callable[..., Path], as_artifact: Callable[[Path, str], Artifact], tmp_path: Path
) -> None:
    cls = load_plugins().tasks["translation"].cls
    task = cls(cls.Options(max_length=16, target_length=8, beams=2))
    model = as_artifact(make_model("marian"), "translation")
    splits = {"train": ROWS, "test": ROWS}
    made = make_artifact(tmp_path / "float", "export.onnx", task, splits, input=model)
    assert {"source.spm", "target.spm", "vocab.json"} <= set(made.manifest.files)
    assert read_generation(made.folder)["num_beams"] == 2
    want, got = compress.load(model.folder), compress.load(made.folder)
    for asked in ({}, {"beams": 3}, {"beams": 3, "length_penalty": 0.2}):
        assert got(SOURCES, max_new_tokens=8, **asked) == want(SOURCES, max_new_tokens=8, **asked)
