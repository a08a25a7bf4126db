"""Recipes on tiny data, and functions to start, watch and kill a run of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from kept_families import give_families
from tiny import sentences, write_csv

TASK = "task: {text-classification: {max_length: 16}}\n"
FRESH = """\
model: {type: bert, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2,
        intermediate_size: 32, max_position_embeddings: 20}
"""
CHAIN = (
    TASK
    + FRESH
    + "data: {train: train.csv, test: test.csv}\n"
    + """\
stages:
  - pretrain: {epochs: 2, batch_size: 8, vocabulary: 300, precision: fp32}
    task: {fill-mask: {max_length: 16}}
  - finetune: {epochs: 2, batch_size: 8, learning_rate: 1e-2, precision: fp32}
    name: teacher
  - distill: {student: {layers: 1}, epochs: 25, batch_size: 8, learning_rate: 1e-2, precision: fp32}
  - prune.structured: {feed_forward: 0.5, importance_examples: 16, \
recover: {epochs: 2, batch_size: 8, precision: fp32}}
    name: slim
  - quantize.bitsandbytes: {}
  - prune.structured: {heads: 0.5, feed_forward: 0.5, importance_examples: 16}
    name: free
    from: distill
  - quantize.onnx: {}
"""
)
GIVEN = (
    TASK
    + "model: ./model\ndata: {train: train.csv, validation: validation.csv, test: test.csv}\n"
    + """\
benchmark: {effort: quick}
stages:
  - distill: {student: {layers: 1}, epochs: 2, batch_size: 8, precision: fp32}
"""
)
UNMEASURED = {"COMPRESS_DISABLE_PLUGINS": "meters"}
"""Environment of a run without meters. Measuring takes most of a tiny run's time, and tests that
look at artifacts do not need it."""
_PATIENCE = 600


@dataclass(frozen=True)
class Run:
    """A finished run: the working directory ``place``, the run's ``folder``, and the command's
    ``output``."""

    place: Path
    folder: Path
    output: str

    @property
    def store(self) -> Path:
        """The store it used."""
        return self.place / "store"

    @property
    def report(self) -> dict[str, Any]:
        """``report.json``."""
        found: dict[str, Any] = json.loads(
            (self.folder / "report.json").read_text(encoding="utf-8")
        )
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        """``events.jsonl``."""
        lines = (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def step(self, name: str) -> dict[str, Any]:
        """The report's entry of a step."""
        found: dict[str, Any] = next(step for step in self.report["steps"] if step["name"] == name)
        return found

    def artifact(self, name: str) -> Path:
        """The folder of a step's artifact."""
        return self.folder / str(self.step(name)["folder"])

    def jobs(self) -> dict[str, int]:
        """When each worker that makes something was last started (ns since 1970), by its job's
        name."""
        return {
            path.stem: path.stat().st_mtime_ns for path in (self.folder / "jobs").glob("*.json")
        }

    def digests(self) -> dict[str, str]:
        """Digest of each step's artifact."""
        return {step["name"]: step["digest"] for step in self.report["steps"]}


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command in a test.

    One thread, so that equal trainings end in equal bits. Bytecode is kept, as it is for a user."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "COLUMNS": "200",
        **(more or {}),
    }


def heed_interrupts() -> None:
    """Stop on SIGINT. A process in the background of a script ignores it, and so do its
    children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(
    place: Path, *words: str, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """``compress`` with ``words`` in the working directory ``place``; its output is in
    ``place/output``. A store that is named need not ask for the families of models."""
    for option, value in pairwise(words):
        if option == "--store":
            give_families(place / value)
    with (place / "output").open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "compress", *words],
            cwd=place,
            env=environment(environ),
            text=True,
            preexec_fn=heed_interrupts,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def start_run(
    place: Path, recipe: str, *words: str, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start ``compress run`` with the store and the runs in ``place``."""
    return start(place, "run", recipe, "--store", "store", *words, environ=environ)


def finish(process: subprocess.Popen[str], place: Path, code: int = 0) -> Run:
    """Wait for the command and return its run. Fails unless it ends with ``code``."""
    return finished(place, process.wait(_PATIENCE), code)


def finished(place: Path, ended: int | None, code: int = 0) -> Run:
    """The newest run in ``place``, whose command has ended with the exit code ``ended``. Fails if
    that is not ``code``."""
    output = (place / "output").read_text(encoding="utf-8")
    assert ended == code, output
    folder = max(
        (place / "runs").iterdir(), key=lambda path: (path / "events.jsonl").stat().st_mtime_ns
    )
    return Run(place, folder, output)


def run(
    place: Path, recipe: str, *words: str, environ: Mapping[str, str] | None = None, code: int = 0
) -> Run:
    """Run ``compress run`` from start to end. Fails unless it ends with ``code``."""
    return finish(start_run(place, recipe, *words, environ=environ), place, code)


def wait_for(what: Callable[[], Any], seconds: float = 120) -> Any:
    """Call ``what`` until its answer is true, and return that. Fails after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"not seen in {seconds} seconds: {what}")


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The living workers of a run."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def write_place(place: Path, **recipes: str) -> Path:
    """A working directory with data and recipes."""
    place.mkdir(exist_ok=True)
    for seed, (name, count) in enumerate((("train", 40), ("validation", 10), ("test", 16))):
        write_csv(place / f"{name}.csv", sentences(count, seed))
    for name, text in recipes.items():
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    return place
