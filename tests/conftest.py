"""What many tests need: the command line in a process of its own, recipes, tiny data, fake model
folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept_families import give_families, kept_families
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from compress.pretrained.families import Families
from compress.registry.plugins import Registry, load_plugins

# Runs in the command's process before anything else, and says at its end which heavy packages were
# imported.
GUARD = """
import atexit, os, sys
def tell():
    heavy = {"torch", "transformers", "onnxruntime", "sklearn", "pandas", "datasets", "optimum", "evaluate"}
    with open(os.environ["IMPORTED_FILE"], "w") as file:
        file.write(" ".join(sorted(heavy & set(sys.modules))))
atexit.register(tell)
"""


@dataclass(frozen=True)
class Answer:
    """What a command said; ``seconds`` on the clock, ``cpu`` seconds of its process, ``heavy``
    packages it imported."""

    code: int
    out: str
    err: str
    seconds: float
    cpu: float
    heavy: str

    @property
    def value(self) -> Any:
        """Its standard output, read as JSON."""
        return json.loads(self.out)


Command = Callable[..., Answer]
_PLANNING = ("plan", "run", "bench")
"""Commands that may have to know the families of models."""


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """``command("plan", "r.yaml")`` runs ``python -m compress plan r.yaml`` with ``tmp_path`` as
    working directory."""
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    path = os.pathsep.join([str(guard), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(*words: str | Path, environ: Mapping[str, str] | None = None) -> Answer:
        # Bytecode is kept, as it is for a user; without it, a third of a command's time is
        # compiling.
        own = {
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPATH": path,
            "IMPORTED_FILE": str(guard / "imported"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
            "COMPRESS_STORE": str(tmp_path / "store"),
        }
        if words[0] in _PLANNING:
            give_families(tmp_path / "store")
        return _run(
            [sys.executable, "-m", "compress", *map(str, words)],
            tmp_path,
            {**os.environ, **own, **(environ or {})},
        )

    return run


def _run(words: list[str], folder: Path, environ: Mapping[str, str]) -> Answer:
    out, err = folder / "guard" / "out", folder / "guard" / "err"
    start = time.perf_counter()
    with out.open("wb") as stdout, err.open("wb") as stderr:
        child = subprocess.Popen(
            words, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        # wait4 tells the CPU time of this one child, which a busy machine does not change.
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return Answer(
        child.returncode,
        out.read_text(encoding="utf-8"),
        err.read_text(encoding="utf-8"),
        time.perf_counter() - start,
        used.ru_utime + used.ru_stime,
        (folder / "guard" / "imported").read_text(encoding="utf-8"),
    )


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Everything that the installed plugins register."""
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
