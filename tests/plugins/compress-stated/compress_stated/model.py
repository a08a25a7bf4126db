"""The file of a toy model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models

from compress.artifact import Artifact

FORMAT = "toy"
FILE = "model.safetensors"
"""JSON, under a name at which the toolkit looks for weights."""


def write(folder: Path, values: Mapping[str, Any]) -> None:
    """Write a model that states ``values``, with a tokenizer of one token."""
    (folder / FILE).write_text(json.dumps(values), encoding="utf-8")
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.save(str(folder / "tokenizer.json"))


def read(artifact: Artifact | None) -> dict[str, Any]:
    """The values that a model states."""
    assert artifact is not None
    values: dict[str, Any] = json.loads((artifact.folder / FILE).read_text(encoding="utf-8"))
    return values
