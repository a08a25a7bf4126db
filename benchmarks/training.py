"""Fine-tuning throughput of compress beside what a user would write instead, on CoNLL-2003.

Three arms train the same model on the same sentences:
  tutorial  the loop of every tutorial: padded to 128 tokens, batch 16, float32, AdamW
  stock     transformers' Trainer: dynamic padding, batch 32, float32
  compress  the toolkit's training: bucketed by length, batch 32, precision auto

Throughput is measured in rounds, the arms taking turns, each in a fresh process, on random
sentences of the training split (imports and data preparation are not timed; saving the model is).

  python benchmarks/training.py --model FOLDER --data FOLDER [--rounds 5] [--f1 FILE]
FOLDER of the data holds eng.train and eng.testa in columns. FILE holds the F1 of whole trainings on
the validation split (strict IOB2), a line each, as this prints it; they may run side by side, for
how long they take does not count:

  python benchmarks/training.py --model FOLDER --data FOLDER --arm compress --seed 0 --epochs 2 \\
      >> FILE
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from conll import drawn_context, f1_of, stock_parts, train_features

ARMS = ("tutorial", "stock", "compress")
BATCH = {"tutorial": 16, "stock": 32, "compress": 32}
LEARNING_RATE = 2e-4
THROUGHPUT_SENTENCES = {"tutorial": 192, "stock": 640, "compress": 1280}
"""Sentences of a round by arm: about the same time each."""


def main() -> None:
    """Run the arms and write benchmarks/results/training.json."""
    arguments = _arguments()
    if arguments.arm:
        sys.stdout.write(json.dumps(_run_arm(arguments)) + "\n")
        return
    from common import paired_ratio, spread, write_results

    f1 = _scores(arguments.f1)
    rounds = _rounds(arguments)
    speeds = {arm: spread(values) for arm, values in rounds.items()}
    rows = [
        {
            "name": arm,
            "sentences_per_second": s["value"],
            "low": s["low"],
            "high": s["high"],
            "f1": f1[arm],
            "batch_size": BATCH[arm],
        }
        for arm, s in speeds.items()
    ]
    ratios = [
        {"name": f"compress / {arm}", **paired_ratio(rounds["compress"], rounds[arm])}
        for arm in ARMS[:2]
    ]
    settings = {
        "rounds": arguments.rounds,
        "learning_rate": LEARNING_RATE,
        "model": Path(arguments.model).name,
    }
    file = write_results("training", {"settings": settings, "rows": rows, "ratios": ratios})
    sys.stderr.write(f"wrote {file}\n")


def _rounds(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Sentences per second of each arm in each round. The arms take turns, and every second round
    has them in reverse order, so that a drift of the machine meets all alike."""
    rounds: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for turn in range(arguments.rounds):
        for arm in ARMS if turn % 2 == 0 else reversed(ARMS):
            result = _start(arguments, arm, turn, THROUGHPUT_SENTENCES[arm])
            rounds[arm].append(result["sentences_per_second"])
            sys.stderr.write(f"round {turn} {arm}: {rounds[arm][-1]:.1f} sentences/s\n")
    return rounds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--f1", type=Path)
    parser.add_argument("--arm", choices=ARMS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--sentences", type=int, help="of the training split, drawn at random; all without it"
    )
    parser.add_argument(
        "--epochs", type=int, default=0, help="train so many and score; without it one, and do not"
    )
    return parser.parse_args()


def _scores(file: Path | None) -> dict[str, list[dict[str, Any]]]:
    """Seed, epochs and F1 of each whole training, by arm."""
    scores: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for line in file.read_text(encoding="utf-8").splitlines() if file else ():
        values = json.loads(line)
        if values["arm"] in scores:
            score = {key: values[key] for key in ("seed", "epochs", "f1", "processor")}
            scores[values["arm"]].append(score)
    for of_arm in scores.values():
        of_arm.sort(key=lambda score: (score["epochs"], score["seed"]))
    return scores


def _start(arguments: argparse.Namespace, arm: str, turn: int, sentences: int) -> dict[str, Any]:
    """The result of one arm in a fresh process."""
    command = [
        sys.executable,
        __file__,
        "--model",
        arguments.model,
        "--data",
        arguments.data,
        "--arm",
        arm,
        "--seed",
        str(turn),
        "--sentences",
        str(sentences),
    ]
    from compress.workers.supervisor import worker_environment

    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=worker_environment()
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _run_arm(arguments: argparse.Namespace) -> dict[str, Any]:
    import os

    import torch
    from transformers import set_seed

    from compress.machine import processor

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    set_seed(arguments.seed)
    with tempfile.TemporaryDirectory() as work:
        context = drawn_context(
            arguments.model, arguments.data, arguments.seed, arguments.sentences, Path(work)
        )
        model = _model(context)
        epochs = arguments.epochs or 1
        examples = len(context.data.rows("train")) * epochs
        seconds = {"tutorial": _tutorial, "stock": _stock, "compress": _compress}[arguments.arm](
            model, context, epochs
        )
        result = {
            "arm": arguments.arm,
            "seed": arguments.seed,
            "sentences_per_second": examples / seconds,
        }
        if not arguments.epochs:
            return result
        return {
            **result,
            "epochs": epochs,
            "f1": f1_of(model, context),
            "processor": processor().name,
        }


def _model(context: Any) -> Any:
    from compress.adapting import adapt_model

    return adapt_model(context.input, context.task, context.data.labels).model


def _compress(model: Any, context: Any, epochs: int) -> float:
    from compress.training import TrainingOptions, fit

    options = TrainingOptions(
        epochs=epochs, learning_rate=LEARNING_RATE, batch_size=BATCH["compress"]
    )
    facts = fit(model, context, options)
    return float(facts["training_seconds"])


def _stock(model: Any, context: Any, epochs: int) -> float:
    from transformers import Trainer

    trainer = Trainer(
        model=model,
        **stock_parts(context, epochs, BATCH["stock"], LEARNING_RATE),
    )
    start = time.perf_counter()
    trainer.train()
    return time.perf_counter() - start


def _tutorial(model: Any, context: Any, epochs: int) -> float:
    import torch
    from torch.utils.data import DataLoader
    from transformers import get_linear_schedule_with_warmup

    length = 128
    features = train_features(context)
    pads = {"input_ids": 0, "attention_mask": 0, "token_type_ids": 0, "labels": -100}
    columns = {}
    for name, pad in pads.items():
        default = 1 if name == "attention_mask" else 0
        padded = []
        for feature in features:
            tokens = len(feature["input_ids"])
            values = feature.get(name) or [default] * tokens
            padded.append(values + [pad] * (length - tokens))
        columns[name] = torch.tensor(padded)  # (sentences, length)
    rows = [{k: v[i] for k, v in columns.items()} for i in range(len(features))]
    loader = DataLoader(rows, batch_size=BATCH["tutorial"], shuffle=True)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    total = len(loader) * epochs
    schedule = get_linear_schedule_with_warmup(optimizer, int(0.06 * total), total)
    model.train()
    start = time.perf_counter()
    for _ in range(epochs):
        for batch in loader:
            model(**batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.save_pretrained(context.work / "tutorial")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
