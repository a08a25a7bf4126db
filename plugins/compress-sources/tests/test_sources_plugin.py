from __future__ import annotations

import subprocess
import sys

import compress_sources
import pytest

from compress.options import PathMark, fields_marked
from compress.source import FileOptions

SOURCES = {source.name: source for source in compress_sources.compress_sources()}


def test_the_plugin_registers_every_source_and_no_suffix_is_claimed_twice():
    assert sorted(SOURCES) == [
        "aligned",
        "conll",
        "csv",
        "hub",
        "json",
        "parquet",
        "python-stdlib",
        "text",
        "tsv",
    ]
    suffixes = [suffix for source in SOURCES.values() for suffix in source.suffixes]
    text = [".conll", ".csv", ".json", ".jsonl", ".tsv", ".txt"]
    assert sorted(suffixes) == sorted([*text, *(f"{suffix}.gz" for suffix in text), ".parquet"])
    assert [name for name, source in SOURCES.items() if source.selects] == ["hub"]


@pytest.mark.parametrize("name", SOURCES)
def test_every_option_is_described_and_every_file_is_marked_as_a_path(name):
    options = SOURCES[name].Options
    assert SOURCES[name].summary and options.__doc__
    assert all(field.description for field in options.model_fields.values())
    expected = ["train", "validation", "test"] if issubclass(options, FileOptions) else []
    assert fields_marked(options, PathMark) == expected


def test_importing_the_plugin_imports_nothing_heavy():
    heavy = (
        "{'torch', 'transformers', 'datasets', 'pyarrow', 'pandas', 'sklearn', 'huggingface_hub'}"
    )
    code = f"import sys, compress_sources; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
