"""The files in which a teacher's answers are kept: whole, or some choices of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from compress.choices import Choices, Form, sampled, top
from compress.distillable import Distillable
from compress.errors import UsageError
from compress.jsonfiles import read_object
from compress.pairing import Keeping, counts_of, kept_lines, places_of
from compress.raggedfiles import PLACES, RaggedFile, RaggedWriter

WIDE = 1024
"""Answers over more choices than these are not kept whole, unless that is asked for."""
_CHOICES = ".choices"
_LINE = np.dtype([("size", "u1"), ("constant", "<f4")])


@dataclass(frozen=True)
class Answered:
    """What a teacher answers to some examples: ``lines``, float [n, width] or as ``Choices``, and
    how many of them each example has."""

    counts: list[int]
    lines: Tensor | Choices


class AnswersWriter:
    """Writes one part of a teacher's answers, of so many ``examples``, into ``NAME.*`` files. The
    first batch decides the form: whole answers, a sample or the most probable choices.

    A context manager: the files are complete when its block has ended."""

    def __init__(self, folder: Path, name: str, examples: int, keeping: Keeping) -> None:
        self._folder, self._name, self._examples = folder, name, examples
        self._keeping = keeping
        self._files: list[RaggedWriter] = []
        self._form: Form | None = None
        self._stack = ExitStack()

    def __enter__(self) -> AnswersWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, places: Sequence[int], part: Distillable) -> None:
        """Add what counts of ``part`` for the examples at ``places``."""
        if not self._files:
            self._open(part)
        if self._form is None:
            self._files[0].add(places, counts_of(part), kept_lines(part))
            return
        made = self._chosen(part, places[0])
        records, choices = self._records(made)
        counts = counts_of(part)
        ends = np.cumsum([0, *counts])
        sizes = np.diff(made.starts.numpy()[ends]).tolist()
        self._files[0].add(places, counts, records[:, None])
        self._files[1].add(places, sizes, choices[:, None])

    def _open(self, part: Distillable) -> None:
        self._form = _form_of(part, self._keeping)
        names = [self._name] if self._form is None else [self._name, self._name + _CHOICES]
        for name in names:
            writer = RaggedWriter(self._folder, name, self._examples)
            self._files.append(self._stack.enter_context(writer))
        if self._form is not None:
            width = part.values.shape[-1]
            told = {"form": self._form, "width": width, "draws": self._keeping.choices}
            file = self._folder / f"{self._name}.json"
            file.write_text(json.dumps(told), encoding="utf-8")

    def _chosen(self, part: Distillable, first: int) -> Choices:
        """The choices that are kept of ``part``, on the host. What is drawn depends on the number
        of the batch's ``first`` example alone."""
        values, keeping = part.values.flatten(0, -2), self._keeping
        rows = places_of(part)
        if self._form == "top":
            made = top(values, rows, keeping.temperature, keeping.choices)
        else:
            generator = torch.Generator(values.device).manual_seed(first)
            made = sampled(values, rows, keeping.temperature, keeping.choices, generator)
        return made.to(torch.device("cpu"))

    def _records(self, made: Choices) -> tuple[np.ndarray, np.ndarray]:
        """``made`` as it is stored: a record for each answer, and one for each choice."""
        lines = np.empty(len(made), _LINE)
        lines["size"] = made.starts.diff().numpy()
        lines["constant"] = made.constants.numpy()
        choices = np.empty(len(made.ids), _choice_of(made.form, made.width))
        choices["id"] = made.ids.numpy()
        weights = made.weights.numpy()
        is_sample = made.form == "sample"
        choices["weight"] = np.rint(weights * self._keeping.choices) if is_sample else weights
        return lines, choices


def _choice_of(form: Form, width: int) -> np.dtype:
    """A stored choice: its number, and how often it was drawn or how probable it is."""
    return np.dtype(
        [
            ("id", "<u2" if width <= 1 << 16 else "<u4"),
            ("weight", "u1" if form == "sample" else "<f2"),
        ]
    )


def _form_of(part: Distillable, keeping: Keeping) -> Form | None:
    """How answers like ``part`` are kept; None: whole. Raises UsageError if all of them are needed,
    and are too many."""
    is_one_of_many = part.divergence == "softmax" and not part.masks_choices
    if not is_one_of_many or keeping.form == "all":
        return None
    width = part.values.shape[-1]
    if keeping.form in ("sample", "top"):
        return "top" if keeping.form == "top" else "sample"
    if width <= WIDE:
        return None
    if keeping.exact:
        raise UsageError(
            f"all probabilities of the teacher are needed, and {width} for each answer are too "
            "many to keep: set keep: nothing, and the teacher answers while its student learns"
        )
    return "sample"


class KeptAnswers:
    """What an ``AnswersWriter`` wrote under a name. Only what is asked for is read."""

    def __init__(self, folder: Path, name: str) -> None:
        self._lines = RaggedFile(folder, name)
        told = folder / f"{name}.json"
        self._told = read_object(told) if told.is_file() else None
        self._choices = RaggedFile(folder, name + _CHOICES) if self._told else None

    def read(self, places: Sequence[int]) -> Answered:
        """The answers to the examples at ``places``, one example after the other."""
        lines = self._lines.lines(places)
        if self._told is None or self._choices is None:
            return Answered(self._lines.counts(places), torch.from_numpy(lines).float())
        records, choices = lines[:, 0], self._choices.lines(places)[:, 0]
        starts = np.cumsum([0, *records["size"].tolist()], dtype=np.int64)
        made = Choices(
            torch.from_numpy(choices["id"].astype(np.int64)),
            torch.from_numpy(choices["weight"].astype(np.float32)),
            torch.from_numpy(starts),
            torch.from_numpy(records["constant"].copy()),
            self._told["width"],
            self._told["form"],
        )
        return Answered(self._lines.counts(places), _weighed(made, self._told["draws"]))


def _weighed(made: Choices, draws: int) -> Choices:
    """``made`` with the weights that its stored ones stand for."""
    weights = made.weights
    if made.form == "sample":
        weights = weights / draws
    else:  # rounded: together they are what the others leave
        sums = torch.zeros_like(made.constants).index_add_(0, made.lines, weights)
        weights = weights * ((1 - made.constants) / sums)[made.lines]
    return Choices(made.ids, weights, made.starts, made.constants, made.width, made.form)


def kept_names(folder: Path) -> list[str]:
    """The names under which answers were written into ``folder``."""
    names = [file.name.removesuffix(PLACES) for file in folder.glob(f"*{PLACES}")]
    return [name for name in names if not name.endswith(_CHOICES)]
