"""Jobs that several processes do together, for tests of these and of several machines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from installing import install
from tiny import MemorySource, sentences, task_named

from compress.artifact import Artifact, Traits, sha256_file
from compress.store.prepared import Prepared, prepare
from compress.store.store import Store
from compress.workers.protocol import ApplyStage, Chosen
from compress.workers.supervisor import run_job


@contextmanager
def installed(site: Path, threads: int) -> Iterator[pytest.MonkeyPatch]:
    """The toy plugin for workers, which also find what tests share, and compute with so many
    threads."""
    environ = install(site, "compress-ranks", without="meters,onnx")
    with pytest.MonkeyPatch.context() as patch:
        paths = [environ["PYTHONPATH"], str(Path(__file__).parent)]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("OMP_NUM_THREADS", str(threads))
        yield patch


def job(folder: Path, processes: int, **options: Any) -> ApplyStage:
    for part in ("output", "work"):
        (folder / part).mkdir(parents=True)
    return ApplyStage(
        stage="toy.ranks",
        step="toy.ranks",
        seed=5,
        options=options,
        task=Chosen("text-classification", {"max_length": 16}),
        traits=Traits(task="text-classification"),
        store=Store(folder / "store"),
        input=None,
        fresh={"type": "bert"},
        references={},
        data=None,
        output=folder / "output",
        work=folder / "work",
        processes=processes,
    )


def in_workers(work: ApplyStage, folder: Path, said: list[Any] | None = None) -> None:
    """Let a worker do it, as a run would."""
    show = (said if said is not None else []).append
    run_job(work, folder / "job.json", folder / "log", show, pytest.fail)


def training(model: Artifact, folder: Path) -> ApplyStage:
    """A fine-tuning with dropout, of 35 steps."""
    task = task_named("text-classification")
    (folder / "data").mkdir(parents=True)
    prepare(
        MemorySource({"train": sentences(26, 0), "test": sentences(9, 3)}), task, folder / "data"
    )
    return replace(
        job(folder, 2),
        stage="finetune",
        step="finetune",
        options={"epochs": 5, "batch_size": 4, "precision": "fp32", "learning_rate": 1e-2},
        input=model.folder,
        fresh=None,
        data=Prepared(folder / "data", sha256_file(folder / "data" / "train.arrow")),
    )
