"""The recipe ``language-model``: it plans as it is shipped, and a small one runs to its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command

SMALL = [
    "model={type: gpt2, n_layer: 2, n_head: 2, n_embd: 32, n_positions: 64}",
    "task={text-generation: {max_length: 32}}",
    "data.rows=60",
    "benchmark={effort: quick}",
    "stages.teacher.epochs=1",
    "stages.teacher.vocabulary=400",
    "stages.distill.student.layers=1",
    "stages.distill.epochs=1",
]


def test_the_recipe_plans_as_it_is_shipped(command: Command) -> None:
    answer = command("plan", "language-model")
    assert answer.code == 0, answer.err
    assert "text-generation" in answer.out and "quantize.onnx" in answer.out


@pytest.mark.slow
def test_a_small_language_model_goes_from_nothing_to_int8(command: Command, tmp_path: Path) -> None:
    answer = command("run", "language-model", *[f"--set={each}" for each in SMALL])
    assert answer.code == 0, answer.err
    (file,) = tmp_path.glob("runs/*/report.json")
    report = json.loads(file.read_text(encoding="utf-8"))
    assert [step["name"] for step in report["steps"]][-3:] == [
        "teacher",
        "distill",
        "quantize.onnx",
    ]
    for step in report["steps"][-3:]:
        measured = step["measurements"]
        assert measured["quality"]["title"] == "perplexity"
        assert 1 < measured["quality"]["low"] < measured["quality"]["high"]
        assert 0 < measured["bits_per_byte"]["value"] < 8.1
