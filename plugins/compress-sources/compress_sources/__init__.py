"""Where examples come from: files, data sets of the Hugging Face hub, and text that every
Python ships with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compress import hookimpl
from compress.source import Source
from compress_sources.aligned import Aligned
from compress_sources.conll import Conll
from compress_sources.delimited import Csv, Tsv
from compress_sources.hub import Hub
from compress_sources.json_rows import Json
from compress_sources.parquet import Parquet
from compress_sources.standard_library import StandardLibrary
from compress_sources.text import Text


@hookimpl
def compress_sources() -> Sequence[type[Source[Any]]]:
    """The sources by which ``data:`` may be read."""
    return [Csv, Tsv, Json, Parquet, Conll, Text, Aligned, Hub, StandardLibrary]
