"""What the machine is: processor features, cores that this process may use, memory. No torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")


def threads() -> int:
    """Threads that a process here should use: the cores it may run on, not those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@cache
def processor() -> tuple[str, tuple[str, ...]]:
    """The processor's name and which of ``FEATURES`` it has (empty where the system does not say)."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine(), ()
    name, flags = platform.machine(), set()
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() == "flags" and not flags:
            flags = set(value.split())
    return name, tuple(f for f in FEATURES if f in flags)


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Installed versions by distribution name; those that are not installed are left out."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, Any]:
    """What a report says of the machine."""
    name, features = processor()
    return {"python": platform.python_version(), "system": f"{platform.system()} {platform.release()}",
            "processor": name, "features": list(features), "threads": threads(),
            "memory_bytes": psutil.virtual_memory().total,
            "versions": versions(("compress-toolkit", "torch", "transformers", "onnxruntime", "onnx", "bitsandbytes",
                                  "optimum", "accelerate", "tokenizers", "numpy"))}
