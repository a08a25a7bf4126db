"""The matrix of families: what the toolkit does with a tiny random model of each family of
transformers that has a head for classification.

  answers     one text at a time, and in a batch, as AutoModel with AutoTokenizer gives them
  onnx        export.onnx, and the graph's answers
  int8        quantize.onnx
  bitsandbytes, distill, prune
Each works, or is refused in one line. Each stage runs by `compress run`, in processes of its own.

  python benchmarks/families.py [FAMILY ...] [--work FOLDER] [--jobs 2]
Writes benchmarks/results/families.json if all families were asked. `make docs` makes
docs/families.md of it.
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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
MINUTES = 15
"""The most that one command may take for one family."""
TOLERANCE = 1e-4
_HEAD = (
    "task: {text-classification: {max_length: 32}}\n",
    "model: model\n",
    "data: {source: csv, train: train.csv, test: test.csv}\n",
    "benchmark: {effort: quick}\n",
    "stages:\n",
)
_PLACE = re.compile(r"recipe\.yaml:(\d+)")
TEXTS = (
    "good film",
    "the plot was not very good and the actor was boring boring great",
    "bad",
    "Paris in the spring of 1999",
)

Status = Literal["works", "refused", "differs", "broken"]


@dataclass(frozen=True)
class Operation:
    """A stage that is tried on every family; ``options`` are those of its step in a recipe."""

    name: str
    stage: str
    options: str


OPERATIONS = (
    Operation("onnx", "export.onnx", "{}"),
    Operation("int8", "quantize.onnx", "{}"),
    Operation("bitsandbytes", "quantize.bitsandbytes", "{}"),
    Operation("distill", "distill", "{teacher: model, student: {layers: 1}, epochs: 1}"),
    Operation("prune", "prune.structured", "{feed_forward: 0.5}"),
)


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
    """Ask all families that are named, print a table, and write the results."""
    from tiny_families import FAMILIES

    given = _arguments([family.model_type for family in FAMILIES])
    wanted = [f for f in FAMILIES if f.model_type in given.families or not given.families]
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        with ThreadPoolExecutor(given.jobs) as pool:
            rows = list(pool.map(lambda family: ask(family.model_type, work), wanted))
    for row in rows:
        _print(row)
    if not given.families:
        from common import write_results

        values = {"tolerance": TOLERANCE, "rows": [asdict(row) for row in rows]}
        sys.stderr.write(f"wrote {write_results('families', values)}\n")
    sys.exit(1 if any(is_broken(row) for row in rows) else 0)


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
    folder = work / family
    folder.mkdir(parents=True)
    made = _python(folder, "write", family)
    if made.returncode:
        return Row(family, Outcome("broken", f"no model to try: {_last_line(made.stderr)}"))
    reference = _answers(folder, "reference", folder / "model")
    row = Row(family, Outcome("refused"))
    if isinstance(reference, Outcome):
        row.answers = _refusal_without_reference(folder, reference)
        return row
    row.batch_changes = _difference(reference["batched"], reference["alone"])
    row.answers = _compared(folder, folder / "model", reference, row.batch_changes)
    _write_data(folder / "train.csv", 24)
    _write_data(folder / "test.csv", 8)
    row.operations = _apply(folder, reference, row.batch_changes)
    return row


def _refusal_without_reference(folder: Path, reference: Outcome) -> Outcome:
    """The outcome where transformers itself cannot open the model: the toolkit must say so."""
    done = _compress(folder, "predict", str(folder / "model"), TEXTS[0])
    outcome = _outcome_of(done)
    if outcome.status == "works":
        return Outcome("broken", f"answered, and transformers does not: {reference.text}")
    return outcome


def _apply(folder: Path, reference: Mapping[str, Any], batch_changes: float) -> dict[str, Outcome]:
    """The outcomes of all operations by name. They are steps of one recipe; a step that is refused
    is left out, and the recipe runs again."""
    outcomes: dict[str, Outcome] = {}
    rest = list(OPERATIONS)
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
        outcomes[operation.name] = _of_artifact(folder, operation, reference, batch_changes)
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
            refused[operations[index].name] = Outcome("refused", line.removeprefix("Error: "))
    return refused


def _failed_in_run(
    folder: Path, operations: Sequence[Operation], done: subprocess.CompletedProcess[str]
) -> dict[str, Outcome]:
    """The first operation without an artifact, which ended the run; all, if the run did not begin
    with any."""
    made = _artifacts(folder)
    outcome = _outcome_of(done)
    first = next((each for each in operations if each.name not in made), None)
    return {each.name: outcome for each in ([first] if first and made else operations)}


def _artifacts(folder: Path) -> dict[str, Path]:
    """The folders of the steps' artifacts of the newest run, by step."""
    reports = sorted((folder / "runs").glob("*/report.json"), key=lambda p: p.stat().st_mtime)
    if not reports:
        return {}
    report = json.loads(reports[-1].read_text(encoding="utf-8"))
    return {step["name"]: reports[-1].parent / str(step["folder"]) for step in report["steps"]}


def _of_artifact(
    folder: Path, operation: Operation, reference: Mapping[str, Any], batch_changes: float
) -> Outcome:
    """Whether an operation's artifact answers; the float graph's answers must be the model's."""
    artifact = _artifacts(folder)[operation.name]
    if operation.name == "onnx":
        return _compared(folder, artifact, reference, batch_changes)
    answers = _answers(folder, "ours", artifact)
    return answers if isinstance(answers, Outcome) else Outcome("works")


def _compared(
    folder: Path, artifact: Path, reference: Mapping[str, Any], batch_changes: float
) -> Outcome:
    """Whether an artifact answers as AutoModel does. A family whose own answers change in a batch
    is compared text by text alone."""
    answers = _answers(folder, "ours", artifact)
    if isinstance(answers, Outcome):
        return answers
    alone = _difference(answers["alone"], reference["alone"])
    batched = _difference(answers["batched"], reference["alone"])
    by_nature = batch_changes > TOLERANCE
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


def _answers(folder: Path, who: str, model: Path) -> Any:
    """The logits of the texts, ``alone`` and ``batched``, or the outcome that there are none."""
    done = _python(folder, who, str(model))
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    return _outcome_of(done)


def _outcome_of(done: subprocess.CompletedProcess[str]) -> Outcome:
    """The outcome by how a command ended."""
    if done.returncode == 0:
        return Outcome("works")
    is_bug = "traceback" in done.stderr.lower() or done.returncode not in (1, 2, 3)
    return Outcome("broken" if is_bug else "refused", _last_line(done.stderr))


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:400] if lines else "no output"


def _python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(folder, [sys.executable, str(HERE / "families_answers.py"), *words])


def _compress(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(folder, [sys.executable, "-m", "compress", *words])


def _run(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The command's end, in ``folder``. One that takes too long ends with code 124."""
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
