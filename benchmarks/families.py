"""The matrix of families: what the toolkit does with a tiny random model of each family of
transformers that has a head for classification.

  answers     one text at a time, and in a batch, as AutoModel with AutoTokenizer gives them
  onnx        export.onnx, and the graph's answers
  int8        quantize.onnx
  bitsandbytes, distill, prune
Each works, or is refused in one line. Each stage runs by `compress run`, in processes of its own.

  python benchmarks/families.py [FAMILY ...] [--work FOLDER] [--jobs 2]
Writes the rows into benchmarks/results/families.json, where each replaces the family's older one.
`make docs` makes docs/families.md of them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from families_answers import Answers, Ended, Failure, in_a_process, ours, write

MINUTES = 15
"""The most that one command may take for one family."""
LOG = "log.txt"
RESULT = "families"
TOLERANCE = 1e-4
_HEAD = (
    "task: {text-classification: {max_length: 64}}\n",
    "model: model\n",
    "data: {source: csv, train: train.csv, test: test.csv}\n",
    "benchmark: {effort: quick}\n",
    "stages:\n",
)
_PLACE = re.compile(r"recipe\.yaml:(\d+):\d+: ")

Status = Literal["works", "refused", "differs", "broken"]


@dataclass(frozen=True)
class Operation:
    """A stage that is tried on every family; ``options`` are those of its step in a recipe, and
    ``of_two`` those for a model with an encoder and a decoder, if they are others."""

    name: str
    stage: str
    options: str
    of_two: str = ""


_OF_TWO = (
    "{teacher: model, student: {layers: {encoder: 1, decoder: 1}}, losses: [logits], epochs: 1}"
)
OPERATIONS = (
    Operation("prune", "prune.structured", "{feed_forward: 0.5}"),
    Operation("distill", "distill", "{teacher: model, student: {layers: 1}, epochs: 1}", _OF_TWO),
    Operation("bitsandbytes", "quantize.bitsandbytes", "{}"),
    Operation("onnx", "export.onnx", "{}"),
    Operation("int8", "quantize.onnx", "{}"),
)
"""Those that are refused for a reason that many families share come first, and cost little."""


@dataclass(frozen=True)
class Outcome:
    """What came of one operation. ``text`` is the refusal's line, or what is wrong; ``alone`` and
    ``batched`` are the largest differences from AutoModel's answers."""

    status: Status
    text: str = ""
    alone: float | None = None
    batched: float | None = None


@dataclass
class Row:
    """One family: its answers, and the outcome of each operation by name.

    ``batch_changes`` is how much AutoModel's own answers change in a batch: where they do, the
    family's answers depend on the padding by its nature."""

    family: str
    answers: Outcome
    batch_changes: float | None = None
    operations: dict[str, Outcome] = field(default_factory=dict)


def main() -> None:
    """Ask all families that are named. The results are written, and a row printed, after each."""
    from tiny_families import FAMILIES

    known = [family.model_type for family in FAMILIES]
    given = _arguments(known)
    wanted = [family for family in known if family in given.families or not given.families]
    broken = 0
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(given.jobs) as pool:
        work = given.work or Path(temporary)
        for row in pool.map(lambda family: ask(family, work), wanted):
            _print(row)
            _write(row, known)
            broken += is_broken(row)
    sys.exit(1 if broken else 0)


def _write(row: Row, known: Sequence[str]) -> None:
    """Put a row into the results, in the place of the family's older one."""
    from common import RESULTS, write_results

    file = RESULTS / f"{RESULT}.json"
    old = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else []
    rows = {each["family"]: each for each in old} | {row.family: asdict(row)}
    ordered = [rows[family] for family in known if family in rows]
    write_results(RESULT, {"tolerance": TOLERANCE, "rows": ordered})


def _arguments(known: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*", metavar="FAMILY", choices=[*known, []])
    parser.add_argument("--work", type=Path, help="keep what is made in this folder")
    parser.add_argument("--jobs", type=int, default=2, help="families at a time")
    return parser.parse_args()


def is_broken(row: Row) -> bool:
    """Whether something of a family neither works nor is refused in one line."""
    outcomes = [row.answers, *row.operations.values()]
    return any(outcome.status in ("differs", "broken") for outcome in outcomes)


def ask(family: str, work: Path) -> Row:
    """The row of one family. Everything is made below ``work``."""
    folder = work.resolve() / family
    folder.mkdir(parents=True)
    return _without_places(_ask(family, folder), folder)


def _ask(family: str, folder: Path) -> Row:
    reference = in_a_process(write, family, folder / "model", log=folder / LOG)
    answers = in_a_process(ours, folder / "model", log=folder / LOG)
    if isinstance(reference, Failure):
        return Row(family, _without_reference(reference, answers))
    row = Row(family, _compared(answers, reference))
    row.batch_changes = _difference(reference.batched, reference.alone)
    if row.answers.status != "refused":
        _write_data(folder / "train.csv", 24)
        _write_data(folder / "test.csv", 8)
        row.operations = _apply(folder, reference)
    return row


def _without_reference(reference: Failure, answers: Ended) -> Outcome:
    """The outcome where transformers itself cannot open the model: the toolkit must say so."""
    if isinstance(answers, Failure):
        return _outcome_of(answers)
    return Outcome("broken", f"answered, and transformers does not: {reference.text}")


def _apply(folder: Path, reference: Answers) -> dict[str, Outcome]:
    """The outcomes of all operations by name. They are steps of one recipe; a step that is refused
    is left out, and the recipe runs again."""
    outcomes: dict[str, Outcome] = {}
    config = json.loads((folder / "model" / "config.json").read_text(encoding="utf-8"))
    rest = list(OPERATIONS)
    if config.get("is_encoder_decoder"):
        rest = [replace(each, options=each.of_two or each.options) for each in rest]
    while rest:
        recipe = folder / "recipe.yaml"
        recipe.write_text(_recipe(rest), encoding="utf-8")
        stores = ("--store", str(folder / "store"), "--runs", str(folder / "runs"))
        done = _compress(folder, "run", recipe.name, *stores)
        if done.returncode == 0:
            break
        ended = _refused_in_plan(rest, done) or _failed_in_run(folder, rest, done)
        outcomes |= ended
        rest = [operation for operation in rest if operation.name not in ended]
    for operation in rest:
        outcomes[operation.name] = _of_artifact(folder, operation, reference)
    return {operation.name: outcomes[operation.name] for operation in OPERATIONS}


def _recipe(operations: Sequence[Operation]) -> str:
    """A recipe with a step for each operation, all from the same model, a line each."""
    steps = [
        f"  - {{{each.stage}: {each.options}, name: {each.name}, from: model}}\n"
        for each in operations
    ]
    return "".join([*_HEAD, *steps])


def _refused_in_plan(
    operations: Sequence[Operation], done: subprocess.CompletedProcess[str]
) -> dict[str, Outcome]:
    """Operations whose steps the plan refuses, by the lines of its messages."""
    refused = {}
    for line in done.stderr.splitlines() if done.returncode == 2 else ():
        place = _PLACE.search(line)
        index = int(place[1]) - len(_HEAD) - 1 if place else -1
        if 0 <= index < len(operations):
            refused[operations[index].name] = Outcome("refused", line)
    return refused


def _failed_in_run(
    folder: Path, operations: Sequence[Operation], done: subprocess.CompletedProcess[str]
) -> dict[str, Outcome]:
    """The operation whose step was made or measured when the run ended; all, if it ended before the
    first step."""
    outcome = _outcome_of_command(done)
    lines = (_last_run(folder) / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    started = [each["step"] for each in events if each["event"] == "step_started"]
    ended = started[-1:] or [operation.name for operation in operations]
    return dict.fromkeys(ended, outcome)


def _artifacts(folder: Path) -> dict[str, Path]:
    """The folders of the steps' artifacts of the newest run, by step."""
    run = _last_run(folder)
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    return {step["name"]: run / str(step["folder"]) for step in report["steps"]}


def _last_run(folder: Path) -> Path:
    return max((folder / "runs").glob("*/events.jsonl"), key=lambda p: p.stat().st_mtime).parent


def _of_artifact(folder: Path, operation: Operation, reference: Answers) -> Outcome:
    """Whether an operation's artifact answers; the float graph's answers must be the model's."""
    answers = in_a_process(ours, _artifacts(folder)[operation.name], log=folder / LOG)
    if operation.name == "onnx":
        return _compared(answers, reference)
    return _outcome_of(answers) if isinstance(answers, Failure) else Outcome("works")


def _compared(answers: Ended, reference: Answers) -> Outcome:
    """Whether answers are those of AutoModel. A family whose own answers change in a batch is
    compared text by text alone."""
    if isinstance(answers, Failure):
        return _outcome_of(answers)
    alone = _difference(answers.alone, reference.alone)
    batched = _difference(answers.batched, reference.alone)
    by_nature = _difference(reference.batched, reference.alone) > TOLERANCE
    worst = alone if by_nature else max(alone, batched)
    if worst > TOLERANCE:
        return Outcome(
            "differs", f"alone by {alone:.2g}, in a batch by {batched:.2g}", alone, batched
        )
    text = "answers change in a batch, as those of transformers do" if by_nature else ""
    return Outcome("works", text, alone, batched)


def _difference(values: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    pairs = [
        abs(value - other)
        for row, other_row in zip(values, others, strict=True)
        for value, other in zip(row, other_row, strict=True)
    ]
    return max(pairs)


def _outcome_of(failure: Failure) -> Outcome:
    return Outcome("refused" if failure.is_refusal else "broken", failure.text)


def _outcome_of_command(done: subprocess.CompletedProcess[str]) -> Outcome:
    """The outcome by how a command ended without success."""
    is_bug = "traceback" in done.stderr.lower() or done.returncode not in (1, 2, 3)
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
    return Outcome("broken" if is_bug else "refused", lines[-1])


def _without_places(row: Row, folder: Path) -> Row:
    """The row whose texts name neither folders of this machine nor places in the recipe."""

    def plain(outcome: Outcome) -> Outcome:
        text = outcome.text.replace(f"{folder}{os.sep}", "").removeprefix("error: ")
        return replace(outcome, text=_PLACE.sub("", text))

    operations = {name: plain(outcome) for name, outcome in row.operations.items()}
    return replace(row, answers=plain(row.answers), operations=operations)


def _compress(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The end of a command of compress, in ``folder``. One that takes too long ends with code
    124."""
    command = [sys.executable, "-m", "compress", *words]
    environment = {**os.environ, "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1"}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=MINUTES * 60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no end in {MINUTES} minutes")


def _write_data(file: Path, count: int) -> None:
    """Rows of two labels, in words that every tokenizer knows."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for number in range(count):
            label = ("bad", "good")[number % 2]
            writer.writerow([f"{label} film " + "boring " * (number % 7) + str(number), label])


def _print(row: Row) -> None:
    cells = [f"answers {row.answers.status}"]
    cells += [f"{name} {outcome.status}" for name, outcome in row.operations.items()]
    sys.stdout.write(f"{row.family:20} {'; '.join(cells)}\n")
    for name, outcome in {"answers": row.answers, **row.operations}.items():
        if outcome.text:
            sys.stdout.write(f"    {name}: {outcome.text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
