"""Prepared data: a source's rows, normalised for a task and checked once, stored as parquet with
their labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from compress.errors import Mistake, UsageError
from compress.source import Source, Table
from compress.store.drawing import draw
from compress.store.splitchecks import split_mistakes
from compress.store.summary import DataSummary, Summarising
from compress.task import Row, RowError, Task

Tables = Mapping[str, Table]
"""Tables by split."""

_MOST_SHOWN = 20
"""Mistakes of rows that are shown; the others are counted."""
_CONTENTS = "data.json"
_SUMMARY = "summary.json"


@dataclass(frozen=True)
class Contents:
    """The content of ``data.json``: label names in order (none for a task without labels), and rows
    by split."""

    labels: Sequence[str]
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class Prepared:
    """Data in a folder; ``digest`` identifies the content."""

    folder: Path
    digest: str

    @cached_property
    def contents(self) -> Contents:
        """The labels and sizes."""
        return Contents(**json.loads((self.folder / _CONTENTS).read_text(encoding="utf-8")))

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in order; empty for a task without labels."""
        return tuple(self.contents.labels)

    @cached_property
    def summary(self) -> DataSummary:
        """What was counted when the data were prepared."""
        return DataSummary.model_validate_json((self.folder / _SUMMARY).read_bytes())

    def rows(self, split: str) -> list[Row]:
        """Rows of a split with their ``id``; empty if there is no such split."""
        if split not in self._rows:
            import pyarrow.parquet as pq

            file = self.folder / f"{split}.parquet"
            self._rows[split] = pq.read_table(file).to_pylist() if file.is_file() else []
        return self._rows[split]

    def sample(self, split: str, most: int) -> list[Row]:
        """At most ``most`` rows of a split, evenly spread over it; the others are not held."""
        import pyarrow.parquet as pq

        # Neither ``read_table`` nor ``take``: for both pyarrow imports pandas, which takes long.
        table = pq.ParquetFile(self.folder / f"{split}.parquet").read()
        step = max(1, -(-table.num_rows // most))
        places = range(0, table.num_rows, step)
        rows: list[Row] = [table.slice(place, 1).to_pylist()[0] for place in places]
        return rows

    @cached_property
    def _rows(self) -> dict[str, list[Row]]:
        """The splits that were read."""
        return {}


def prepare(source: Source[Any], task: Task[Any], folder: Path, seed: int = 0) -> None:
    """Write the prepared data of ``source`` for ``task`` into ``folder``. ``seed`` draws the rows
    where the source's options limit them.

    Raises UsageError with a Mistake for each row that cannot be used, each split that is empty, and
    each column that is missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = _tables(source, task)
    # Of all rows: a few drawn ones need not have every label.
    labels = _labels(whole, source.options.labels, task)
    tables = _drawn(whole, source, seed)
    summarising = Summarising(task, labels)
    sizes: dict[str, int] = {}
    mistakes: list[Mistake] = []
    for split, table in tables.items():  # one after the other: a split's rows may be large
        rows, row_mistakes = _normalise_rows(split, table, task, labels)
        sizes[split] = len(rows)
        mistakes += row_mistakes
        if not mistakes:  # nothing more is written after the first split with mistakes
            summarising.add(split, rows, len(whole[split].rows))
            file = folder / f"{split}.parquet"
            pq.write_table(pa.Table.from_pylist(rows), file, compression="zstd")
    if mistakes:
        raise UsageError(_shortened(mistakes))
    contents = json.dumps(asdict(Contents(labels, sizes)), indent=2, ensure_ascii=False)
    (folder / _SUMMARY).write_text(summarising.summary().model_dump_json(indent=2) + "\n", "utf-8")
    (folder / _CONTENTS).write_text(contents + "\n", encoding="utf-8")


def _tables(source: Source[Any], task: Task[Any]) -> Tables:
    """The task's columns of each split, with names for label numbers. Raises UsageError for splits
    that cannot be used."""
    options = source.options
    tables: dict[str, Table] = {}
    for split, table in source.read().items():
        renamed = _renamed(table, options.columns_of(split), task)
        tables[split] = _with_label_names(renamed, options.labels)
    mistakes = split_mistakes(tables, task, options.labels)
    if mistakes:
        raise UsageError(mistakes)
    return tables


def _drawn(whole: Tables, source: Source[Any], seed: int) -> Tables:
    """The rows of each split that the source's options leave."""
    tables = {}
    for split, table in whole.items():
        tables[split] = draw(table, source.options.rows_of(split), split, seed)
    return tables


def _renamed(table: Table, columns: Mapping[str, str], task: Task[Any]) -> Table:
    """The task's columns of the table under the task's names. A column that ``columns`` maps is
    read from the mapped one alone."""
    names = {column.name: columns.get(column.name, column.name) for column in task.columns}
    rows = [_picked(row, names) for row in table.rows]
    label_names = {}
    for column, labels in _picked(table.label_names, names).items():
        label_names[column] = [label.strip() for label in labels]
    return Table(rows, table.places, label_names)


def _picked(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """``values`` under new names: ``names`` maps each new name to the old one. Others are left
    out."""
    return {name: values[other] for name, other in names.items() if other in values}


def _with_label_names(table: Table, declared: Sequence[str] | None) -> Table:
    """The table with label names in place of label numbers, in columns whose source has names for
    the numbers; a name may be a number itself."""
    rows = table.rows
    for column, names in table.label_names.items():
        chosen = _names_to_use(names, declared)
        rows = [_with_names(row, column, chosen) for row in rows]
    return Table(rows, table.places, table.label_names)


def _names_to_use(names: Sequence[str], declared: Sequence[str] | None) -> Sequence[str]:
    """Names for the label numbers: the source's, unless the recipe declares other names for the
    same numbers.

    Declared labels that hold all of the source's names only state their order. Raises UsageError if
    they hold some of them."""
    lacking = [name for name in names if name not in (declared or names)]
    if not declared or not lacking:
        return names
    if len(lacking) < len(names):
        raise UsageError(
            f"labels: the data call their labels {', '.join(names)}, and {', '.join(lacking)} "
            "is not declared"
        )
    return declared


def _with_names(row: Row, column: str, names: Sequence[str]) -> Row:
    return {**row, column: _name_of(row[column], names)} if column in row else row


def _name_of(cell: Any, names: Sequence[str]) -> Any:
    """The name of a label number, or of each number in a list; other cells as they are."""
    if isinstance(cell, list):
        return [_name_of(value, names) for value in cell]
    is_number = isinstance(cell, int) and not isinstance(cell, bool)
    if is_number and 0 <= cell < len(names):
        return names[cell] or cell
    return cell


def _labels(tables: Tables, declared: Sequence[str] | None, task: Task[Any]) -> Sequence[str]:
    """The task's label names in order. Raises UsageError if the tables have none that it can
    use."""
    known = _source_labels(tables, task) if declared is None else declared
    rows = {split: table.rows for split, table in tables.items()}
    try:
        return task.labels(rows, known)
    except RowError as error:
        raise UsageError(str(error)) from error


def _source_labels(tables: Tables, task: Task[Any]) -> Sequence[str] | None:
    """Label names in the source's order; None if the source has no names."""
    columns = {column.name for column in task.columns}
    for table in tables.values():
        for column, names in table.label_names.items():
            if column in columns:
                return list(names)
    return None


def _normalise_rows(
    split: str, table: Table, task: Task[Any], labels: Sequence[str]
) -> tuple[list[Row], list[Mistake]]:
    """The rows that can be used, and a mistake for each that cannot."""
    rows: list[Row] = []
    mistakes: list[Mistake] = []
    for i, (row, place) in enumerate(zip(table.rows, table.places, strict=True)):
        try:
            rows.append({**task.normalise(row, labels), "id": f"{split}-{i}"})
        except RowError as error:
            mistakes.append(Mistake(place, f"row {i} of {split}: {error}"))
    if len(mistakes) > 1 and not rows:
        first = mistakes[0]
        message = f"no row of the {split} split can be used; {first.message}"
        mistakes = [Mistake(first.where, message)]
    return rows, mistakes


def _shortened(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """The mistakes that are shown, and a line that counts the others."""
    others = len(mistakes) - _MOST_SHOWN
    if others <= 0:
        return list(mistakes)
    return [*mistakes[:_MOST_SHOWN], Mistake("data", f"{others} more rows like these")]
