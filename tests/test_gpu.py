"""What only a GPU can show: models trained, measured and quantized there. Without a GPU these tests
are skipped; ``pytest -m gpu`` runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compress_distill import StudentOptions
from compress_meters.memory import BY_PHASE
from tiny import LABELS, make_artifact, save_bert, sentences, task_named

from compress.artifact import Artifact
from compress.engine import Placement
from compress.models import open_model
from compress.registry.plugins import Registry
from compress.sessions import TorchSession
from compress.store.prepared import Prepared
from compress.task import Batch
from compress.workers.jobs.probing import open_probe
from compress.workers.protocol import Chosen, ProbeArtifact, Subject

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here"),
]

TASK = task_named("text-classification")
SPLITS = {"train": sentences(48, 0), "validation": sentences(8, 1), "test": sentences(12, 2)}
TRAINED = {"epochs": 12, "batch_size": 8, "learning_rate": 1e-2, "precision": "fp32"}
DISTILLED = {"epochs": 1, "batch_size": 8}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny BERT that was trained on the GPU."""
    folder = tmp_path_factory.mktemp("teacher")
    start = save_bert(folder / "start", TASK, num_hidden_layers=2)
    return make_artifact(folder / "made", "finetune", TASK, SPLITS, input=start, **TRAINED)


def batch(artifact: Artifact) -> Batch:
    """The features of the test rows in one batch."""
    processor = TASK.processor(artifact.folder)
    rows = TASK.request([row["text"] for row in SPLITS["test"]])
    return TASK.collate(TASK.features(rows, processor), processor)


def logits(artifact: Artifact, device: str) -> np.ndarray:
    session = TorchSession(open_model(artifact, TASK, device), device)
    return session.run(batch(artifact))["logits"]


def probe(artifact: Artifact, data: Path, registry: Registry) -> Any:
    task = Chosen(TASK.name, TASK.options.model_dump(mode="json"))
    subject = Subject("teacher", artifact.folder, task, Prepared(data, ""))
    return open_probe(ProbeArtifact(subject, "quick"), registry)


def measured(meter: str, on: Any, registry: Registry) -> dict[str, Any]:
    own = registry.meters[meter].cls()
    own.prepare(on)
    samples = [{**own.sample(on), "block": block} for block in range(2)]
    return {m.name: m for m in own.summarise(samples if own.takes_turns else samples[:1])}


def test_a_training_on_the_gpu_learns_and_its_weights_are_finite(teacher: Artifact) -> None:
    answers = logits(teacher, "cuda").argmax(axis=1)
    rows = zip(answers, SPLITS["test"], strict=True)
    right = [LABELS[answer] == row["label"] for answer, row in rows]
    weights = open_model(teacher, TASK).state_dict().values()
    assert np.mean(right) > 0.7
    assert all(torch.isfinite(w).all() for w in weights if w.is_floating_point())


def test_the_gpu_and_the_cpu_give_the_same_logits(teacher: Artifact) -> None:
    assert logits(teacher, "cuda") == pytest.approx(logits(teacher, "cpu"), abs=1e-3)


def test_two_trainings_on_the_gpu_give_equal_weights(teacher: Artifact, tmp_path: Path) -> None:
    start = save_bert(tmp_path / "start", TASK, num_hidden_layers=2)
    again = make_artifact(tmp_path / "made", "finetune", TASK, SPLITS, input=start, **TRAINED)
    assert again.digest == teacher.digest


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_distillation_in_each_precision_gives_finite_answers(
    precision: str, teacher: Artifact, tmp_path: Path
) -> None:
    student = make_artifact(
        tmp_path / "made",
        "distill",
        TASK,
        SPLITS,
        input=teacher,
        precision=precision,
        student=StudentOptions(layers=1),
        **DISTILLED,
    )
    assert np.isfinite(logits(student, "cuda")).all()


def test_the_memory_of_the_gpu_is_measured_by_phase(teacher: Artifact, registry: Registry) -> None:
    on = probe(teacher, teacher.folder.parent / "data", registry)
    found = measured("memory", on, registry)
    phases = found["memory_gpu"].detail["tables"][BY_PHASE]
    assert on.placement == Placement("cuda", on.placement.threads)
    assert set(phases) == {"load", "inference"}
    for phase in phases.values():
        assert 0 < phase["allocated"] <= phase["reserved"]
    process = found["memory_gpu_process"]
    assert process.absent or process.value > phases["load"]["reserved"]


def test_latency_is_timed_by_the_gpu_s_own_clock(teacher: Artifact, registry: Registry) -> None:
    on = probe(teacher, teacher.folder.parent / "data", registry)
    latency = measured("latency", on, registry)["latency_p50"]
    assert latency.value > 0
    assert on.session.elapsed(batch(teacher)) > 0


def test_an_int8_model_of_the_gpu_answers_as_its_teacher(teacher: Artifact, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    quantized = make_artifact(
        tmp_path / "made", "quantize.bitsandbytes", TASK, SPLITS, input=teacher
    )
    difference = np.abs(logits(quantized, "cuda") - logits(teacher, "cuda")).max()
    assert 0 < difference < 0.5


def test_a_forward_pass_in_bf16_is_near_that_in_float32(teacher: Artifact) -> None:
    session = TorchSession(open_model(teacher, TASK, "cuda"), "cuda")
    expected = session.run(batch(teacher))["logits"]
    with torch.autocast("cuda", dtype=torch.bfloat16):
        found = session.run(batch(teacher))["logits"]
    assert found == pytest.approx(expected, abs=0.1)
