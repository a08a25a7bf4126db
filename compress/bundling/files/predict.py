"""Answers texts with the model in this folder. It needs what requirements.txt lists, and no more.

    python predict.py "A text." "Another one."     # or texts on the lines of the standard input
    python predict.py --check                      # are the answers those that were recorded?

From Python:

    from predict import Model
    print(Model()(["A text."]))

``running.py`` runs the model file, ``answering.py`` knows the task, and ``bundle.json`` has the
settings of both."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

HERE = Path(__file__).parent
BUNDLE_VERSION = 1


class BadRequest(ValueError):
    """Something that cannot be answered; the text says why."""


class BrokenBundle(Exception):
    """A folder that cannot be used; the text says why."""


@dataclass(frozen=True)
class Question:
    """What one request asks: the task's ``row``, and its text cut into tokens, in one part or in
    several windows."""

    row: Mapping[str, Any]
    parts: Sequence[Encoding]

    @property
    def length(self) -> int:
        """Tokens of the longest part, by which batches are made."""
        return max(len(part.ids) for part in self.parts)


class Reader:
    """The tokenizer, as the model was trained with it. ``settings`` are those of
    ``bundle.json``."""

    def __init__(self, file: Path, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.tokenizer = Tokenizer.from_file(str(file))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def text(self, text: str | tuple[str, str], max_length: int) -> Encoding:
        """A text or a pair with special tokens, cut to ``max_length``; of a pair the longer side is
        cut first."""
        self._cut(max_length)
        return self.tokenizer.encode(*(text if isinstance(text, tuple) else (text,)))

    def words(self, words: Sequence[str], max_length: int) -> Encoding:
        """Words with special tokens, cut to ``max_length``; ``word_ids`` says whose each token
        is."""
        self._cut(max_length)
        if self.settings["spaces_are_bytes"]:
            words = [f" {word}" for word in words]
        return self.tokenizer.encode(words, is_pretokenized=True)

    def windows(self, first: str, second: str, max_length: int, stride: int) -> list[Encoding]:
        """The first text with each window of the second; neighbours share ``stride`` tokens.
        Nothing is cut off."""
        self.tokenizer.enable_truncation(max_length, stride=stride, strategy="only_second")
        encoding = self.tokenizer.encode(first, second)
        return [encoding, *encoding.overflowing]

    def shortened(self, text: str, length: int) -> str:
        """The text of its first ``length`` tokens."""
        special = self.tokenizer.num_special_tokens_to_add(is_pair=False)
        self._cut(length + special)
        encoding = self.tokenizer.encode(text)
        if not encoding.overflowing:
            return text
        marks = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        ends = [end for (_, end), is_special in marks if not is_special]
        return text[: max(ends)] if ends else text

    def _cut(self, max_length: int) -> None:
        self.tokenizer.enable_truncation(
            max_length, strategy="longest_first", direction=self.settings["truncation_side"]
        )

    def group(self, part: Encoding) -> int:
        """Parts of one batch have this in common: some heads read the last end token, and take no
        texts that hold different numbers of it."""
        end = self.settings["end_token"]
        return 0 if end is None else part.ids.count(end)

    def batch(self, parts: Sequence[Encoding]) -> dict[str, np.ndarray]:
        """int64 arrays [batch, longest], padded as the model needs it."""
        ids = [part.ids for part in parts]
        batch = {
            "input_ids": self._padded(ids, self.settings["pad_id"]),
            "attention_mask": self._padded([[1] * len(one) for one in ids], 0),
        }
        if self.settings["token_types"]:
            batch["token_type_ids"] = self._padded([part.type_ids for part in parts], 0)
        return batch

    def _padded(self, lists: Sequence[Sequence[int]], fill: int) -> np.ndarray:
        array = np.full((len(lists), max(map(len, lists))), fill, dtype=np.int64)
        for row, values in zip(array, lists, strict=True):
            start = len(row) - len(values) if self.settings["padding_side"] == "left" else 0
            row[start : start + len(values)] = values
        return array


class Model:
    """The model of a folder; call it with requests. ``threads`` are those within an operation, by
    default OMP_NUM_THREADS, else one for each core that the process may use.

    Raises BrokenBundle for a folder that cannot be read."""

    def __init__(self, folder: str | Path = HERE, threads: int | None = None) -> None:
        place = Path(folder)
        settings = _settings(place)
        self.name: str = settings["name"]
        self.task: str = settings["task"]
        self.batch_size: int = settings["batch_size"]
        self.reader = Reader(_inside(place, "tokenizer.json"), settings["tokenizer"])
        self._task = _module(place, "answering").Answering(settings["options"], settings["labels"])
        files = [_inside(place, name) for name in settings["model"]]
        self._session = _module(place, "running").Session(files, threads or _threads())

    def __call__(
        self, requests: str | Iterable[Any], batch_size: int | None = None
    ) -> list[dict[str, Any]]:
        """The answers, one for each request, in order.

        A request is a text, a tuple or list of texts that belong together, or a mapping of the
        task's columns. Raises BadRequest with the number of the request that cannot be answered.
        ``batch_size`` is by default what the bundle says: 1 where the answer to a text would change
        with the others of its batch."""
        given = [requests] if isinstance(requests, str | Mapping) else list(requests)
        questions = []
        for number, request in enumerate(given, start=1):
            try:
                questions.append(self.question(request))
            except BadRequest as error:
                raise BadRequest(f"text {number}: {error}") from error
        return self.answers(questions, batch_size)

    def question(self, request: Any) -> Question:
        """A request, read and cut into tokens. Raises BadRequest."""
        row = texts_by_column(request, self._task.columns, self._task.needed)
        return Question(*self._task.read(row, self.reader))

    def answers(
        self, questions: Sequence[Question], batch_size: int | None = None
    ) -> list[dict[str, Any]]:
        """The answers to questions, in order; those of near-equal length are computed together."""
        parts = [part for question in questions for part in question.parts]
        outputs: dict[int, dict[str, np.ndarray]] = {}
        for places in self._batches(parts, batch_size or self.batch_size):
            given = self._session.run(self.reader.batch([parts[i] for i in places]))
            for row, place in enumerate(places):
                outputs[place] = {name: array[row] for name, array in given.items()}
        ordered = (outputs[place] for place in range(len(parts)))
        return [
            self._task.answer(question.row, question.parts, [next(ordered) for _ in question.parts])
            for question in questions
        ]

    def _batches(self, parts: Sequence[Encoding], size: int) -> Iterator[list[int]]:
        """Places of parts of near-equal length."""
        groups: dict[int, list[int]] = {}
        for place in sorted(range(len(parts)), key=lambda i: -len(parts[i].ids)):
            groups.setdefault(self.reader.group(parts[place]), []).append(place)
        for places in groups.values():
            for start in range(0, len(places), size):
                yield places[start : start + size]


def texts_by_column(request: Any, columns: Sequence[str], needed: int) -> dict[str, Any]:
    """The texts of a request under the names of ``columns``, None where it has none; the first
    ``needed`` must be there. In a single text, tabs stand between the texts. Raises BadRequest."""
    given = _named(request, columns)
    for name, text in given.items():
        if name not in columns:
            raise BadRequest(f"it has {name!r:.80}, and the task takes {', '.join(columns)}")
        if text is not None and not isinstance(text, str):
            raise BadRequest(f"{name} is {text!r:.80}, which is not text")
        if text is not None and not text.strip():
            raise BadRequest(f"{name} is empty")
        if text is not None and not _is_unicode(text):
            raise BadRequest("it is not valid Unicode text")
    missing = [name for name in columns[:needed] if given.get(name) is None]
    if missing:
        raise BadRequest(f"it has no {missing[0]}")
    return {name: given.get(name) for name in columns}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as JSON may hold it
        return False
    return True


def _named(request: Any, columns: Sequence[str]) -> dict[Any, Any]:
    if isinstance(request, Mapping):
        return dict(request)
    if isinstance(request, str):
        texts = request.split("\t", len(columns) - 1) if len(columns) > 1 else [request]
    elif isinstance(request, list | tuple):
        texts = list(request)
    else:
        raise BadRequest(f"got {request!r:.80}, which is no text")
    if len(texts) > len(columns):
        raise BadRequest(f"it has {len(texts)} texts, and the task takes {len(columns)} at most")
    return dict(zip(columns, texts, strict=False))


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / "bundle.json"
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenBundle(f"{file} cannot be read: {error}") from error
    if not isinstance(settings, dict) or settings.get("bundle_version") != BUNDLE_VERSION:
        raise BrokenBundle(f"{file} is not of bundle version {BUNDLE_VERSION}")
    return settings


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder. Raises BrokenBundle for a name or a link that leads out of it."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BrokenBundle(f"{name!r} leads out of {folder}")
    return path


def _module(folder: Path, name: str) -> ModuleType:
    """A module of the folder, also where another folder has one of the same name."""
    file, module = _inside(folder, f"{name}.py"), ModuleType(f"bundle_{name}")
    try:
        source = file.read_bytes()
    except OSError as error:
        raise BrokenBundle(f"{file} cannot be read: {error}") from error
    # Not by an import, which would write and read compiled files beside those that were verified.
    exec(compile(source, str(file), "exec"), module.__dict__)
    return module


def _threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if given.isdecimal() and int(given):
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def differences(model: Model, recorded: Mapping[str, Any]) -> list[str]:
    """A line for each of the recorded examples that the model answers otherwise. Numbers may differ
    by ``tolerance``."""
    found = []
    for example in recorded["examples"]:
        (answer,) = model([example["request"]])
        if not _alike(answer, example["answer"], recorded["tolerance"]):
            found.append(
                f"{json.dumps(example['request'])[:80]}: recorded {json.dumps(example['answer'])}, "
                f"got {json.dumps(answer)}"
            )
    return found


def _alike(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            _alike(one[key], other[key], tolerance) for key in one
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            _alike(a, b, tolerance) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= tolerance
    return bool(one == other)


def check(model: Model, folder: Path) -> int:
    """0 if the model answers the folder's recorded examples as they were recorded, else 1. Each
    difference is a line of the standard error."""
    recorded = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    found = differences(model, recorded)
    for line in found:
        sys.stderr.write(f"error: {line}\n")
    if not found:
        sys.stdout.write(f"{len(recorded['examples'])} recorded answers are given again\n")
    return 1 if found else 0


def main() -> int:
    """The command line; the exit code is 2 for a text that cannot be answered."""
    parser = argparse.ArgumentParser(description="Answer texts with the model in this folder.")
    parser.add_argument("texts", nargs="*", help="texts; without them the lines of standard input")
    parser.add_argument("--check", action="store_true", help="compare with the recorded answers")
    parser.add_argument("--threads", type=int, help="threads within an operation")
    given = parser.parse_args()
    try:
        model = Model(HERE, given.threads)
        if given.check:
            return check(model, HERE)
        for text in given.texts or (line.rstrip("\r\n") for line in sys.stdin):
            (answer,) = model([text])
            sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
            sys.stdout.flush()
    except (BadRequest, BrokenBundle) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
