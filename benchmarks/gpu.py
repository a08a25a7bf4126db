"""What the toolkit does on one NVIDIA GPU, in under eight minutes:

  tests       the tests marked gpu
  forward     a BERT-base in float32 and in bf16 at batch 1 and 128: times, and the memory that
              torch allocated and reserved, and that the driver counts
  run         the quickstart with a bitsandbytes step: quality, latency, size and GPU memory of
              every step as measured, and the GPU's memory while it was made and measured

  python benchmarks/gpu.py [--minutes 8] [--dry-run]
Each part is a process of its own. A part that fails or takes too long is named in the results, and
the next one starts. Writes benchmarks/results/gpu.json; with --dry-run, which works without a GPU
and with one epoch of everything, it prints the results instead. Ends with 1 if a part failed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SHORT = (
    "pretrain.epochs=1",
    "teacher.epochs=1",
    "distill.epochs=1",
    "prune.structured.recover.epochs=1",
)
"""Overrides of a dry run."""
_POLL_SECONDS = 0.05
_END_SECONDS = 5
"""Time that is left for writing the results."""
MEASURED = ("quality", "latency_p50", "throughput", "size", "memory_gpu", "memory_gpu_process")


@dataclass
class Part:
    """What came of a part: its values, and why it has none."""

    name: str
    seconds: float = 0.0
    failure: str = ""
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a process ended; ``failure`` is empty if it succeeded."""

    output: str
    failure: str


class PeakMemory:
    """Watches the memory of all GPUs, in a ``with`` block, as the driver counts it (NVML). Other
    processes on the GPU count too."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def between(self, start: float, end: float) -> int | None:
        """The most bytes in use between two times; None if nothing was sampled."""
        return max((used for when, used in self.samples if start <= when <= end), default=None)

    def _watch(self) -> None:
        try:
            import pynvml
        except ImportError:
            return
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except pynvml.NVMLError:
            return
        while not self._ended.wait(_POLL_SECONDS):
            used = sum(pynvml.nvmlDeviceGetMemoryInfo(handle).used for handle in handles)
            self.samples.append((time.time(), used))


def main() -> None:
    """Do all parts and write the results."""
    given = _arguments()
    if not given.dry_run and not _has_gpu():
        sys.stderr.write(
            "error: PyTorch sees no GPU here; --dry-run tries the script without one\n"
        )
        sys.exit(3)
    end = time.monotonic() + 60 * given.minutes - _END_SECONDS
    parts = [
        _done("tests", _tests, end),
        _done("forward", _forward, end),
        _done("run", lambda part, seconds: _run(part, seconds, given.dry_run), end),
    ]
    _write(parts, given.dry_run)
    sys.exit(1 if any(part.failure for part in parts) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8, help="for everything together")
    parser.add_argument("--dry-run", action="store_true", help="small, and without a GPU")
    return parser.parse_args()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _done(name: str, do: Callable[[Part, float], None], end: float) -> Part:
    """The part that ``do`` fills in. It gets the seconds that are left until ``end``."""
    part, start = Part(name), time.monotonic()
    left = end - start
    if left <= 0:
        part.failure = "no time was left for it"
    else:
        do(part, left)
    part.seconds = time.monotonic() - start
    sys.stderr.write(f"{name}: {part.failure or 'done'}, {part.seconds:.0f} s\n")
    return part


def _tests(part: Part, seconds: float) -> None:
    """Run the tests marked gpu. The values count them by how they ended."""
    ended = _process([sys.executable, "-m", "pytest", "-m", "gpu", "-rf", "--tb=short"], seconds)
    part.values = {
        kind: int(count)
        for count, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", ended.output)
    }
    part.failure = ended.failure and f"{ended.failure}: {ended.output[-1500:]}"


def _forward(part: Part, seconds: float) -> None:
    """Run gpu_forward.py, which prints JSON."""
    ended = _process([sys.executable, str(ROOT / "benchmarks" / "gpu_forward.py")], seconds)
    part.failure = ended.failure and f"{ended.failure}: {ended.output[-1500:]}"
    if not part.failure:
        part.values = {"rows": json.loads(ended.output.splitlines()[-1])}


def _run(part: Part, seconds: float, dry: bool) -> None:
    """Run the quickstart with a bitsandbytes step. The values are its steps, also if it failed."""
    with tempfile.TemporaryDirectory() as temporary, PeakMemory() as memory:
        work = Path(temporary)
        ended = _process(_run_command(work, dry), seconds)
        part.failure = ended.failure and f"{ended.failure}: {ended.output[-1500:]}"
        part.values = _run_values(work / "runs", memory)
        if not part.values:
            part.failure = part.failure or "the run left no report"


def _run_command(work: Path, dry: bool) -> list[str]:
    """The command of the run. The bitsandbytes step starts from the teacher, as it would be used:
    a graph cannot become one."""
    text = (ROOT / "recipes" / "quickstart.yaml").read_text(encoding="utf-8")
    recipe = work / "gpu.yaml"
    step = "  - quantize.bitsandbytes: {}\n    from: teacher\n"
    recipe.write_text(text.rstrip() + "\n" + step, encoding="utf-8")
    command = [sys.executable, "-m", "compress", "run", str(recipe)]
    for override in SHORT if dry else ():
        command += ["--set", f"stages.{override}"]
    return [*command, "--store", str(work / "store"), "--runs", str(work / "runs")]


def _run_values(runs: Path, memory: PeakMemory) -> dict[str, Any]:
    """The state of the only run below ``runs``, and its steps; empty if it has no report."""
    files = list(runs.glob("*/report.json"))
    if not files:
        return {}
    report = json.loads(files[0].read_text(encoding="utf-8"))
    spans = _spans(files[0].with_name("events.jsonl"))
    steps = [_step(step, spans, memory) for step in report["steps"]]
    return {"state": report["state"], "seconds": report["seconds"], "steps": steps}


def _spans(events: Path) -> dict[str, tuple[float, float]]:
    """When each step began and ended, in seconds since the epoch, by step."""
    starts: dict[str, float] = {}
    spans = {}
    for line in events.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "step_started":
            starts[event["step"]] = event["time"]
        if event["event"] == "step_finished":
            spans[event["step"]] = (starts[event["step"]], event["time"])
    return spans


def _step(
    step: Mapping[str, Any], spans: Mapping[str, tuple[float, float]], memory: PeakMemory
) -> dict[str, Any]:
    """What was measured of a step, by name, each with its reason if it is absent."""
    measurements = step["measurements"]
    row: dict[str, Any] = {"name": step["name"], "stage": step["stage"], "seconds": step["seconds"]}
    for name in MEASURED:
        measurement = measurements.get(name) or {"value": None, "absent": "not measured"}
        row[name] = measurement["value"]
        if measurement["value"] is None:
            row[f"{name}_absent"] = measurement["absent"]
    detail = (measurements.get("memory_gpu") or {}).get("detail") or {}
    row["memory_by_phase"] = detail.get("tables", {})
    span = spans.get(step["name"])
    row["device_peak"] = memory.between(*span) if span else None
    return row


def _process(command: Sequence[str], seconds: float) -> Ended:
    """How a command ended within ``seconds``; its output is of both streams."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        return Ended(output.decode() if isinstance(output, bytes) else output, "out of time")
    return Ended(done.stdout, f"exit code {done.returncode}" if done.returncode else "")


def _write(parts: Sequence[Part], dry: bool) -> None:
    """Write or print the results."""
    values = {"parts": [asdict(part) for part in parts]}
    if dry:
        sys.stdout.write(json.dumps(values, indent=2) + "\n")
        return
    from common import write_results

    sys.stderr.write(f"wrote {write_results('gpu', values)}\n")


if __name__ == "__main__":
    main()
