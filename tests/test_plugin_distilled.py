"""Tasks of plugins are distilled by the toolkit's own stage: spans in windows, candidates of a
query, and the next token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compress_distill import DistillOptions
from generators import CONFIGS
from installing import install
from tiny import asking, make_artifact, read, save_bert, task_named, word_processor
from transformers import AutoConfig, AutoModelForCausalLM

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.distilling.loss import DistillationLoss
from compress.errors import UsageError
from compress.models import open_model
from compress.task import Task
from compress.teacher import Asked, teacher_outputs

Rows = list[dict[str, Any]]


def words(count: int, draws: np.random.Generator) -> str:
    return " ".join(f"w{i}" for i in draws.integers(1, 9, count))


def rows_of(task: str, count: int, seed: int) -> Rows:
    """Rows of different lengths; questions have contexts of one window and of several."""
    draws = np.random.default_rng(seed)
    made: Rows = []
    for size in draws.integers(3, 30, count).tolist():
        if task == "toy-question-answering":
            context = f"{words(size, draws)} good {words(3, draws)}"
            made.append({"question": "good w1", "context": context, "answer": "good"})
        elif task == "ranking":
            candidates = [words(3, draws) for _ in range(2 + size % 4)]
            relevance = [1.0] + [0.0] * (len(candidates) - 1)
            made.append({"query": "w1", "candidates": candidates, "relevance": relevance})
        else:
            made.append({"text": words(size, draws)})
    return made


def splits_of(task: str) -> Mapping[str, Rows]:
    return {"train": rows_of(task, 16, 1), "test": rows_of(task, 6, 2)}


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The plugins, found by this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("compress-qa", "compress-ranking", "compress-causal-lm"):
            site = tmp_path_factory.mktemp(name) / "site"
            install(site, name)
            patch.syspath_prepend(str(site))
        yield


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower with several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def save_gpt2(folder: Path, task: Task[Any]) -> Artifact:
    config = AutoConfig.for_model("gpt2", **{**CONFIGS["gpt2"], "vocab_size": 21})
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    word_processor().save(folder)
    Manifest(Traits(task=task.name), digest_files(folder), "model", "import").write(folder)
    return Artifact.open(folder)


def distance(student: Artifact, teacher: Artifact, task: Task[Any], rows: Rows) -> float:
    """The loss of a student's answers to the rows."""
    known = read(rows, task, ())
    processor = task.processor(teacher.folder)
    features = task.features(known, processor)
    arrays = task.collate(features, processor)
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    context = asking(task, known, student.folder.parent / "told")
    outputs = teacher_outputs(context, teacher, "train", Asked(), processor)
    loss = DistillationLoss(outputs, DistillOptions(losses=["logits"]).losses, task)
    with torch.no_grad():
        terms = loss(open_model(student, task), batch, torch.arange(len(features)))
    return sum(term.value.item() for term in terms)


CASES: Sequence[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("ranking", {}, {"student": {"layers": 2}, "losses": ["logits"]}),
    ("toy-question-answering", {"stride": 4}, {"student": {"layers": 2}}),
    (
        "toy-causal-lm",
        {"long": "windows"},
        {"student": {"type": "gpt2", "n_layer": 2}, "losses": ["logits"]},
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "distill"), CASES, ids=[case[0] for case in CASES])
def test_a_task_of_a_plugin_is_distilled(
    name: str, options: dict[str, Any], distill: dict[str, Any], tmp_path: Path
) -> None:
    task, splits = task_named(name, **options), splits_of(name)
    if name == "toy-causal-lm":
        teacher = save_gpt2(tmp_path / "teacher", task)
        shape = {**CONFIGS["gpt2"], **distill["student"]}
        distill = {**distill, "student": shape}
    else:
        # Noise would hide what so few steps can teach.
        shape = {"num_hidden_layers": 4, "hidden_dropout_prob": 0.0, "initializer_range": 0.5}
        teacher = save_bert(tmp_path / "teacher", task, (), **shape)
    shared = {**distill, "batch_size": 4, "precision": "fp32"}
    first, last = (
        make_artifact(tmp_path / key, "distill", task, splits, input=teacher, **shared, **training)
        for key, training in {
            "first": {"epochs": 0.1, "learning_rate": 1e-9},
            "last": {"epochs": 8, "learning_rate": 3e-3},
        }.items()
    )
    assert distance(teacher, teacher, task, splits["train"]) < 1e-6
    before, after = (distance(made, teacher, task, splits["train"]) for made in (first, last))
    assert 0 < after < 0.9 * before, (before, after)


def test_hidden_states_of_several_inputs_of_an_example_are_refused_in_words(tmp_path: Path) -> None:
    task = task_named("ranking")
    teacher = save_bert(tmp_path / "teacher", task, (), num_hidden_layers=2)
    rows = read(rows_of("ranking", 3, 1), task, ())
    context = asking(task, rows, tmp_path / "store")
    with pytest.raises(UsageError, match="an example has several inputs.* hidden states no weight"):
        asked = Asked(states=(-1,))
        teacher_outputs(context, teacher, "train", asked, task.processor(teacher.folder))
