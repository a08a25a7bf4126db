"""The results of the matrix of families and of the GPU, as the pages show them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
ENVIRONMENT: dict[str, Any] = {
    "processor": "Some CPU",
    "threads": 2,
    "memory_bytes": 8e9,
    "versions": {"torch": "2.13.0"},
    "gpus": ["Some GPU"],
}


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import pages

    yield pages
    for name in ("pages", "families_page", "gpu_page", "markers"):
        sys.modules.pop(name, None)


def test_the_matrix_shows_each_reason_once_and_points_to_it(pages: Any, tmp_path: Path) -> None:
    works = {"status": "works", "text": ""}
    unknown = {"status": "refused", "text": "no architecture for it"}
    rows = [
        {"family": "bert", "answers": works, "operations": {"onnx": works, "prune": works}},
        {"family": "gpt2", "answers": works, "operations": {"onnx": works, "prune": unknown}},
        {"family": "t5", "answers": works, "operations": {"distill": unknown, "prune": unknown}},
        {
            "family": "xlm",
            "answers": {"status": "refused", "text": "none"},
            "operations": {},
        },
    ]
    values = {"environment": ENVIRONMENT, "tolerance": 1e-4, "rows": rows}
    (tmp_path / "families.json").write_text(json.dumps(values), encoding="utf-8")
    shown = pages.matrix(tmp_path)
    assert "3 of 4 families answer as transformers does, within 0.0001." in shown
    assert "| `bert` | works | works | – | – | – | works |" in shown
    assert "| `gpt2` | works | works | – | – | – | refused (1) |" in shown
    assert "| `t5` | works | – | – | – | refused (1) | refused (1) |" in shown
    assert "| `xlm` | refused (2) | – | – | – | – | – |" in shown
    assert "\n1. no architecture for it\n2. none\n" in shown


def test_a_matrix_that_is_not_there_says_how_to_make_it(pages: Any, tmp_path: Path) -> None:
    assert pages.matrix(tmp_path) == pages._NO_MATRIX


def test_figures_of_a_gpu_have_bytes_by_phase_and_parts_that_failed(
    pages: Any, tmp_path: Path
) -> None:
    step = {
        "name": "teacher",
        "quality": 0.5,
        "latency_p50": 1.25,
        "size": 1e6,
        "memory_gpu_process": None,
        "memory_by_phase": {"GPU bytes by phase": {"load": {"allocated": 3e6, "reserved": 4e6}}},
        "device_peak": 5e8,
    }
    forward = {
        "batch": 128,
        "precision": "bf16",
        "milliseconds": 9.5,
        "allocated": 7e8,
        "reserved": 8e8,
        "difference": 0.012,
    }
    parts = [
        {"name": "tests", "failure": "", "values": {"passed": 9, "failed": 1}},
        {"name": "forward", "failure": "", "values": {"rows": [forward]}},
        {"name": "run", "failure": "exit code 1: first line\nsecond", "values": {"steps": [step]}},
    ]
    values = {"environment": ENVIRONMENT, "parts": parts}
    (tmp_path / "gpu.json").write_text(json.dumps(values), encoding="utf-8")
    shown = pages.part("gpu", tmp_path)
    assert "| teacher | 0.500 | 1.25 ms | 1.0 MB | 3.0 MB / 4.0 MB | – | – | 500.0 MB |" in shown
    assert "| 128 | bf16 | 9.50 ms | 700.0 MB | 800.0 MB | – | 0.012 |" in shown
    assert "Tests marked `gpu`: 9 passed, 1 failed." in shown
    assert "- run: exit code 1: first line" in shown and "second" not in shown
    assert shown.endswith("GPU: Some GPU.")
