"""What more data cost: seconds and peak memory to prepare 10,000, 100,000 and 1,000,000 rows of
CSV, to train 200 steps on them and to measure quality on a hundredth of them.

  python benchmarks/dataatscale.py [--rows N ...] [--rounds N]
``datasets.load_dataset`` of the same file takes turns with the preparation. Each is a process of
its own. Nothing else may run on the machine. Writes benchmarks/results/dataatscale.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from common import write_results

from compress.machine import peak_memory
from compress.ranks import Alone
from compress.store.prepared import Prepared, prepare
from compress.task import Task

ROWS = (10_000, 100_000, 1_000_000)
WORDS = 5_000
LABELS = 20
STEPS, BATCH = 200, 32
SHAPE = {
    "type": "bert",
    "vocab_size": WORDS + 4,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 256,
    "max_position_embeddings": 64,
}


def main() -> None:
    """Measure everything, the smallest data first, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--do", choices=sorted(ASKED), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.do:
        _do(arguments.do, arguments.folder)
        return
    rows = [_measured(count, arguments.rounds) for count in arguments.rows]
    settings = {"rounds": arguments.rounds, "steps": STEPS, "load": os.getloadavg()[0]}
    path = write_results("dataatscale", {"settings": settings, "rows": rows})
    sys.stderr.write(f"wrote {path}\n")


def _measured(count: int, rounds: int) -> dict[str, Any]:
    """Medians of seconds and of peak memory in bytes, by what was done."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_csv(folder / "train.csv", count, seed=0)
        write_csv(folder / "test.csv", max(1, count // 100), seed=1)
        row: dict[str, Any] = {"rows": count, "csv_bytes": (folder / "train.csv").stat().st_size}
        turns = [*["datasets", "prepare"] * rounds, "train", "measure"]
        answers: dict[str, list[dict[str, float]]] = {}
        for what in turns:
            answers.setdefault(what, []).append(_asked(what, folder))
            sys.stderr.write(f"{count} rows, {what}: {answers[what][-1]}\n")
        for what, some in answers.items():
            row[what] = {key: median(answer[key] for answer in some) for key in some[0]}
        return row


def _asked(what: str, folder: Path) -> dict[str, float]:
    """Seconds and peak memory of a process that does it."""
    words = [sys.executable, __file__, "--do", what, "--folder", str(folder)]
    said = subprocess.check_output(words, text=True).splitlines()
    answer: dict[str, float] = json.loads(said[-1])  # the lines before are those of Trainer
    return answer


def _do(what: str, folder: Path) -> None:
    """Do it in this process, and print its seconds and its peak memory."""
    act = ASKED[what](folder)
    start, before = time.perf_counter(), time.process_time()
    act()
    measured = {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - before,
        "peak_bytes": peak_memory(),
    }
    print(json.dumps(measured))  # noqa: T201


def write_csv(path: Path, count: int, seed: int) -> None:
    """Sentences of 8 to 27 words with a label; one in three has a comma, and so quotes."""
    words, draws = vocabulary(), random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for number in range(count):
            text = " ".join(draws.choices(words, k=draws.randint(8, 27)))
            text = text.replace(" ", ", ", 1) if number % 3 == 0 else text
            writer.writerow([text, f"label {draws.randrange(LABELS)}"])


def vocabulary() -> list[str]:
    """Different words."""
    draws, words = random.Random(0), dict[str, None]()
    while len(words) < WORDS:
        words["".join(draws.choices("abcdefghijklmnopqrstuvwxyz", k=draws.randint(2, 9)))] = None
    return list(words)


def _load_by_datasets(folder: Path) -> Callable[[], object]:
    from datasets import load_dataset

    cache = tempfile.mkdtemp(dir=folder)
    return lambda: load_dataset("csv", data_files=str(folder / "train.csv"), cache_dir=cache)


def _prepare(folder: Path) -> Callable[[], object]:
    from compress_sources.delimited import Csv

    source = Csv(Csv.Options(train=str(folder / "train.csv"), test=str(folder / "test.csv")))
    output = folder / "data"
    output.mkdir(exist_ok=True)
    return lambda: prepare(source, task(), output)


def _train(folder: Path) -> Callable[[], object]:
    from compress.models import fresh_model
    from compress.training import TrainingOptions, fit

    data, work = Prepared(folder / "data", ""), folder / "work"
    epochs = STEPS * BATCH / len(data.rows("train"))
    options = TrainingOptions(epochs=epochs, batch_size=BATCH, precision="fp32")
    given = {"task": task(), "data": data, "seed": 0, "work": work, "input": None}
    context: Any = _Context(**given, progress=_silent, note=_silent)
    model = fresh_model(SHAPE, task(), data.labels)
    return lambda: fit(model, context, options, processor=processor())


class _Context(SimpleNamespace, Alone):
    """What a training reads of a stage's context."""


def _measure(folder: Path) -> Callable[[], object]:
    from compress_meters.quality import Quality

    from compress.artifact import Manifest, Traits, digest_files
    from compress.models import fresh_model
    from compress.registry.plugins import load_plugins
    from compress.workers.jobs.probing import open_probe
    from compress.workers.protocol import Chosen, ProbeArtifact, Subject

    data, model, one = Prepared(folder / "data", ""), folder / "model", task()
    fresh_model(SHAPE, one, data.labels).save_pretrained(model)
    processor().save(model)
    traits = Traits(task=one.name)
    Manifest(traits, digest_files(model), "model", "import", labels=data.labels).write(model)
    chosen = Chosen(one.name, one.options.model_dump(mode="json"))
    job = ProbeArtifact(Subject("model", model, chosen, data), "quick")
    return lambda: Quality().sample(open_probe(job, load_plugins()))


ASKED: dict[str, Callable[[Path], Callable[[], object]]] = {
    "datasets": _load_by_datasets,
    "prepare": _prepare,
    "train": _train,
    "measure": _measure,
}
"""What is done, without what a process needs before it can begin."""


def task() -> Task[Any]:
    """Text classification of short texts."""
    from compress_tasks import TextClassification
    from compress_tasks.text_classification import TextClassificationOptions

    return TextClassification(TextClassificationOptions(max_length=32))


def processor() -> Any:
    """A tokenizer with a token for each word."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from compress.processor import TextProcessor

    special = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }
    ids = {token: number for number, token in enumerate([*special.values(), *vocabulary()])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return TextProcessor(tokenizer, {**special, "tokenizer_class": "TokenizersBackend"}, "bert")


def _silent(*_: object, **__: object) -> None:
    """Nobody is told."""


if __name__ == "__main__":
    main()
