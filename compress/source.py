"""Where examples come from. Everything here works without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field, field_validator

from compress.options import Options, RecipePath

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Table:
    """The rows of one split, as the source has them.

    ``rows`` maps column names to values; ``places[i]`` says where row i stands (``train.csv:18``),
    for error messages; ``label_names`` gives, for a column that holds label numbers, the names in
    order.
    """

    rows: Sequence[Mapping[str, Any]]
    places: Sequence[str]
    label_names: Mapping[str, Sequence[str]] = field(default_factory=dict)


class SourceOptions(Options):
    """Options that every source has: how its columns are named for the task, and how labels are
    ordered."""

    columns: dict[str, str] = Field(
        default_factory=dict,
        description="The task's column name to the data's: {text: sentence, label: category}.",
    )
    labels: list[str] | None = Field(
        default=None,
        description="Label names in their order; the default is the data's own order, else sorted.",
    )

    @field_validator("labels")
    @classmethod
    def _are_distinct(cls, value: list[str] | None) -> list[str] | None:
        twice = [name for i, name in enumerate(value or []) if name in (value or [])[:i]]
        if twice:
            raise ValueError(f"each label is named once, and {twice[0]!r} is there more than once")
        return value


class FileOptions(SourceOptions):
    """Options of a source that reads one file for each split."""

    train: RecipePath | None = Field(default=None, description="File of the training split.")
    validation: RecipePath | float | None = Field(
        default=None,
        description="File of the validation split, or the share of the training rows to set aside for it.",
    )
    test: RecipePath | None = Field(default=None, description="File of the test split.")


O = TypeVar("O", bound=SourceOptions)


class Source(ABC, Generic[O]):
    """A kind of data. A subclass sets the class variables and reads tables.

    ``suffixes`` are the file suffixes by which a recipe that names no ``source`` selects this one;
    ``selects`` is an option whose presence does the same (``hub``).
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
        """JSON-ready values that change whenever the rows would: digests of files, a revision, a
        Python version.

        Called by a plan and when a run starts; raises UsageError naming a file that does not exist.
        Cheap: seconds at most.
        """

    @abstractmethod
    def read(self) -> Mapping[str, Table]:
        """The tables by split name (``train``, ``validation``, ``test``; those there are).

        Raises UsageError with one Mistake for each unreadable place (text that is not UTF-8, a
        ragged row)."""

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Column names by split as far as they are known without reading everything; empty where
        they are not.

        Called when the plan is made: a header line is read, nothing more, and nothing is
        downloaded."""
        return {}
