"""What a command costs before it computes anything: the seconds of a short chain beside those of
one import of the training libraries, of a plan and of a listing.

  python benchmarks/fixedcost.py [--against FOLDER] [--rounds N]
FOLDER is another checkout of this repository, which takes turns with this one. Nothing else may run
on the machine. Writes benchmarks/results/fixedcost.json.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from common import write_results

ROOT = Path(__file__).parents[1]
IMPORT = "import torch, transformers.trainer, evaluate, datasets"
"""The training libraries."""
SPLITS = {"train": 140, "validation": 20, "test": 40}
"""Rows."""
RECIPE = """\
task: {text-classification: {max_length: 16}}
model: {type: bert, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2,
        intermediate_size: 64, max_position_embeddings: 20}
data: {train: train.csv, validation: validation.csv, test: test.csv}
benchmark: {effort: quick}
stages:
  - pretrain: {epochs: 1, batch_size: 8, vocabulary: 300}
    task: {fill-mask: {max_length: 16}}
  - finetune: {epochs: 2, batch_size: 8, learning_rate: 1e-2}
  - quantize.onnx: {}
"""
"""Three steps of a model of 27 thousand parameters."""
WORDS = {
    "import": ["-c", IMPORT],
    "stages": ["-m", "compress", "stages"],
    "plan": ["-m", "compress", "plan", "chain.yaml", "--store", "families"],
    "chain": ["-m", "compress", "run", "chain.yaml", "--store", "store", "--runs", "runs"],
}
"""The arguments of Python, by the name of what is timed."""


def main() -> None:
    """Time everything in turns and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    roots = {"now": ROOT}
    if arguments.against is not None:
        roots["before"] = arguments.against.resolve()
    rows = [_row(name, seconds) for name, seconds in _timed(roots, arguments.rounds).items()]
    values = {"settings": {"rounds": arguments.rounds, "load": os.getloadavg()[0]}, "rows": rows}
    sys.stderr.write(f"wrote {write_results('fixedcost', values)}\n")


def _timed(roots: Mapping[str, Path], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each round, by the name of the checkout and of what was timed."""
    seconds: dict[str, dict[str, list[float]]] = {
        name: {what: [] for what in WORDS} for name in roots
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _write_data(place)
        for root in roots.values():  # each asks transformers for its families once
            _seconds(WORDS["plan"], place, root)
        for number in range(rounds):
            for name, root in roots.items():
                for what, words in WORDS.items():
                    if what == "chain":
                        words = _in_new_store(words, place, f"{name}-{number}")
                    seconds[name][what].append(_seconds(words, place, root))
                    sys.stderr.write(f"{name} {what}: {seconds[name][what][-1]:.2f} s\n")
    return seconds


def _seconds(words: Sequence[str], place: Path, root: Path) -> float:
    """The time of Python with these arguments, with the code of a checkout."""
    folders = [root, *sorted(root.glob("plugins/compress-*"))]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *words], cwd=place, env=environ, check=True, capture_output=True
    )
    return time.perf_counter() - start


def _in_new_store(words: Sequence[str], place: Path, name: str) -> list[str]:
    """The words with a store that has nothing but the families that transformers knows."""
    store = place / f"store-{name}"
    (store / "products").mkdir(parents=True)
    (store / "products" / "families").symlink_to(place / "families" / "products" / "families")
    return [{"store": store.name, "runs": f"runs-{name}"}.get(word, word) for word in words]


def _write_data(place: Path) -> None:
    """The recipe, and sentences whose label follows from one word."""
    (place / "chain.yaml").write_text(RECIPE, encoding="utf-8")
    generator = random.Random(0)
    for split, count in SPLITS.items():
        lines = ["text,label"]
        for _ in range(count):
            word = generator.choice(("good", "bad"))
            lines.append(f"the {word} day {generator.randrange(100)} of the week,{word}")
        (place / f"{split}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(name: str, seconds: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """The medians, and how many imports the chain takes."""
    medians = {what: median(values) for what, values in seconds.items()}
    return {"name": name, **medians, "imports": medians["chain"] / medians["import"]}


if __name__ == "__main__":
    main()
