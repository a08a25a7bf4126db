"""Fixtures of many tests: the command line in its own process, recipes, tiny data, fake model
folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, command_in
from kept_families import kept_families, kept_store
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from compress.pretrained.families import Families
from compress.registry.plugins import Registry, load_plugins


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """``command("plan", "r.yaml")`` runs ``python -m compress plan r.yaml`` with ``tmp_path`` as
    working directory."""
    return command_in(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def default_store() -> Iterator[None]:
    """Tests that name no store use one of the session, and never the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESS_STORE", str(kept_store().root))
        yield


@pytest.fixture(scope="session")
def registry() -> Registry:
    """All that the installed plugins register."""
    return load_plugins()


@pytest.fixture(scope="session")
def families() -> Families:
    """Families of the installed transformers, which is asked once in a session."""
    return kept_families()


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """``write_recipe(text)`` writes ``recipe.yaml`` into ``tmp_path``."""

    def write(text: str, name: str = "recipe.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def csv_data(tmp_path: Path) -> Path:
    """``train.csv`` and ``test.csv`` with the columns text and label (``bad`` or ``good``) in
    ``tmp_path``."""
    for name, count in (("train", 12), ("test", 6)):
        lines = [
            f"a {('bad', 'good')[i % 2]} day {i},{('bad', 'good')[i % 2]}" for i in range(count)
        ]
        (tmp_path / f"{name}.csv").write_text(
            "text,label\n" + "\n".join(lines) + "\n", encoding="utf-8"
        )
    return tmp_path


@pytest.fixture
def fake_model(tmp_path: Path) -> Callable[..., Path]:
    """``fake_model(labels=(...))`` makes a folder that looks like a BERT classifier's: right
    config, tokenizer and file names, and one small tensor for weights. It can be planned with and
    imported, not opened."""

    def make(
        name: str = "model",
        labels: tuple[str, ...] = ("bad", "good"),
        architecture: str = "BertForSequenceClassification",
        **config: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        values = {"model_type": "bert", "architectures": [architecture], **config}
        if labels:
            values["id2label"] = {str(i): label for i, label in enumerate(labels)}
        (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
        save_file({"weight": np.zeros((2, 3), dtype=np.float32)}, folder / "model.safetensors")
        tokenizer = Tokenizer(
            models.WordLevel({"[UNK]": 0, "[PAD]": 1, "day": 2}, unk_token="[UNK]")
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.save(str(folder / "tokenizer.json"))
        # Without it transformers is imported for the names, which takes longer than all else.
        (folder / "tokenizer_config.json").write_text(
            '{"unk_token": "[UNK]", "pad_token": "[PAD]"}', encoding="utf-8"
        )
        return folder

    return make
