"""A training gives freed memory back to the system."""

from __future__ import annotations

import platform
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from compress.training.memory import SteadyMemory

_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is asked")


@_glibc
def test_freed_pages_are_given_back_every_twentieth_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, ...]] = []
    library = SimpleNamespace(
        mallopt=lambda *given: calls.append(given), malloc_trim=lambda *given: calls.append(given)
    )
    monkeypatch.setattr("compress.training.memory.ctypes.CDLL", lambda name: library)
    memory = SteadyMemory()
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    memory.on_train_begin(arguments, TrainerState(), TrainerControl())
    for step in range(1, 41):
        memory.on_step_end(arguments, TrainerState(global_step=step), TrainerControl())
    assert calls == [(-3, 4 * 2**20), (0,), (0,)]


def test_without_glibc_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("compress.training.memory.ctypes.CDLL", lambda name: pytest.fail(name))
    memory = SteadyMemory()
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    memory.on_train_begin(arguments, TrainerState(), TrainerControl())
    memory.on_step_end(arguments, TrainerState(global_step=20), TrainerControl())
