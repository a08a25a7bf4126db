"""Data and a model that cost nothing: what happens around a model needs no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers


def write_fake_data(folder: Path) -> None:
    """Write ``train.csv`` and ``test.csv`` with the columns text and label (``bad`` or ``good``)
    into ``folder``."""
    for name, count in (("train", 12), ("test", 6)):
        lines = [
            f"a {('bad', 'good')[i % 2]} day {i},{('bad', 'good')[i % 2]}" for i in range(count)
        ]
        (folder / f"{name}.csv").write_text(
            "text,label\n" + "\n".join(lines) + "\n", encoding="utf-8"
        )


def write_fake_model(
    place: Path,
    name: str = "model",
    labels: tuple[str, ...] = ("bad", "good"),
    architecture: str = "BertForSequenceClassification",
    **config: Any,
) -> Path:
    """A folder ``name`` in ``place`` that looks like a BERT classifier's: right config, tokenizer
    and file names, and one small tensor for weights. It can be planned with and imported, not
    opened."""
    folder = place / name
    folder.mkdir()
    values = {"model_type": "bert", "architectures": [architecture], **config}
    if labels:
        values["id2label"] = {str(i): label for i, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    save_file({"weight": np.zeros((2, 3), dtype=np.float32)}, folder / "model.safetensors")
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "day": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    # Without it transformers is imported for the names, which takes longer than all else.
    (folder / "tokenizer_config.json").write_text(
        '{"unk_token": "[UNK]", "pad_token": "[PAD]"}', encoding="utf-8"
    )
    return folder
