"""Memory of the process and of a GPU; the GPU is a stand-in with the functions of torch.cuda and
NVML."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compress_meters.loading import Loading
from compress_meters.memory import Memory

from compress import machine
from compress.artifact import Artifact, Manifest, Traits
from compress.engine import Placement
from compress.measurement import Measurement
from compress.meter import Probe

TASK = SimpleNamespace(
    prompts=lambda features, processor: None,
    length=lambda f: len(f["input_ids"]),
    group=lambda f: 0,
    collate=lambda fs, processor: {
        "input_ids": np.zeros((len(fs), max(len(f["input_ids"]) for f in fs)))
    },
)


class Cuda:
    """An allocator whose peaks grow with what ran since they were last started anew."""

    def __init__(self) -> None:
        self.held = 4096
        self.peak = 9000

    def max_memory_allocated(self) -> int:
        return self.peak

    def max_memory_reserved(self) -> int:
        return 2 * self.peak

    def reset_peak_memory_stats(self) -> None:
        self.peak = self.held

    def run(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.peak = max(self.peak, self.held + batch["input_ids"].size)
        return {}


class Nvml:
    """A driver of two GPUs that lists the given (number of the process, bytes) of each."""

    class NVMLError(Exception):
        pass

    def __init__(self, *listed: Sequence[tuple[int, int | None]]) -> None:
        self.listed, self.open = listed, 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.listed)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Sequence[tuple[int, int | None]]:
        return self.listed[index]

    def nvmlDeviceGetComputeRunningProcesses(
        self, handle: Sequence[tuple[int, int | None]]
    ) -> list[Any]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in handle]


def probe(folder: Path, device: str = "cpu", cuda: Cuda | None = None) -> Probe:
    session = cuda or SimpleNamespace(run=lambda batch: {})
    return Probe(
        Artifact(folder, Manifest(Traits(), {}, "step", "stage")),
        "torch",
        session,
        Placement(device, 2),
        TASK,
        None,
        [{}] * 40,
        [],
        [{"input_ids": [1] * n} for n in range(1, 41)],
        {"before_load": 1000, "peak_before_load": 2000},
        0.25,
    )


def measured(on: Probe) -> dict[str, Measurement]:
    meter = Memory()
    return {
        m.name: m
        for m in meter.summarise([json.loads(json.dumps(meter.sample(on), allow_nan=False))])
    }


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Probe:
    cuda = Cuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    return probe(tmp_path, "cuda", cuda)


def test_memory_is_the_peak_above_what_was_there_before_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_text("VmPeak:\t99 kB\nVmHWM:\t     50 kB\n")
    monkeypatch.setattr(machine, "_STATUS", status)
    host = measured(probe(tmp_path))["memory"]
    assert (host.value, host.unit, host.conditions["batch"]) == (50 * 1024 - 1000, "bytes", 32)


def test_memory_is_that_of_a_full_batch_where_the_longest_example_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TASK, "group", lambda f: len(f["input_ids"]) // 40)
    conditions = Memory().sample(probe(tmp_path))["conditions"]
    assert (conditions["batch"], conditions["mean_length"]) == (32, np.mean(range(8, 40)))


def test_memory_on_this_system_is_a_number_or_says_why_not(tmp_path: Path) -> None:
    host = measured(probe(tmp_path))["memory"]
    assert host.value > 1_000_000 if machine.peak_memory() else "does not say" in host.absent


@pytest.mark.parametrize("content", [None, "VmPeak:\t99 kB\n"])
def test_a_system_that_does_not_say_the_peak_has_no_memory(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    if content is not None:
        status.write_text(content)
    monkeypatch.setattr(machine, "_STATUS", status)
    assert (
        measured(probe(tmp_path))["memory"].absent
        == "this system does not say what a process held at its peak"
    )


def test_a_peak_from_before_the_model_is_not_taken_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_text("VmHWM:\t  5000 kB\n")
    monkeypatch.setattr(machine, "_STATUS", status)
    kept = probe(tmp_path)
    kept.host_memory = {"before_load": 1000, "peak_before_load": 5000 * 1024}
    assert "cannot be reset" in measured(kept)["memory"].absent
    status.write_text("VmHWM:\t  6000 kB\n")  # the model went above it
    assert measured(kept)["memory"].value == 6000 * 1024 - 1000


def test_a_peak_that_cannot_be_started_anew_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_PEAK_SWITCH", tmp_path / "no" / "such")
    machine.forget_peak_memory()


def test_peaks_of_loading_and_of_inference_are_kept_apart(on: Probe) -> None:
    found = measured(on)["memory_gpu"]
    # 4096 bytes are held; loading took 9000 at its peak, and a batch of 32 x 40 adds 1280.
    assert found.detail["tables"]["GPU bytes by phase"] == {
        "load": {"allocated": 9000, "reserved": 18000},
        "inference": {"allocated": 5376, "reserved": 10752},
    }
    assert (found.value, found.conditions["counted"]) == (9000, "allocated by torch")


def test_the_first_call_is_not_taken_for_loading(on: Probe) -> None:
    on.session.held = 9500  # type: ignore[attr-defined]
    Loading().sample(on)
    assert (
        measured(on)["memory_gpu"].detail["tables"]["GPU bytes by phase"]["load"]["allocated"]
        == 9000
    )


def test_an_engine_without_torch_does_not_say_what_it_allocated(
    on: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    assert (
        measured(replace(on, engine="onnxruntime"))["memory_gpu"].absent
        == "the onnxruntime engine does not say what it allocated"
    )


def test_an_engine_beside_torch_has_no_peaks_in_torch_s_allocator(on: Probe) -> None:
    on.session.peak = 0  # type: ignore[attr-defined]
    other = replace(
        on, engine="onnxruntime", session=SimpleNamespace(inputs=(), run=lambda batch: {})
    )
    assert "does not say what it allocated" in measured(other)["memory_gpu"].absent


def test_off_a_gpu_its_memory_is_absent_with_the_reason(tmp_path: Path) -> None:
    found = measured(probe(tmp_path))
    assert {(found[n].value, found[n].absent) for n in ("memory_gpu", "memory_gpu_process")} == {
        (None, "the model ran on the cpu")
    }


def test_without_the_drivers_library_the_extra_that_brings_it_is_named(on: Probe) -> None:
    found = measured(on)["memory_gpu_process"]
    assert found.value is None and "install compress-toolkit[gpu]" in found.absent


def test_the_drivers_count_is_of_this_process_alone_on_all_gpus(
    on: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = Nvml([(1, 99), (os.getpid(), 700)], [(os.getpid(), 30)])
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert measured(on)["memory_gpu_process"].value == 730
    assert nvml.open == 0


@pytest.mark.parametrize("listed", [[(1, 99)], [(os.getpid(), None)]])
def test_a_process_that_the_driver_does_not_list_has_no_count(
    on: Probe, monkeypatch: pytest.MonkeyPatch, listed: list[Any]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(listed))
    found = measured(on)["memory_gpu_process"]
    assert found.value is None and "does not list" in found.absent


def test_a_driver_that_refuses_is_quoted(on: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = Nvml()

    def refuse() -> None:
        raise nvml.NVMLError("Driver Not Loaded")

    nvml.nvmlInit = refuse  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert measured(on)["memory_gpu_process"].absent == "the driver does not say: Driver Not Loaded"


def test_without_examples_there_is_no_memory_of_inference(tmp_path: Path) -> None:
    found = measured(replace(probe(tmp_path), features=[]))
    assert {m.absent for m in found.values()} == {"there is no test split for this task"} and len(
        found
    ) == 3
