"""A plugin's stage that trains: what it trains, and what it leaves as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from installing import install
from safetensors.torch import load_file
from tiny import make_artifact, save_bert, sentences, task_named

from compress.registry.plugins import load_plugins


def test_biases_and_the_new_head_are_trained_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "compress-bitfit")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    stage = load_plugins().stages["finetune.bitfit"].cls
    assert stage.shares_work(stage.Options())
    (tmp_path / "model").mkdir()
    before = save_bert(tmp_path / "model", task_named("fill-mask"), ())
    said: list[str] = []
    after = make_artifact(
        tmp_path / "trained",
        "finetune.bitfit",
        task_named("text-classification"),
        {"train": sentences(12, 1), "validation": sentences(6, 2)},
        input=before,
        said=said,
        epochs=1,
        batch_size=4,
        learning_rate=1e-2,
        precision="fp32",
    )
    old, new = (load_file(one.folder / "model.safetensors") for one in (before, after))
    common = {name for name in new if name in old}
    changed = {name for name in common if not torch.equal(old[name], new[name])}
    assert changed and all(name.endswith(".bias") for name in changed)
    assert "classifier.weight" in after.manifest.notes["drawn"] and "classifier.weight" in said[0]
    assert after.manifest.labels == ("bad", "good")
