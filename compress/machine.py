"""Properties of this machine: its processor, the cores and GPUs that a process may use, memory, and
installed versions. No torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from compress.errors import UsageError

_STATUS, _PEAK_SWITCH = Path("/proc/self/status"), Path("/proc/self/clear_refs")

FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")
REPORTED_VERSIONS = (
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
"""Distributions whose versions a report names."""


def cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def threads(environ: Mapping[str, str] = os.environ) -> int:
    """Threads that a process computes with: OMP_NUM_THREADS if it is set, else one for each core
    that the process may use, which may be fewer than the machine has.

    Of a list in OMP_NUM_THREADS the first number counts, which is that of the outermost level.
    Raises UsageError if it is not a number."""
    given = environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not given:
        return len(cores())
    if not given.isdecimal() or int(given) == 0:
        raise UsageError(
            f"OMP_NUM_THREADS is {environ['OMP_NUM_THREADS']!r}: set it to a whole number from 1, "
            "or unset it"
        )
    return int(given)


def stay_on_cores(count: int) -> None:
    """Keep this process on the first ``count`` of the cores that it may use, if the system can do
    that. Then processes that take turns have the same caches and clocks."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[:count])


@dataclass(frozen=True)
class Processor:
    """A processor: its name, its vendor, and those of ``FEATURES`` that it has (none if the system
    does not say)."""

    name: str
    vendor: str
    features: tuple[str, ...]

    @property
    def fast_in_bf16(self) -> bool:
        """Whether bf16 matrix products are faster than fp32 ones.

        They are with AMX. With AVX512_BF16 they are on AMD (Zen 4: 2x in training), but not on
        Intel without AMX (oneDNN 3.12 on Sapphire Rapids with AMX masked: 80 GFLOP/s a core in bf16
        and 145 in fp32)."""
        return "amx_bf16" in self.features or (
            "avx512_bf16" in self.features and self.vendor == "AuthenticAMD"
        )


@cache
def processor() -> Processor:
    """This machine's processor."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return Processor(platform.processor() or platform.machine(), "", ())
    first = _values_by_name(info.read_text(encoding="utf-8", errors="replace"))
    flags = first.get("flags", "").split()
    return Processor(
        first.get("model name", platform.machine()),
        first.get("vendor_id", ""),
        tuple(f for f in FEATURES if f in flags),
    )


def lacks_vnni() -> bool:
    """Whether this is an x86 processor that does not report 8-bit dot products (VNNI)."""
    is_x86 = platform.machine().lower() in {"x86_64", "amd64"}
    return is_x86 and not {"avx512_vnni", "avx_vnni"} & set(processor().features)


def _values_by_name(text: str) -> dict[str, str]:
    """Lines ``name: value`` of a file of the kernel, the first of each name."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        values.setdefault(name.strip(), value.strip())
    return values


def gpus(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of the NVIDIA GPUs that a process may use: all that the driver lists, or those that
    CUDA_VISIBLE_DEVICES names by number or UUID."""
    installed, visible = _installed_gpus(), environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(name for name, _ in installed)
    names: list[str] = []
    for word in visible.split(","):
        name = _gpu_called(word.strip(), installed)
        if name is None:  # CUDA ignores it and all that follow
            break
        names.append(name)
    return tuple(names)


def _gpu_called(word: str, installed: Sequence[tuple[str, str]]) -> str | None:
    """The name of the GPU whose number is ``word``, or whose UUID starts with it. A part of a GPU
    (MIG) is called by the word itself."""
    for number, (name, uuid) in enumerate(installed):
        if word == str(number) or (word and uuid.startswith(word)):
            return name
    return word if installed and word.startswith("MIG-") else None


@cache
def _installed_gpus() -> tuple[tuple[str, str], ...]:
    """(name, UUID) of each GPU: from the driver's tool, or from the driver's files if the tool is
    not installed."""
    listed = ask_nvidia_driver("name", "uuid")
    if listed is not None:
        return tuple((name, uuid) for name, uuid in listed)
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return tuple(_described_gpu(file) for file in files)


def ask_nvidia_driver(*fields: str) -> list[tuple[str, ...]] | None:
    """The values of ``fields`` for each NVIDIA GPU, from ``nvidia-smi``: empty if it fails, None if
    it is not installed. Names of fields are those of ``nvidia-smi --help-query-gpu``."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    gpus_listed = []
    for line in answer.stdout.splitlines():
        # Only the first field, a name, may hold a comma itself.
        values = tuple(map(str.strip, line.rsplit(",", len(fields) - 1)))
        if len(values) == len(fields):  # else it is a remark, such as "No devices were found"
            gpus_listed.append(values)
    return gpus_listed


def _described_gpu(file: Path) -> tuple[str, str]:
    """(name, UUID) from a file of the driver."""
    values = _values_by_name(file.read_text(encoding="utf-8"))
    return values.get("Model", "a GPU"), values.get("GPU UUID", "")


def forget_peak_memory() -> None:
    """Reset the process's peak resident memory (VmHWM) to what it has now, if the system can do
    that: Linux, ``man 5 proc``. ``peak_memory`` shows whether it did."""
    with suppress(OSError):  # the file does not exist, or a container may not write it
        _PEAK_SWITCH.write_text("5", encoding="ascii")


def peak_memory() -> int | None:
    """Bytes of the process's peak resident memory since it was last reset; None if the system does
    not say."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def is_installed(package: str) -> bool:
    """Whether a package can be imported. It is not imported for that."""
    spec = find_spec(package)
    # A folder of that name, such as one of logs, has no origin.
    return spec is not None and spec.origin is not None


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Installed versions by distribution name, without those that are not installed."""
    path = tuple(sys.path)
    found = ((name, _version(name, path)) for name in distributions)
    return {name: version for name, version in found if version is not None}


@cache
def _version(distribution: str, path: tuple[str, ...]) -> str | None:
    """The installed version of a distribution; None if none of the folders of ``path``, which is
    Python's, has it. Reading it takes milliseconds, and each step asks for a dozen."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def is_there(distribution: str) -> bool:
    """Whether a distribution is installed, or another that has its module: ``onnxruntime-gpu``."""
    return bool(versions([distribution])) or is_installed(distribution)


class TimingEnvironment(TypedDict):
    """What timings depend on besides the model. They are not used again if any of it differs."""

    processor: str
    gpus: list[str]
    threads: int
    versions: dict[str, str]


class Environment(TimingEnvironment):
    """The machine as a report describes it."""

    python: str
    system: str
    features: list[str]
    memory_bytes: int


def timing_environment() -> TimingEnvironment:
    """This machine, as far as timings depend on it."""
    known = environment()
    return {
        "processor": known["processor"],
        "gpus": known["gpus"],
        "threads": known["threads"],
        "versions": known["versions"],
    }


def environment() -> Environment:
    """This machine."""
    import psutil

    cpu = processor()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": cpu.name,
        "features": list(cpu.features),
        "gpus": list(gpus()),
        "threads": threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "versions": versions(REPORTED_VERSIONS),
    }
