"""Aligned text files: equal lines belong together, and files may be packed."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from compress_sources.aligned import Aligned, AlignedOptions
from compress_sources.delimited import Csv
from pydantic import ValidationError

from compress.errors import UsageError


def source(**options: Any) -> Aligned:
    return Aligned(AlignedOptions(**{"languages": ["en", "de"], **options}))


def write(folder: Path, name: str, lines: list[str]) -> str:
    file, text = folder / name, "".join(f"{line}\n" for line in lines)
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(file)


def test_equal_lines_of_two_files_are_a_row(tmp_path: Path) -> None:
    train = write(tmp_path, "train.en.gz", ["a man", "", "a dog"])
    write(tmp_path, "train.de.gz", ["ein Mann", "nichts", "ein Hund"])
    test = write(tmp_path, "flickr_2016-en.txt", ["grass"])
    write(tmp_path, "flickr_2016-de.txt", ["Gras"])
    data = source(train=train, test=test)
    tables = data.read()
    assert list(tables["train"].rows) == [
        {"source": "a man", "target": "ein Mann"},
        {"source": "", "target": "nichts"},
        {"source": "a dog", "target": "ein Hund"},
    ]
    assert tables["train"].places[2] == "train.en.gz:3"
    assert list(tables["test"].rows) == [{"source": "grass", "target": "Gras"}]
    assert data.columns() == {"train": ("source", "target"), "test": ("source", "target")}


def test_both_files_are_part_of_the_identity(tmp_path: Path) -> None:
    train = write(tmp_path, "train.en", ["a man"])
    write(tmp_path, "train.de", ["ein Mann"])
    first = source(train=train).identity()
    assert source(train=train).identity() == first
    write(tmp_path, "train.de", ["der Mann"])
    assert source(train=train).identity() != first


@pytest.mark.parametrize("longer", ["en", "de"])
def test_files_with_unequal_numbers_of_lines_are_refused(tmp_path: Path, longer: str) -> None:
    train = write(tmp_path, "train.en", ["a"] * (1 + (longer == "en")))
    write(tmp_path, "train.de", ["b"] * (1 + (longer == "de")))
    with pytest.raises(UsageError, match=rf"train.{longer}:2: train.{longer} goes on.*1 line"):
        source(train=train).read()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    train = write(tmp_path, "train.en", ["a"])
    with pytest.raises(UsageError, match=r"no file train\.de beside it"):
        source(train=train).read()
    odd = write(tmp_path, "corpus.txt", ["a"])
    with pytest.raises(UsageError, match="the part 'en' 0 times"):
        source(train=odd).read()


@pytest.mark.parametrize("languages", [["en"], ["en", "en"], ["en", "de", "fr"]])
def test_there_are_two_languages(languages: list[str]) -> None:
    with pytest.raises(ValidationError, match="expected the two languages"):
        AlignedOptions(languages=languages, train="x")


def test_a_packed_file_is_read_like_any_other(tmp_path: Path) -> None:
    file = write(tmp_path, "train.csv.gz", ["text,label", "a,b"])
    csv = Csv(Csv.Options(train=file))
    assert list(csv.read()["train"].rows) == [{"text": "a", "label": "b"}]
    assert csv.columns() == {"train": ["text", "label"]}


# The names are given: a packed file holds the second it was made in, and each process of a suite
# collects for itself.
@pytest.mark.parametrize(
    "content", [b"text,label\na,b\n", gzip.compress(b"a,b\n" * 9999)[:-20]], ids=["unpacked", "cut"]
)
def test_a_damaged_packed_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "train.csv.gz"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"train\.csv\.gz: cannot be unpacked"):
        Csv(Csv.Options(train=str(file))).read()
