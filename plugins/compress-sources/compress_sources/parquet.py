"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError

from compress.errors import Mistake, UsageError, first_line
from compress.rowfiles import spooled
from compress.rows import CHUNK
from compress.source import Table
from compress_sources.files import FileSource, SplitFiles
from compress_sources.labels import class_labels
from compress_sources.spooling import Lines

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


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
            file = pq.ParquetFile(path)
            rows = spooled(_tables(file))
        except (pa.ArrowException, OSError, ValueError, OverflowError, RecursionError) as error:
            # Arrow reports a damaged page as an OSError. The last three are for values that Python
            # does not have, such as a date in the year 99999.
            raise UsageError(
                [Mistake(str(path), f"cannot be read as parquet: {first_line(error)}")]
            ) from error
        places = Lines(path)
        places.numbers.extend(range(1, len(rows) + 1))
        return Table(rows, places, _label_names(path, file.schema_arrow.metadata or {}))

    def header(self, path: Path, split: str) -> Sequence[str]:
        """The schema's column names."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return list(pq.read_schema(path).names)
        except (pa.ArrowException, OSError, ValueError):  # ``table`` reports it
            return ()


def _tables(file: pq.ParquetFile) -> Iterator[pa.Table]:
    """The rows of a file, some at a time. Raises what Python says of values that it does not
    have."""
    import pyarrow as pa

    for batch in file.iter_batches(CHUNK):
        columns = {}
        for field, column in zip(batch.schema, batch, strict=True):
            if pa.types.is_temporal(field.type) or pa.types.is_nested(field.type):
                column.to_pylist()
            is_dictionary = pa.types.is_dictionary(field.type)
            columns[field.name] = column.dictionary_decode() if is_dictionary else column
        yield pa.table(columns)


def _label_names(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """From the schema's ``huggingface`` entry, which ``Dataset.to_parquet`` and the hub write.
    Raises UsageError where it is not as they write it."""
    entry = metadata.get(b"huggingface", b"{}")
    try:
        features = _Metadata.model_validate_json(entry).info.features
        return class_labels(features)
    except (ValidationError, ValueError, RecursionError) as error:
        message = f"its huggingface metadata is not what datasets writes: {first_line(error)}"
        hint = "write the file again without it"
        raise UsageError([Mistake(str(path), message, hint)]) from error


class _Info(BaseModel):
    """The part of the metadata that is read."""

    features: dict[str, Any] = Field(default_factory=dict)


class _Metadata(BaseModel):
    """The ``huggingface`` entry of a schema's metadata."""

    info: _Info = Field(default_factory=_Info)
