"""The recipe ``ner-conll2003-small``: it plans as its head says it."""

from __future__ import annotations

import json
from pathlib import Path

from kept_families import kept_families
from tiny import save_bert, task_named

from compress.planning import load_plan
from compress.registry.plugins import load_plugins


def test_every_step_of_the_small_entity_recognizer_is_planned(tmp_path: Path) -> None:
    row = {"tokens": ["good", "bad"], "tags": ["O", "B-PER"]}
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([json.dumps(row)] * 9), encoding="utf-8")
    given = save_bert(
        tmp_path / "model", task_named("token-classification"), (), num_hidden_layers=6
    )
    (given.folder / "compress.json").unlink()
    overrides = [f"model={given.folder}", f"data={{train: {file}, test: {file}}}"]
    plan = load_plan("ner-conll2003-small", overrides, load_plugins(), kept_families())
    assert [step.entry.name for step in plan.steps] == [
        "finetune",
        "distill",
        "prune.vocabulary",
        "prune.embeddings",
        "prune.structured",
        "quantize.onnx",
    ]
    recover = plan.steps[4].options.recover
    assert recover.distill is True and recover.teacher == "prune.vocabulary"
