"""What commands import that only read declarations, and what scoring imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_RUN = """
import sys
from compress.cli import cli
cli.main({words!r}, standalone_mode=False)
heavy = ("numpy._core", "pyarrow", "torch", "transformers", "psutil", "filelock")
sys.exit(", ".join(name for name in heavy if name in sys.modules) or None)
"""
_SCORE = """
import sys
from compress_tasks import TextClassification, TokenClassification
texts = TextClassification(TextClassification.Options())
tags = TokenClassification(TokenClassification.Options())
assert texts.score([{"label": 0}], [{"label": 0}], ["a", "b"], None).metrics["accuracy"] == 1.0
assert tags.score([{"tags": [0]}], [{"tags": [0]}], ["O", "B-X"], None).metrics["f1"] == 0.0
sys.exit("torch" in sys.modules or "transformers" in sys.modules)
"""
_DEFERRED = """
import sys
from compress.cli.deferred import defer
defer("numpy")
import numpy as np
assert "numpy._core" not in sys.modules
import numpy.random
assert np.zeros(2).sum() == 0 and numpy.random.default_rng(0).integers(9) < 9
import numpy
assert type(np.float64(1)) is numpy.float64
defer("numpy")
assert sys.modules["numpy"] is numpy and numpy.ones(1)[0] == 1
"""


def _ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["stages"], ["tasks"], ["plugins"]], ids=lambda w: w[0])
def test_a_listing_imports_nothing_that_computes(words: list[str]) -> None:
    ended = _ended(_RUN.format(words=words))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip()


def test_a_plan_imports_nothing_that_computes(csv_data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "task: text-classification\ndata: {train: train.csv, test: test.csv}\n"
        "model: some/model\nstages: [finetune: {}]\n",
        encoding="utf-8",
    )
    ended = _ended(_RUN.format(words=["plan", str(recipe), "--store", str(tmp_path / "store")]))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_scoring_imports_neither_torch_nor_transformers() -> None:
    ended = _ended(_SCORE)
    assert ended.returncode == 0, ended.stderr


def test_a_deferred_package_is_the_package_once_it_is_used() -> None:
    ended = _ended(_DEFERRED)
    assert ended.returncode == 0, ended.stderr
