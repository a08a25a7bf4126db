"""Sources: where examples come from. Everything here works without torch."""

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
    """The rows of one split, as they are in the source.

    Each of ``rows`` maps column names to values. ``places[i]`` names the place of row i
    (``train.csv:18``) for error messages. ``label_names`` gives, for a column that holds
    label numbers, the names in order.
    """

    rows: Sequence[Mapping[str, Any]]
    places: Sequence[str]
    label_names: Mapping[str, Sequence[str]] = field(default_factory=dict)


class SourceOptions(Options):
    """Options of every source: which of its columns the task reads, and the order of
    labels."""

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
        names = value or []
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ValueError(f"each label is named once, and {twice[0]!r} is there more than once")
        return value


class FileOptions(SourceOptions):
    """Options of a source that reads one file for each split."""

    train: RecipePath | None = Field(default=None, description="File of the training split.")
    validation: RecipePath | float | None = Field(
        default=None,
        description=(
            "File of the validation split, or the share of the training rows to set aside for it."
        ),
    )
    test: RecipePath | None = Field(default=None, description="File of the test split.")


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

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Column names by split; empty if they are not known without reading everything.

        Called when the plan is made. It reads at most a header line and downloads
        nothing."""
        return {}
