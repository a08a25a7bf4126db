"""Distillation with compress beside the loop that a user would write instead, on CoNLL-2003: what a
training costs as a whole, and what its student scores.

Each arm makes the same student of 3 of the teacher's 6 layers, from the same sentences:
  stock   transformers' Trainer with dynamic padding, batch 32, float32; the teacher answers each
          batch in compute_loss (logits at temperature 2, the last hidden state, true labels)
  labels  compress, true labels alone
  kept    compress, the default losses: the teacher answers once, and its answers are kept
  full    compress, with true labels and relations of attention (the teacher answers each batch)

The arms take turns, each in a fresh process, on random sentences of the training split. A whole
training counts, with the teacher's answers and without reading the data; so does the time of its
steps alone, which the arms of compress state.

  python benchmarks/distilling_methods.py --teacher FOLDER --data FOLDER [--rounds 5] [--f1 FILE]
The teacher is a model that compress fine-tuned. FOLDER of the data holds eng.train, eng.testa and
eng.testb in columns. FILE holds the F1 of whole trainings on the validation split, a line each, as
this prints it:

  python benchmarks/distilling_methods.py --teacher FOLDER --data FOLDER --arm kept --epochs 8 \\
      >> FILE
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from conll import drawn_context, f1_of, stock_parts

LOSSES: Mapping[str, list[Any] | None] = {
    "stock": None,
    "labels": ["labels"],
    "kept": ["logits", "hidden"],
    "full": ["logits", "hidden", "relations", {"labels": {"weight": 0.5}}],
}
LAYERS, LEARNING_RATE, BATCH, TEMPERATURE = 3, 4e-4, 32, 2.0
_EPOCHS, _SENTENCES = 8, 320
"""Those of a round: as many epochs as a user would train, on fewer sentences."""


def main() -> None:
    """Run the arms and write benchmarks/results/distilling-methods.json."""
    asked = _arguments()
    if asked.arm:
        sys.stdout.write(json.dumps(_run_arm(asked)) + "\n")
        return
    from common import paired_ratio, spread, write_results

    rounds = _rounds(asked)
    whole = {arm: [one["seconds"] for one in made] for arm, made in rounds.items()}
    steps = {arm: [one["training_seconds"] for one in made] for arm, made in rounds.items()}
    rows = [
        {
            "arm": arm,
            "seconds": spread(whole[arm]),
            "stock_against_it": paired_ratio(whole["stock"], whole[arm]),
            "step_against_labels": paired_ratio(steps[arm], steps["labels"]),
            "f1": [line for line in _lines(asked.f1) if line["arm"] == arm],
        }
        for arm in LOSSES
    ]
    settings = {"rounds": asked.rounds, "epochs": _EPOCHS, "sentences": _SENTENCES}
    file = write_results("distilling-methods", {"settings": settings, "rows": rows})
    sys.stderr.write(f"wrote {file}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True, type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--f1", type=Path)
    parser.add_argument("--arm", choices=list(LOSSES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sentences", type=int, help="drawn at random; all without it")
    parser.add_argument("--epochs", type=int, help="train so many and score")
    return parser.parse_args()


def _lines(file: Path | None) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8") if file else ""
    return [json.loads(line) for line in text.splitlines()]


def _rounds(asked: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """What each arm took in each round. Every second round has the arms in reverse order, so that
    a drift of the machine meets all alike."""
    rounds: dict[str, list[dict[str, float]]] = {arm: [] for arm in LOSSES}
    for turn in range(asked.rounds):
        for arm in LOSSES if turn % 2 == 0 else reversed(LOSSES):
            rounds[arm].append(_started(asked, arm, turn))
            sys.stderr.write(f"round {turn} {arm}: {rounds[arm][-1]}\n")
    return rounds


def _started(asked: argparse.Namespace, arm: str, turn: int) -> dict[str, float]:
    """The result of one arm in a fresh process."""
    from compress.workers.supervisor import worker_environment

    of_round = {"teacher": asked.teacher, "data": asked.data, "arm": arm, "seed": turn}
    command = [sys.executable, __file__, "--sentences", str(_SENTENCES)]
    for name, value in of_round.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=worker_environment()
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _run_arm(asked: argparse.Namespace) -> dict[str, Any]:
    import torch

    from compress.machine import processor, threads

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or threads()))
    epochs = asked.epochs or _EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        context = drawn_context(asked.teacher, asked.data, asked.seed, asked.sentences, work)
        if asked.arm == "stock":
            student, seconds = _stock(context, epochs)
            made = {"seconds": seconds, "training_seconds": seconds}
        else:
            student, made = _compress(asked, epochs, work)
        if not asked.epochs:
            return made
        scored = {"f1": f1_of(student, context), "processor": processor().name}
        return {"arm": asked.arm, "seed": asked.seed, "epochs": epochs, **made, **scored}


def _compress(asked: argparse.Namespace, epochs: int, work: Path) -> tuple[Any, dict[str, float]]:
    """The student of a recipe's step, the seconds of the step, and those of its training steps."""
    from transformers import AutoModelForTokenClassification

    from compress.artifact import Manifest

    data = Path(asked.data).resolve()
    files = {split: str(data / f"eng.{name}") for split, name in _FILES.items()}
    options = {
        "student": {"layers": LAYERS},
        "losses": LOSSES[asked.arm],
        "epochs": epochs,
        "learning_rate": LEARNING_RATE,
        "batch_size": BATCH,
    }
    rows = {"rows": {"train": asked.sentences}} if asked.sentences else {}
    recipe = {
        "task": "token-classification",
        "model": str(asked.teacher.resolve()),
        "data": {"source": "conll", **files, **rows},
        "seed": asked.seed,
        "stages": [{"distill": options, "name": "student"}],
    }
    (work / "methods.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    command = [sys.executable, "-m", "compress", "run", "methods.yaml", "--store", "store"]
    subprocess.run(
        command,
        check=True,
        cwd=work,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "COMPRESS_DISABLE_PLUGINS": "meters"},
    )
    (report,) = work.glob("runs/*/report.json")
    (step,) = [s for s in json.loads(report.read_text())["steps"] if s["name"] == "student"]
    folder = report.parent / step["folder"]
    notes = Manifest.read(folder).notes
    student = AutoModelForTokenClassification.from_pretrained(folder)
    return student, {"seconds": step["seconds"], "training_seconds": notes["training_seconds"]}


_FILES = {"train": "train", "test": "testb"}
"""No validation split: the loop of a user scores nothing while it trains."""


def _stock(context: Any, epochs: int) -> tuple[Any, float]:
    """The student of transformers' Trainer, and the seconds of making and training it."""
    from transformers import AutoModelForTokenClassification, set_seed

    set_seed(context.seed)
    parts = stock_parts(context, epochs, BATCH, LEARNING_RATE)
    start = time.perf_counter()
    teacher = AutoModelForTokenClassification.from_pretrained(context.input.folder).eval()
    trainer = _distiller(teacher)(model=_cut(teacher), **parts)
    trainer.train()
    return trainer.model, time.perf_counter() - start


def _distiller(teacher: Any) -> Any:
    """A Trainer whose student learns from ``teacher``, which answers each batch."""
    import torch
    from torch.nn import functional
    from transformers import Trainer

    class Distiller(Trainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any
        ) -> Any:
            """The sum of three losses of the tokens that have a label."""
            learned = model(**inputs, output_hidden_states=True)
            with torch.no_grad():
                taught = teacher(**inputs, output_hidden_states=True)
            counts = inputs["labels"] != -100
            divergence = functional.kl_div(
                functional.log_softmax(learned.logits[counts] / TEMPERATURE, -1),
                functional.softmax(taught.logits[counts] / TEMPERATURE, -1),
                reduction="batchmean",
            )
            own, other = learned.hidden_states[-1][counts], taught.hidden_states[-1][counts]
            loss = learned.loss + TEMPERATURE**2 * divergence + functional.mse_loss(own, other)
            return (loss, learned) if return_outputs else loss

    return Distiller


def _cut(teacher: Any) -> Any:
    """A copy of a BERT with evenly spaced layers, from the first to the last."""
    import numpy as np

    student = deepcopy(teacher)
    layers = student.bert.encoder.layer
    kept = np.linspace(0, len(layers) - 1, LAYERS).round().astype(int).tolist()
    student.bert.encoder.layer = type(layers)(layers[place] for place in kept)
    student.config.num_hidden_layers = LAYERS
    return student


if __name__ == "__main__":
    main()
