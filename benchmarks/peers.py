"""int8 models of compress beside those that other tools make of the same model: optimum-onnx and
Olive (dynamic int8, each in an environment of its own that is made here), and NNCF called directly.

  python benchmarks/peers.py MODEL --train FILE --test FILE [--work FOLDER] [--loads N]
MODEL is a fine-tuned PyTorch folder for token classification (FILE has CoNLL columns) or for text
classification (FILE is a .csv: texts, then labels), such as a step of a run. Every model is scored
on the whole test file and timed at one text at a time by the same bare loop (bare.py), in turns.
--work keeps the environments and models for another call. Nothing else may run on the machine.
Writes benchmarks/results/peers.json.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from bareloop import BareLoop, bare_loop
from common import paired_ratio, spread, write_results
from peers_making import PINS, Asked, Made, made

from compress.errors import CompressError

Times = Mapping[str, Sequence[float]]
"""By model: milliseconds of an example, one number for each load."""


def main() -> None:
    """Make, measure and write the result."""
    given, load = _arguments(), os.getloadavg()[0]
    asked = Asked(
        given.model.resolve(), given.train.resolve(), given.test.resolve(), given.max_length
    )
    with _place(given.work) as work:
        try:
            models = made(asked, work)
            rows = compared(models, asked, work, loads=given.loads, rounds=given.rounds)
        except CompressError as error:
            raise SystemExit(f"error: {error}") from error
    settings = {
        "task": asked.task,
        "loads": given.loads,
        "rounds": given.rounds,
        "pins": {tool: list(pins) for tool, pins in PINS.items()},
        "versions": {"nncf": version("nncf"), "openvino": version("openvino")},
        "load": load,
    }
    sys.stderr.write(f"wrote {write_results('peers', {'settings': settings, 'rows': rows})}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--work", type=Path, metavar="FOLDER")
    parser.add_argument("--loads", type=int, default=6, help="how often all load their model anew")
    parser.add_argument("--rounds", type=int, default=5, help="of each load")
    return parser.parse_args()


@contextmanager
def _place(work: Path | None) -> Iterator[Path]:
    if work is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        work.mkdir(parents=True, exist_ok=True)
        yield work.resolve()


def compared(
    models: Sequence[Made], asked: Asked, work: Path, *, loads: int, rounds: int, examples: int = 64
) -> list[dict[str, Any]]:
    """A row for each model: its scores on the whole test file, the bytes of its weights and of its
    folder, its latency, and its speed as ratios to all others."""
    scores, times = [], []
    for one in models:
        with _loop(one, asked, work) as loop:
            scores.append(loop.score())
    count = len(_test_examples(asked))
    places = random.Random(0).sample(range(count), min(examples, count))
    for load in range(loads):
        times.append(_timed(models, asked, work, places, rounds, load))
    by_model = np.array(times).T.tolist()  # (models, loads)
    return [
        {
            "name": one.name,
            "tool": one.tool,
            "precision": one.precision,
            **{key: value for key, value in scores[place].items() if key != "parameters"},
            **_sizes(one.folder),
            "latency_ms": spread(by_model[place]),
            "faster": [paired_ratio(other, by_model[place]) for other in by_model],
        }
        for place, one in enumerate(models)
    ]


def _loop(one: Made, asked: Asked, work: Path) -> Any:
    log = work / "bare.log"
    return bare_loop(
        one.folder, asked.test, log, max_length=asked.max_length, tokenizer=asked.model
    )


def _test_examples(asked: Asked) -> Sequence[Any]:
    from bare import read_examples

    return read_examples(str(asked.test))[0]


def _timed(
    models: Sequence[Made],
    asked: Asked,
    work: Path,
    places: Sequence[int],
    rounds: int,
    load: int,
) -> list[float]:
    """Milliseconds of an example of each model, which all are loaded anew: A B C, C B A, ... Of
    each example the median over the rounds counts."""
    with ExitStack() as stack:
        loops: list[BareLoop] = [stack.enter_context(_loop(one, asked, work)) for one in models]
        for loop in loops:
            loop.prepare(places)
        taken: list[list[list[int]]] = [[] for _ in loops]
        for number in range(rounds):
            order = range(len(loops))
            for place in order if (number + load) % 2 == 0 else reversed(order):
                taken[place].append(loops[place].round())
    return [float(np.median(each, axis=0).mean()) / 1e6 for each in taken]


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of the files that hold the model, and of all files but the manifest of compress."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "compress.json"]
    weights = [file for file in files if file.suffix in (".onnx", ".data", ".xml", ".bin")]
    return {
        "model_bytes": sum(file.stat().st_size for file in weights),
        "folder_bytes": sum(file.stat().st_size for file in files),
    }


if __name__ == "__main__":
    main()
