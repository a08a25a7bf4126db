"""What the machine is: processor features, cores that this process may use, memory. No torch."""

from __future__ import annotations

import os
import platform
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
    """Threads that a process here computes with: what OMP_NUM_THREADS says (of a list the first, which is the outermost
    level's), else the cores it may run on, not those of the machine. Raises UsageError where the variable is no number."""
    given = environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not given:
        return len(_cores())
    if not given.isdecimal() or int(given) == 0:
        raise UsageError(f"OMP_NUM_THREADS is {environ['OMP_NUM_THREADS']!r}: set it to a whole number from 1, or unset it")
    return int(given)


def stay_on_cores(count: int) -> None:
    """Keep this process on the first ``count`` of the cores it may run on, where the system can: processes that take turns
    then meet the same caches and clocks."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _cores()[:count])


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@dataclass(frozen=True)
class Processor:
    """A processor's name, vendor as it names itself, and which of ``FEATURES`` it has (empty where the system does not
    say)."""

    name: str
    vendor: str
    features: tuple[str, ...]

    @property
    def fast_in_bf16(self) -> bool:
        """Whether bf16 matrix products are faster than fp32 ones.

        AMX is; AVX512_BF16 is on AMD's (Zen 4: 2x in training), and not on Intel's without AMX (oneDNN 3.12 on Sapphire
        Rapids with AMX masked: 80 GFLOP/s a core in bf16 and 145 in fp32)."""
        return "amx_bf16" in self.features or ("avx512_bf16" in self.features and self.vendor == "AuthenticAMD")


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
    return Processor(first.get("model name", platform.machine()), first.get("vendor_id", ""),
                     tuple(f for f in FEATURES if f in flags))


def forget_peak_memory() -> None:
    """Start the process's peak resident memory (VmHWM) anew, where the system can: Linux, ``man 5 proc``. Whether it did,
    ``peak_memory`` shows."""
    with suppress(OSError):  # there is no such file, or a container may not write it
        _PEAK_SWITCH.write_text("5", encoding="ascii")


def peak_memory() -> int | None:
    """Bytes of the process's peak resident memory since it was last started anew; None where the system does not say."""
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
    """What timings depend on besides the model: they are not taken over from where any of it was otherwise."""
    known = environment()
    return {key: known[key] for key in ("processor", "threads", "versions")}


def environment() -> dict[str, Any]:
    """What a report says of the machine."""
    cpu = processor()
    return {"python": platform.python_version(), "system": f"{platform.system()} {platform.release()}",
            "processor": cpu.name, "features": list(cpu.features), "threads": threads(),
            "memory_bytes": psutil.virtual_memory().total,
            "versions": versions(("compress-toolkit", "torch", "transformers", "onnxruntime", "onnx", "bitsandbytes",
                                  "optimum", "accelerate", "tokenizers", "numpy"))}
