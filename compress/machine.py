"""What the machine is: processor features, cores that this process may use, memory. No torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from compress.errors import UsageError

_STATUS, _PEAK_SWITCH = Path("/proc/self/status"), Path("/proc/self/clear_refs")

FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")


def threads(environ: Mapping[str, str] = os.environ) -> int:
    """Threads that a process here computes with: what OMP_NUM_THREADS says (of a list the first,
    which is the outermost level's), else the cores it may run on, not those of the machine. Raises
    UsageError where the variable is no number."""
    given = environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not given:
        return len(_cores())
    if not given.isdecimal() or int(given) == 0:
        raise UsageError(
            f"OMP_NUM_THREADS is {environ['OMP_NUM_THREADS']!r}: set it to a whole number from 1, "
            "or unset it"
        )
    return int(given)


def stay_on_cores(count: int) -> None:
    """Keep this process on the first ``count`` of the cores it may run on, where the system can:
    processes that take turns then meet the same caches and clocks."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _cores()[:count])


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@dataclass(frozen=True)
class Processor:
    """A processor's name, vendor as it names itself, and which of ``FEATURES`` it has (empty where
    the system does not say)."""

    name: str
    vendor: str
    features: tuple[str, ...]

    @property
    def fast_in_bf16(self) -> bool:
        """Whether bf16 matrix products are faster than fp32 ones.

        AMX is; AVX512_BF16 is on AMD's (Zen 4: 2x in training), and not on Intel's without AMX
        (oneDNN 3.12 on Sapphire Rapids with AMX masked: 80 GFLOP/s a core in bf16 and 145 in
        fp32)."""
        return "amx_bf16" in self.features or (
            "avx512_bf16" in self.features and self.vendor == "AuthenticAMD"
        )


@cache
def processor() -> Processor:
    """This machine's processor."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return Processor(platform.processor() or platform.machine(), "", ())
    first: dict[str, str] = {}
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        first.setdefault(key.strip(), value.strip())
    flags = first.get("flags", "").split()
    return Processor(
        first.get("model name", platform.machine()),
        first.get("vendor_id", ""),
        tuple(f for f in FEATURES if f in flags),
    )


def gpus(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of the NVIDIA GPUs that a process here may use: those that the driver lists, as far as
    CUDA_VISIBLE_DEVICES names them by number or UUID. Empty where there is none."""
    installed, chosen = _installed_gpus(), environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return tuple(name for name, _ in installed)
    found: list[str] = []
    for word in map(str.strip, chosen.split(",")):
        name = next(
            (
                name
                for i, (name, uuid) in enumerate(installed)
                if word == str(i) or (word and uuid.startswith(word))
            ),
            word if installed and word.startswith("MIG-") else None,
        )
        if name is None:  # CUDA takes none behind one that is not there
            break
        found.append(name)
    return tuple(found)


@cache
def _installed_gpus() -> tuple[tuple[str, str], ...]:
    """(name, UUID) of each GPU, as the driver's own tool lists them, else as the driver's files
    do."""
    tool = shutil.which("nvidia-smi")
    if tool is not None:
        try:
            answer = subprocess.run(
                [tool, "--query-gpu=name,uuid", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return ()
        return tuple(
            (name.strip(), uuid.strip())
            for name, _, uuid in (s.rpartition(",") for s in answer.splitlines())
        )
    return tuple(
        map(_described_gpu, sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")))
    )


def _described_gpu(file: Path) -> tuple[str, str]:
    lines = (line.partition(":") for line in file.read_text(encoding="utf-8").splitlines())
    said = {key.strip(): value.strip() for key, _, value in lines}
    return said.get("Model", "a GPU"), said.get("GPU UUID", "")


def forget_peak_memory() -> None:
    """Start the process's peak resident memory (VmHWM) anew, where the system can: Linux, ``man 5
    proc``. Whether it did, ``peak_memory`` shows."""
    with suppress(OSError):  # there is no such file, or a container may not write it
        _PEAK_SWITCH.write_text("5", encoding="ascii")


def peak_memory() -> int | None:
    """Bytes of the process's peak resident memory since it was last started anew; None where the
    system does not say."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Installed versions by distribution name; those that are not installed are left out."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def timing_environment() -> dict[str, Any]:
    """What timings depend on besides the model: they are not taken over from where any of it was
    otherwise."""
    known = environment()
    return {key: known[key] for key in ("processor", "gpus", "threads", "versions")}


def environment() -> dict[str, Any]:
    """What a report says of the machine."""
    cpu = processor()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": cpu.name,
        "features": list(cpu.features),
        "gpus": list(gpus()),
        "threads": threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "versions": versions(
            (
                "compress-toolkit",
                "torch",
                "transformers",
                "onnxruntime",
                "onnx",
                "bitsandbytes",
                "optimum",
                "accelerate",
                "tokenizers",
                "numpy",
            )
        ),
    }
