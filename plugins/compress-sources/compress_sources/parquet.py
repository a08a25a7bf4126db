"""Parquet files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.errors import Mistake, UsageError, first_line
from compress.source import Table
from compress_sources.files import FileSource, SplitFiles
from compress_sources.labels import class_labels


class Parquet(FileSource[SplitFiles]):
    """Rows of parquet files, with the label names that ``datasets`` wrote into the
    schema."""

    name = "parquet"
    summary = "parquet files"
    Options = SplitFiles
    suffixes = (".parquet",)

    def table(self, path: Path, split: str) -> Table:
        """One row for each row of the file. Places count from 1."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:  # Arrow reports a damaged page as an OSError
            raise UsageError(
                [Mistake(str(path), f"cannot be read as parquet: {first_line(error)}")]
            ) from error
        places = [f"{path.name}:{i}" for i in range(1, table.num_rows + 1)]
        return Table(table.to_pylist(), places, _label_names(table.schema.metadata or {}))

    def header(self, path: Path, split: str) -> Sequence[str]:
        """The schema's column names."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return list(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):  # ``table`` reports it
            return ()


def _label_names(metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """From the schema's ``huggingface`` entry, which ``Dataset.to_parquet`` and the hub
    write."""
    entry: Any = json.loads(metadata.get(b"huggingface", b"{}"))
    return class_labels((entry.get("info") or {}).get("features") or {})
