"""Texts in, entities out: an artifact of compress beside transformers' pipeline with the teacher,
both with everything between: tokenizing, batching, the model, entities.

  python benchmarks/end_to_end.py TEACHER ARTIFACT [ARTIFACT ...] --test FILE [--rounds N]
TEACHER is a PyTorch folder for token classification, an ARTIFACT any step of a run, FILE has CoNLL
columns; a text is the words of a sentence with spaces between. Each side is asked for one text at a
time, and in batches of the size that was quickest in one trial. The sides take turns. F1 is of
exact spans on the whole file, counted alike. Nothing else may run on the machine.
Writes benchmarks/results/end_to_end.json.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bare import read_examples
from bareloop import Talk, talk
from common import paired_ratio, spread, write_results

from compress.errors import CompressError

BATCHES = (4, 16, 64)
"""The sizes that are tried."""
PIPELINE, COMPRESS = "pipeline", "compress"


class Side(NamedTuple):
    """A tool with a model, in a process of its own, and the size of its batches."""

    name: str
    tool: str
    process: Talk
    batch: int


def main() -> None:
    """Measure and write the result."""
    given, load = _arguments(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work:
        try:
            rows = measured(
                given.teacher,
                given.artifacts,
                given.test,
                Path(work),
                rounds=given.rounds,
                sentences=given.sentences,
            )
        except CompressError as error:
            raise SystemExit(f"error: {error}") from error
    settings = {"rounds": given.rounds, "sentences": given.sentences, "load": load}
    sys.stderr.write(f"wrote {write_results('end_to_end', {'settings': settings, 'rows': rows})}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("teacher", type=Path, metavar="TEACHER")
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="ARTIFACT")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--sentences", type=int, default=256, help="of a round, at random")
    return parser.parse_args()


def measured(
    teacher: Path, artifacts: Sequence[Path], test: Path, work: Path, *, rounds: int, sentences: int
) -> list[dict[str, Any]]:
    """A row for each side at one text at a time and at its best batch. The first is the pipeline at
    one text at a time, which all are compared with."""
    words, tags = read_examples(str(test))
    truth = [spans_of(*pair) for pair in zip(words, tags, strict=True)]
    places = random.Random(0).sample(range(len(words)), min(sentences, len(words)))
    with ExitStack() as stack:
        sides: list[Side] = []
        for tool, folder in [(PIPELINE, teacher), *((COMPRESS, each) for each in artifacts)]:
            log = work / f"side-{len(sides)}.log"
            process = stack.enter_context(_process(tool, folder, test, log))
            _seconds(process, BATCHES[0], places)  # the first calls are slow
            best = min(BATCHES, key=lambda size, p=process: _seconds(p, size, places))
            sides += [Side(folder.name, tool, process, batch) for batch in (1, best)]
        rates = _in_turns(sides, places, rounds)
        return [_row(side, rates, place, truth) for place, side in enumerate(sides)]


def _process(tool: str, folder: Path, test: Path, log: Path) -> Any:
    program = Path(__file__).with_name("end_to_end_side.py")
    words = [sys.executable, program, tool, folder.resolve(), "--test", test]
    # As a user has it: tokenizers reads the texts of a list on all cores.
    return talk(words, log, TOKENIZERS_PARALLELISM="true")


def _seconds(process: Talk, batch: int, places: Sequence[int]) -> float:
    message = {"do": "time", "batch": batch, "places": list(places)}
    return float(process.ask_and_rest(message))


def _in_turns(sides: Sequence[Side], places: Sequence[int], rounds: int) -> list[list[float]]:
    """Sentences a second of each side in each round: A B C, C B A, ..."""
    rates: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        order = range(len(sides))
        for place in order if number % 2 == 0 else reversed(order):
            side = sides[place]
            rates[place].append(len(places) / _seconds(side.process, side.batch, places))
    return rates


def _row(
    side: Side, rates: Sequence[Sequence[float]], place: int, truth: Sequence[set[Any]]
) -> dict[str, Any]:
    answers = side.process.ask({"do": "entities", "batch": side.batch})
    return {
        "name": side.name,
        "tool": side.tool,
        "batch": side.batch,
        "sentences_per_second": spread(rates[place]),
        "faster": paired_ratio(rates[place], rates[0]),
        "f1": f1_of(truth, [{tuple(span) for span in one} for one in answers]),
    }


def spans_of(words: Sequence[str], tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """The (start, end, type) of each entity, in characters of the words with spaces between. Tags
    are IOB2."""
    spans: list[tuple[int, int, str]] = []
    start = 0
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("B-"):
            spans.append((start, start + len(word), tag[2:]))
        elif tag.startswith("I-"):
            spans[-1] = (spans[-1][0], start + len(word), tag[2:])
        start += len(word) + 1
    return set(spans)


def f1_of(truth: Sequence[set[Any]], answers: Sequence[set[Any]]) -> float:
    """F1 of exact spans with the right type, counted over all sentences."""
    right = sum(len(a & b) for a, b in zip(truth, answers, strict=True))
    total = sum(len(a) + len(b) for a, b in zip(truth, answers, strict=True))
    return 2 * right / total if total else 0.0


if __name__ == "__main__":
    main()
