"""Sources: where examples come from. Everything here works without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field, field_validator

from compress.errors import suggestion
from compress.options import Options, RecipePath

SPLITS = ("train", "validation", "test")


def hint_without_labels(split: str) -> str:
    """What to do about a split whose rows have no labels."""
    if split == "train":
        return "a model cannot learn from it: name rows with labels as train"
    return (
        f"name rows with labels as {split}, or set a share of the training rows aside: {split}: 0.1"
    )


@dataclass(frozen=True)
class Table:
    """The rows of one split, as they are in the source.

    Each of ``rows`` maps column names to values. ``places[i]`` names the place of row i
    (``train.csv:18``) for error messages. ``label_names`` gives, for a column that holds
    label numbers, the names in order.

    Rows are read some at a time, more than once. A list of them lies in memory; for more rows than
    that, ``compress.rowfiles.write_rows`` gives a sequence that reads them from a file.
    """

    rows: Sequence[Mapping[str, Any]]
    places: Sequence[str]
    label_names: Mapping[str, Sequence[str]] = field(default_factory=dict)


class SourceOptions(Options):
    """Options of every source: which of its columns the task reads, how many rows are used,
    and the order of labels."""

    columns: dict[str, str | dict[str, str]] = Field(
        default_factory=dict,
        description=(
            "The task's column name to the data's: {text: sentence, label: category}. A split may "
            "have its own: {text: sentence, test: {text: body}}."
        ),
    )
    rows: int | dict[str, int] | None = Field(
        default=None,
        description=(
            "Rows of each split to use at most: 8000, or {train: 8000, test: 500}. They are drawn "
            "by the recipe's seed. Labels are those of all rows."
        ),
    )
    labels: list[str] | None = Field(
        default=None,
        description="Label names in their order; the default is the data's own order, else sorted.",
    )

    @field_validator("columns")
    @classmethod
    def _are_of_splits(
        cls, value: dict[str, str | dict[str, str]]
    ) -> dict[str, str | dict[str, str]]:
        _refuse_unknown_splits(key for key, mapped in value.items() if isinstance(mapped, dict))
        return value

    @field_validator("rows")
    @classmethod
    def _are_some(cls, value: int | dict[str, int] | None) -> int | dict[str, int] | None:
        by_split = value if isinstance(value, dict) else {}
        _refuse_unknown_splits(by_split)
        numbers = [value] if isinstance(value, int) else list(by_split.values())
        if any(number < 1 for number in numbers):
            raise ValueError("expected at least one row")
        return value

    @field_validator("labels")
    @classmethod
    def _are_distinct(cls, value: list[str] | None) -> list[str] | None:
        names = value or []
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ValueError(f"each label is named once, and {twice[0]!r} is there more than once")
        return value

    def columns_of(self, split: str) -> dict[str, str]:
        """The task's column name to the data's, in one split: what holds for all splits, and what
        the split has of its own."""
        common = {name: other for name, other in self.columns.items() if isinstance(other, str)}
        own = self.columns.get(split)
        return {**common, **own} if isinstance(own, dict) else common

    def rows_of(self, split: str) -> int | None:
        """Rows of a split to use at most; None for all."""
        return self.rows.get(split) if isinstance(self.rows, dict) else self.rows


def _refuse_unknown_splits(names: Iterable[str]) -> None:
    """Raise ValueError for the first name that is no split."""
    for name in names:
        if name not in SPLITS:
            raise ValueError(f"{name!r} is not a split: {suggestion(name, SPLITS)}")


class FileOptions(SourceOptions):
    """Options of a source that reads one file for each split."""

    train: RecipePath | None = Field(default=None, description="File of the training split.")
    validation: RecipePath | float | None = Field(
        default=None,
        description=(
            "File of the validation split, or the share of the training rows to set aside for it."
        ),
    )
    test: RecipePath | float | None = Field(
        default=None,
        description=(
            "File of the test split, or the share of the training rows to set aside for it. A "
            "validation share is then one of the rows that are left."
        ),
    )


O = TypeVar("O", bound=SourceOptions)


class Source(ABC, Generic[O]):
    """A kind of data. A subclass sets the class variables and reads tables.

    A recipe that names no ``source`` selects it by a file with one of ``suffixes``, or by
    the option ``selects`` (``hub``).
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[SourceOptions]]
    suffixes: ClassVar[tuple[str, ...]] = ()
    selects: ClassVar[str | None] = None

    def __init__(self, options: O) -> None:
        self.options = options

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """JSON-ready values that change whenever the rows change: digests of files, a
        revision, a Python version.

        Called by a plan and at the start of a run. Takes seconds at most. Raises UsageError
        that names a file which does not exist.
        """

    @abstractmethod
    def read(self) -> Mapping[str, Table]:
        """The tables by split name: ``train``, ``validation`` and ``test``, as far as there
        are any.

        Raises UsageError with one Mistake for each place that cannot be read (text that is
        not UTF-8, a row with too few fields)."""

    @property
    def names_files(self) -> bool:
        """Whether its rows name files; by default whether ``files`` is defined."""
        return type(self).files is not Source.files

    def files(self, row: Mapping[str, Any]) -> Sequence[Path]:
        """The files that a row names, such as its audio, as absolute paths; by default none. The
        cells of the row hold these paths too.

        A row is refused, with its place, if one does not exist. Their digests are part of prepared
        data, and ``identity`` changes with them."""
        return ()

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Column names by split; empty if they are not known without reading everything.

        Called when the plan is made. It reads at most a header line and downloads
        nothing."""
        return {}
