"""How fast a GPT-2 writes in each engine: PyTorch with a cache, and ONNX Runtime in float32 and in
int8, one text at a time.

  python benchmarks/decoding.py [--rounds N] [--layers N]
The model has the shape of GPT-2 (124 million parameters) and random weights: its speed is that of a
trained one, its text has no meaning. The engines take turns, each in a fresh process. Nothing else
may run on the machine. Takes about 6 minutes on two cores. Writes
benchmarks/results/decoding.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from common import paired_ratio, spread, write_results
from decoding_writer import NEW, PROMPT

ENGINES = ("torch", "onnxruntime", "onnxruntime-int8")
ROUNDS = 7
WRITER = Path(__file__).with_name("decoding_writer.py")


def main() -> None:
    """Make the models, time them in turns and write the result."""
    given, load = _arguments(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _call("make", place, str(given.layers))
        seen: dict[str, list[dict[str, Any]]] = {name: [] for name in ENGINES}
        for number in range(given.rounds):
            # The other way round each second time: what follows what evens out.
            for name in ENGINES[:: 1 if number % 2 == 0 else -1]:
                seen[name].append(_call("write", place, name))
        sizes = {name: _bytes(place / name) for name in ENGINES}
    rows = [_row(name, seen, sizes) for name in ENGINES]
    settings = {"rounds": given.rounds, "layers": given.layers, "prompt": PROMPT, "new": NEW}
    values = {"settings": {**settings, "load": load}, "rows": rows}
    sys.stderr.write(f"wrote {write_results('decoding', values)}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--layers", type=int, default=12)
    return parser.parse_args()


def _call(*words: Any) -> dict[str, Any]:
    """What a fresh process answers."""
    command = [sys.executable, str(WRITER), *map(str, words)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _bytes(folder: Path) -> int:
    """Bytes of the files that hold a model's weights."""
    files = [
        file for file in folder.rglob("*") if file.suffix in (".onnx", ".data", ".safetensors")
    ]
    return sum(file.stat().st_size for file in files)


def _row(
    name: str, seen: Mapping[str, Sequence[Mapping[str, Any]]], sizes: Mapping[str, int]
) -> dict[str, Any]:
    """What was found of one engine, and its speed as ratios to the others."""
    speeds = {each: [run["tokens_per_second"] for run in runs] for each, runs in seen.items()}
    return {
        "name": name,
        "bytes": sizes[name],
        "first_token_ms": spread([run["first_token_ms"] for run in seen[name]]),
        "token_ms": spread([run["token_ms"] for run in seen[name]]),
        "tokens_per_second": spread(speeds[name]),
        "faster": {
            each: paired_ratio(speeds[name], speeds[each]) for each in ENGINES if each != name
        },
        "same_tokens": median(
            _same(run["tokens"], seen["torch"][0]["tokens"]) for run in seen[name]
        ),
    }


def _same(tokens: Sequence[int], others: Sequence[int]) -> float:
    """The share of a text before the first token that differs."""
    equal = [a == b for a, b in zip(tokens, others, strict=True)]
    return (equal.index(False) if False in equal else len(equal)) / len(equal)


if __name__ == "__main__":
    main()
