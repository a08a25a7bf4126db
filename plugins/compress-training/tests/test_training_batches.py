"""The order of rows, what tasks draw, which checkpoints count, and when bf16 is used."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import read, sentences, task_named, word_processor

from compress.errors import CompressError
from compress.machine import Processor
from compress.training import checkpoints, loop
from compress.training.batches import BucketedBatches, Collator, own_rows

LENGTHS = np.random.default_rng(0).integers(3, 100, size=1003).tolist()


def drawn(seed: int = 0, epoch: int = 0, size: int = 16) -> list[list[int]]:
    batches = BucketedBatches(LENGTHS, size, seed)
    batches.set_epoch(epoch)
    found = list(batches)
    assert len(found) == len(batches)
    return found


def padding(batches: list[list[int]]) -> float:
    """Share of a padded batch that is padding, over all batches."""
    total = sum(len(b) * max(LENGTHS[i] for i in b) for b in batches)
    return 1 - sum(LENGTHS) / total


@pytest.mark.parametrize("size", [1, 16, 64, 2000])
def test_an_epoch_has_each_row_once(size: int) -> None:
    batches = drawn(size=size)
    assert sorted(i for batch in batches for i in batch) == list(range(len(LENGTHS)))
    assert all(len(batch) <= size for batch in batches)


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    first = drawn(seed=3, epoch=2)
    np.random.seed(0)
    torch.manual_seed(0)
    assert drawn(seed=3, epoch=2) == first
    assert drawn(seed=3, epoch=1) != first
    assert drawn(seed=4, epoch=2) != first


def test_drawing_batches_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    drawn()
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_of_near_equal_length_pad_little() -> None:
    order = np.random.default_rng(1).permutation(len(LENGTHS)).tolist()
    at_random = padding([order[i : i + 16] for i in range(0, len(order), 16)])
    assert at_random > 0.4  # measured: 0.45
    assert padding(drawn()) < 0.05  # measured: 0.027


def test_short_and_long_batches_come_in_no_order() -> None:
    means = [float(np.mean([LENGTHS[i] for i in batch])) for batch in drawn()]
    assert means != sorted(means)
    assert abs(np.corrcoef(range(len(means)), means)[0, 1]) < 0.4


def test_what_a_task_draws_does_not_depend_on_what_was_drawn_before() -> None:
    task, processor = task_named("fill-mask"), word_processor()
    features = task.features(read(sentences(40, 0), task), processor)
    batches = BucketedBatches([task.length(f) for f in features], 8, seed=1)
    collate = Collator(task, processor, batches)
    items = [[(i, features[i]) for i in batch] for batch in batches]
    forwards = [collate(batch)["input_ids"] for batch in items]
    backwards = [collate(batch)["input_ids"] for batch in reversed(items)]
    assert all(torch.equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    batches.set_epoch(1)
    assert any(
        not torch.equal(a, collate(b)["input_ids"]) for a, b in zip(forwards, items, strict=True)
    )


def test_a_batch_names_its_rows() -> None:
    task, processor = task_named("text-classification"), word_processor()
    features = task.features(read(sentences(10, 0), task), processor)
    batch = Collator(task, processor, BucketedBatches([1] * 10, 8, seed=1))(
        [(i, features[i]) for i in (7, 2, 5)]
    )
    assert batch["indices"].tolist() == [7, 2, 5]
    assert batch["labels"].tolist() == [features[i]["labels"] for i in (7, 2, 5)]


def checkpoint(folder: Path, step: int, best: int | None = None) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "model.safetensors").write_bytes(bytes(100))
    state = {"best_model_checkpoint": str(folder / f"checkpoint-{best}") if best else None}
    (made / "trainer_state.json").write_text(json.dumps(state))
    return made


def test_the_newest_checkpoint_that_is_whole_counts(tmp_path: Path) -> None:
    for step in (2, 9, 10, 11, 12):
        checkpoints.mark_complete(checkpoint(tmp_path, step))
    (tmp_path / "checkpoint-12" / checkpoints.MARKER).unlink()
    (tmp_path / "checkpoint-11" / "model.safetensors").write_bytes(bytes(99) + b"1")
    notes: list[str] = []
    assert checkpoints.newest_complete(tmp_path, notes.append) == tmp_path / "checkpoint-10"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-10",
        "checkpoint-2",
        "checkpoint-9",
    ]
    assert notes == ["warning: checkpoint-11 has changed since it was written, and is left out"]


def test_a_checkpoint_with_a_missing_file_or_a_torn_marker_is_none(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoints.mark_complete(checkpoint(tmp_path, step))
    (tmp_path / "checkpoint-1" / "model.safetensors").unlink()
    (tmp_path / "checkpoint-2" / checkpoints.MARKER).write_text('{"model')
    notes: list[str] = []
    assert checkpoints.newest_complete(tmp_path, notes.append) is None
    assert len(notes) == 2


def test_a_checkpoint_whose_best_weights_are_damaged_does_not_count(tmp_path: Path) -> None:
    notes: list[str] = []
    for step, best in ((1, None), (2, 2), (3, 2)):
        checkpoints.mark_complete(checkpoint(tmp_path, step, best))
    assert checkpoints.newest_complete(tmp_path, notes.append) == tmp_path / "checkpoint-3"
    (tmp_path / "checkpoint-2" / "model.safetensors").write_bytes(b"")
    assert checkpoints.newest_complete(tmp_path, notes.append) == tmp_path / "checkpoint-1"


def test_there_is_no_checkpoint_where_there_is_no_folder(tmp_path: Path) -> None:
    assert checkpoints.newest_complete(tmp_path / "none", lambda note: None) is None


@pytest.mark.parametrize(
    ("vendor", "features", "fast"),
    [
        ("AuthenticAMD", ("avx2", "avx512f", "avx512_bf16", "avx512_vnni"), True),
        ("GenuineIntel", ("avx2", "avx512f", "avx512_bf16", "avx512_vnni"), False),
        ("GenuineIntel", ("avx512f", "avx512_bf16", "amx_bf16", "amx_int8"), True),
        ("AuthenticAMD", ("avx2",), False),
        ("", (), False),
    ],
)
def test_bf16_is_taken_where_the_processor_is_faster_in_it(
    vendor: str, features: tuple[str, ...], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "processor", lambda: Processor("a processor", vendor, features))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert loop.uses_bf16("auto") is fast
    assert loop.uses_bf16("bf16") is True
    assert loop.uses_bf16("fp32") is False


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_taken_on_a_gpu_that_has_it(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation
    )
    assert loop.uses_bf16("auto") is native


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 32])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_processes_share_a_batch_without_losing_a_row(rows: int, world: int) -> None:
    parts = [own_rows(rows, rank, world) for rank in range(world)]
    assert [row for part in parts for row in part] == list(range(rows))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_what_a_task_draws_does_not_depend_on_the_number_of_processes() -> None:
    task, processor = task_named("fill-mask"), word_processor()
    features = task.features(read(sentences(8, 0), task), processor)
    batches = BucketedBatches([task.length(f) for f in features], 5, seed=1)
    items = list(enumerate(features))[:5]
    whole = Collator(task, processor, batches)(items)
    parts = [Collator(task, processor, batches, rank, 2)(items) for rank in range(2)]
    for name in ("input_ids", "labels", "indices"):
        assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])
    lent = Collator(task, processor, batches, 1, 2)(items[:1])
    assert lent["part"].is_lent and not parts[1]["part"].is_lent
    assert lent["input_ids"].shape[0] == 1, "a model computes with a row at least"


def test_an_example_may_have_several_rows_in_a_process_alone() -> None:
    task = task_named("text-classification")

    def twice(features: Any, processor: Any, generator: Any = None) -> dict[str, np.ndarray]:
        return {"input_ids": np.repeat(np.arange(len(features)), 2)[:, None]}

    stand_in: Any = SimpleNamespace(name="twice", collate=twice, counted=lambda batch: 0)
    features = task.features(read(sentences(3, 0), task), word_processor())
    batches = BucketedBatches([1, 1, 1], 3, seed=1)
    batch = Collator(stand_in, word_processor(), batches)(list(enumerate(features)))
    assert batch["input_ids"].flatten().tolist() == [0, 0, 1, 1, 2, 2]
    assert batch["part"].has_no_label, "the task counts nothing over which a loss is a mean"
    with pytest.raises(CompressError, match="task twice: collate made input_ids of shape"):
        Collator(stand_in, word_processor(), batches, 0, 2)(list(enumerate(features)))
