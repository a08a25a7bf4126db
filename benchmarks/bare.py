"""A classifier of tokens or texts run, timed and scored without compress: plain tokenizers, ONNX
Runtime, OpenVINO or transformers, seqeval and scikit-learn, on a raw file. Nothing of compress is
imported here, so that agreement means something.

  python benchmarks/bare.py FOLDER --test FILE [--max-length 128] [--tokenizer FOLDER]
FILE has CoNLL columns, or is a .csv whose first column holds texts and whose second their labels.
The tokenizer and the names of the labels are those of FOLDER, if no other one is given.
It answers lines of JSON: {"do": "score"}, {"do": "prepare", "places": [...]} and {"do": "round"}.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
SETTLE_SECONDS = 0.02
"""How long the model runs untimed before a round: another process had the caches until then."""

Model = Callable[[dict[str, np.ndarray]], np.ndarray]


def main() -> None:
    """Answer each line of the standard input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", required=True)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--tokenizer", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    use_first_cores()
    read = given.tokenizer or given.folder
    is_csv = given.test.endswith(".csv")
    inputs, truth = read_examples(given.test)
    tokenizer = read_tokenizer(read, given.max_length)
    encodings = tokenizer.encode_batch(inputs, is_pretokenized=not is_csv)
    model, parameters = _open(given.folder, is_csv)
    labels = json.loads((read / "config.json").read_text(encoding="utf-8"))["id2label"]
    batches: list[dict[str, np.ndarray]] = []
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "score":
            score = _score_texts if is_csv else _score
            answer: Any = {**score(model, encodings, truth, labels), "parameters": parameters}
        elif asked["do"] == "prepare":
            batches = [arrays([encodings[i]]) for i in asked["places"]]
            answer = len([model(batch) for batch in batches])
        else:
            answer = _round(model, batches)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def use_first_cores() -> None:
    """Run on as many cores as threads, and on the first ones: the instrument times there too."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])


def read_examples(file: str) -> tuple[list[Any], list[Any]]:
    """Texts and labels of a ``.csv``; else the words and the IOB2 tags of each sentence."""
    return _read_csv(file) if file.endswith(".csv") else _read(file)


def read_tokenizer(folder: Path, max_length: int) -> Tokenizer:
    """The tokenizer of a model folder, which cuts and does not pad."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def _read(file: str) -> tuple[list[list[str]], list[list[str]]]:
    """Words and IOB2 tags of each sentence."""
    words: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        columns = line.split(" ")
        if not line.strip() or columns[0] == "-DOCSTART-":
            words.append([])
            tags.append([])
        else:
            words[-1].append(columns[0])
            tags[-1].append(columns[-1])
    return [w for w in words if w], [_iob2(t) for t in tags if t]


def _read_csv(file: str) -> tuple[list[str], list[str]]:
    """The texts and their labels."""
    with Path(file).open(newline="", encoding="utf-8") as opened:
        rows = list(csv.reader(opened))[1:]
    return [row[0] for row in rows], [row[1] for row in rows]


def _iob2(tags: Sequence[str]) -> list[str]:
    """An entity's first tag becomes ``B-``: one after ``O`` or after another type."""
    before = ["O", *tags]
    return [
        f"B-{tag[2:]}" if tag[:2] == "I-" and last[2:] != tag[2:] else tag
        for last, tag in zip(before, tags, strict=False)
    ]


def _open(folder: Path, of_texts: bool) -> tuple[Model, int | None]:
    """The model as a function from arrays to logits, and the parameters that transformers
    counts."""
    for suffix, opener in {".onnx": _open_onnx, ".xml": _open_openvino}.items():
        files = sorted(folder.rglob(f"*{suffix}"))
        if files:
            return opener(files[0]), None
    return _open_torch(folder, of_texts)


def _open_onnx(file: Path) -> Model:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return lambda batch: np.asarray(session.run(["logits"], {n: batch[n] for n in names})[0])


def _open_openvino(file: Path) -> Model:
    # It reports conversions to its makers, unless the package that does so cannot be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    settings = {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"}
    model = openvino.Core().compile_model(file, "CPU", settings)
    names = [port.any_name for port in model.inputs]
    return lambda batch: np.asarray(model({n: batch[n] for n in names})[0])


def _open_torch(folder: Path, of_texts: bool) -> tuple[Model, int | None]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    torch.set_num_threads(THREADS)
    kind = AutoModelForSequenceClassification if of_texts else AutoModelForTokenClassification
    model = kind.from_pretrained(folder, local_files_only=True).eval()

    def run(batch: dict[str, np.ndarray]) -> np.ndarray:
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        with torch.inference_mode():
            logits: np.ndarray = model(**tensors).logits.float().numpy()
        return logits

    return run, None if getattr(model, "is_quantized", False) else model.num_parameters()


def arrays(encodings: Sequence[Encoding]) -> dict[str, np.ndarray]:
    """The inputs of a batch, padded with 0 to the longest: int64 of (examples, tokens)."""
    longest = max(len(e.ids) for e in encodings)
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    return {
        name: np.array(
            [getattr(e, column) + [0] * (longest - len(e.ids)) for e in encodings], dtype=np.int64
        )
        for name, column in columns.items()
    }


def _score(
    model: Model,
    encodings: Sequence[Encoding],
    tags: Sequence[Sequence[str]],
    labels: dict[str, str],
) -> dict[str, float]:
    """``f1`` of entities by seqeval and ``accuracy`` of words by scikit-learn."""
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2
    from sklearn.metrics import accuracy_score

    answers = []
    # One sentence at a time: in a batch an int8 model's answers depend on the other sentences.
    for encoding, own in zip(encodings, tags, strict=True):
        (best,) = model(arrays([encoding])).argmax(-1)
        guess = ["O"] * len(own)  # a word that was cut keeps this
        for position, word in reversed(list(enumerate(encoding.word_ids))):
            if word is not None:
                guess[word] = labels[str(best[position])]
        answers.append(guess)
    return {
        "f1": float(f1_score(list(tags), answers, mode="strict", scheme=IOB2)),
        "accuracy": float(accuracy_score(list(chain(*tags)), list(chain(*answers)))),
    }


def _score_texts(
    model: Model, encodings: Sequence[Encoding], truth: Sequence[str], labels: dict[str, str]
) -> dict[str, float]:
    """``accuracy`` by scikit-learn."""
    from sklearn.metrics import accuracy_score

    answers = [labels[str(model(arrays([encoding])).argmax())] for encoding in encodings]
    return {"accuracy": float(accuracy_score(truth, answers))}


def _round(model: Model, batches: Sequence[dict[str, np.ndarray]]) -> list[int]:
    """Nanoseconds of each example."""
    start = time.perf_counter()
    while time.perf_counter() - start < SETTLE_SECONDS:
        model(batches[0])
    taken = []
    for batch in batches:
        begin = time.perf_counter_ns()
        model(batch)
        taken.append(time.perf_counter_ns() - begin)
    return taken


if __name__ == "__main__":
    main()
