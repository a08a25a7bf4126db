"""One side of end_to_end.py: texts in, entities out.

  python benchmarks/end_to_end_side.py pipeline|compress FOLDER --test FILE
It answers lines of JSON: {"do": "time", "batch": 8, "places": [...]} with seconds, and {"do":
"entities", "batch": 8} with the (start, end, type) of each entity of each sentence of FILE.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bare import THREADS, read_examples, use_first_cores

Span = tuple[int, int, str]
Answers = Callable[[list[str], int], Sequence[Any]]
"""What a tool makes of texts, with so many in a batch."""


def main() -> None:
    """Answer each line of the standard input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", required=True)
    given = parser.parse_args()
    use_first_cores()
    texts = [" ".join(words) for words in read_examples(given.test)[0]]
    opened, spans = SIDES[given.side]
    answers = opened(given.folder)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "entities":
            answer: Any = [spans(one) for one in answers(texts, asked["batch"])]
        else:
            some = [texts[place] for place in asked["places"]]
            start = time.perf_counter()
            answers(some, asked["batch"])
            answer = time.perf_counter() - start
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def open_pipeline(folder: Path) -> Answers:
    """The pipeline of transformers; a word has the tag of its first piece, as in training."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(THREADS)
    answer = pipeline("token-classification", str(folder), aggregation_strategy="first")
    return lambda texts, batch: answer(texts, batch_size=batch)


def spans_of_pipeline(answer: Any) -> list[Span]:
    """The entities of a text."""
    return [(one["start"], one["end"], one["entity_group"]) for one in answer]


def open_compress(folder: Path) -> Answers:
    """A predictor of compress."""
    import compress

    predictor = compress.load(folder)
    return lambda texts, batch: predictor(texts, batch_size=batch)


def spans_of_compress(answer: Any) -> list[Span]:
    """The entities of a text."""
    return [(one["start"], one["end"], one["type"]) for one in answer["entities"]]


SIDES = {
    "pipeline": (open_pipeline, spans_of_pipeline),
    "compress": (open_compress, spans_of_compress),
}


if __name__ == "__main__":
    main()
