"""Files from outside: which of them are fetched, taken and opened, and that they stay as they were
while they are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny import save_bert, taken_in, task_named

from compress.adapting import adapt_model
from compress.artifact import Artifact, Manifest, with_files
from compress.errors import CompressError, IntegrityError, UsageError
from compress.models import open_model
from compress.planning import Input, make_plan
from compress.pretrained.families import Families
from compress.pretrained.modelfolder import folder_traits
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.running.making import Products
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.workers.jobs import download
from compress.workers.protocol import DownloadModel

FakeModel = Callable[..., Path]


def test_weights_that_are_there_twice_are_taken_once(
    tmp_path: Path, registry: Registry, fake_model: FakeModel
) -> None:
    folder = fake_model()
    shutil.copyfile(folder / "model.safetensors", folder / "consolidated.safetensors")
    artifact = taken_in(folder, tmp_path / "one", registry)
    assert (
        artifact.manifest.parameters == 6
        and "consolidated.safetensors" not in artifact.manifest.files
    )
    save_file({"other": np.zeros(4, np.float32)}, folder / "model-00002-of-00002.safetensors")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = folder / "model.safetensors.index.json"
    names = {
        "weight": "model-00001-of-00002.safetensors",
        "other": "model-00002-of-00002.safetensors",
    }
    index.write_text(json.dumps({"weight_map": names}), encoding="utf-8")
    artifact = taken_in(folder, tmp_path / "two", registry)
    assert artifact.manifest.parameters == 10
    assert {n for n in artifact.manifest.files if "safetensors" in n} == {
        *names.values(),
        index.name,
    }
    for wrong in (
        {"weight_map": {"weight": "../model.safetensors"}},
        {"weight_map": {"weight": "lost.safetensors"}},
        {},
    ):
        index.write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(
            UsageError, match=r"index\.json (names .* not in the folder|cannot be read as an index)"
        ):
            folder_traits(folder, registry)


def test_of_the_hub_what_an_import_takes_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects

    wanted = [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "vocab.txt",
        "merges.txt",
        "spiece.model",
        "source.spm",
        "o200k.tiktoken",
        "bpe.codes",
        "chat_template.jinja",
        "model.safetensors.index.json",
    ]
    left = [
        "consolidated.safetensors",
        "pytorch_model.bin",
        "onnx/model.onnx",
        "openvino/config.json",
        "vocab.pkl",
        "README.md",
    ]
    fetched: list[str] = []

    def snapshot_download(hub_id: str, **patterns: Any) -> str:
        fetched.extend(filter_repo_objects([*wanted, *left], **patterns))
        return "cache/model"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    line: Any = None
    done = download.run(DownloadModel("acme/model"), line, Registry())
    assert done.folder == Path("cache/model") and sorted(fetched) == sorted(wanted)


@pytest.mark.parametrize("hub_id", ["a--b", "acme/model.", "a..b"])
def test_what_cannot_be_an_id_of_the_hub_is_a_user_s_mistake(hub_id: str) -> None:
    line: Any = None
    with pytest.raises(UsageError, match=r"cannot be a model's id on the hub: [^\n]*$"):
        download.run(DownloadModel(hub_id), line, Registry())


def test_a_folder_that_changes_while_it_is_imported_is_not_kept(
    tmp_path: Path, registry: Registry, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, products = (
        fake_model(),
        Products(registry, Store(tmp_path / "store"), RunFolder(tmp_path), lambda *_, **__: None),
    )
    monkeypatch.setattr(
        "compress.running.making.run_job",
        lambda *_: (folder / "config.json").write_text(
            '{"model_type": "bert", "architectures": []}', encoding="utf-8"
        ),
    )
    with pytest.raises(
        CompressError, match=r"^input-0: files changed while they were read; run again [^\n]*$"
    ):
        products.imported(
            Input("model", str(folder), False, folder_traits(folder, registry), "recipe.yaml:2:8"),
            "input-0",
        )
    assert not list((tmp_path / "store").rglob("record.json"))


def test_data_that_change_while_they_are_read_are_not_kept(
    tmp_path: Path,
    registry: Registry,
    families: Families,
    csv_data: Path,
    write_recipe: Callable[..., Path],
    fake_model: FakeModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_model()
    plan = make_plan(
        read_recipe(
            write_recipe(
                "task: text-classification\nmodel: ./model\nstages: [finetune]\n"
                "data: {train: train.csv, test: test.csv}\n"
            )
        ),
        registry,
        families,
    )
    products = Products(
        registry, Store(tmp_path / "store"), RunFolder(tmp_path / "run"), lambda *_, **__: None
    )
    monkeypatch.setattr(
        "compress.running.making.run_job",
        lambda *_: (csv_data / "train.csv").write_text("text,label\nx,good\n"),
    )
    assert plan.data is not None
    with pytest.raises(CompressError, match="data-0: files changed while they were read"):
        products.data(plan.data, plan.task)
    assert not list((tmp_path / "store").rglob("record.json"))


@pytest.mark.parametrize("labels", [("bad", "good"), ("a", "b", "c")])
def test_weights_of_more_layers_than_the_config_has_are_not_opened(
    labels: Sequence[str], tmp_path: Path
) -> None:
    task = task_named("text-classification")
    save_bert(tmp_path, task, num_hidden_layers=2)
    config = tmp_path / "config.json"
    config.write_text(
        config.read_text(encoding="utf-8").replace(
            '"num_hidden_layers": 2', '"num_hidden_layers": 1'
        )
    )
    with_files(Manifest.read(tmp_path), tmp_path).write(tmp_path)
    artifact = Artifact.open(tmp_path)
    with pytest.raises(
        IntegrityError, match=r"layers that its config does not have: bert\.encoder\.layer\.1\."
    ):
        adapt_model(artifact, task, labels)
    with pytest.raises(IntegrityError, match="layers that its config does not have"):
        open_model(artifact, task)


def test_weights_that_a_head_has_no_use_for_are_left(tmp_path: Path) -> None:
    task = task_named("token-classification")
    save_bert(tmp_path, task, ("O", "B-X"))
    weights = load_file(tmp_path / "model.safetensors")
    more = {
        "bert.pooler.dense.weight": np.zeros((16, 16), np.float32),
        "cls.seq_relationship.bias": np.zeros(2, np.float32),
        "bert.embeddings.position_ids": np.zeros((1, 20), np.int64),
    }
    save_file({**weights, **more}, tmp_path / "model.safetensors", {"format": "pt"})
    with_files(Manifest.read(tmp_path), tmp_path).write(tmp_path)
    assert open_model(Artifact.open(tmp_path), task).config.num_labels == 2
