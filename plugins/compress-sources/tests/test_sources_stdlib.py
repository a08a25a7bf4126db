from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from compress_sources.deal import SHARES, deal
from compress_sources.functions import functions, python_files
from compress_sources.standard_library import PACKAGES, StandardLibrary

from compress.errors import EnvironmentFailure
from compress.source import SPLITS, Table

MOST_SECONDS = 15  # 0.7 (labelled) and 2.5 (all) measured; the slack is for a loaded machine


def source(scope: str = "labelled", root: Path | None = None) -> StandardLibrary:
    return StandardLibrary(StandardLibrary.Options(scope=scope), root)


@pytest.fixture(scope="module")
def labelled():
    return source().read()


@pytest.fixture(scope="module")
def everything():
    start = time.perf_counter()
    tables = source("all").read()
    assert time.perf_counter() - start < MOST_SECONDS
    return tables


def files(table: Table) -> set[str]:
    return {place.rpartition(":")[0] for place in table.places}


def normalised(table: Table) -> list[str]:
    return [" ".join(row["text"].split()) for row in table.rows]


def test_every_label_is_in_every_split(labelled):
    counts = {
        split: Counter(row["label"] for row in table.rows) for split, table in labelled.items()
    }
    assert set(counts) == set(SPLITS)
    for split, found in counts.items():
        assert sorted(found) == sorted(PACKAGES)
        assert min(found.values()) >= 20, split  # 28 measured, urllib's test rows
        assert max(found.values()) < 0.25 * sum(found.values())  # 0.20 measured
    total = sum(sum(found.values()) for found in counts.values())
    assert total >= 4_000  # 4,513 measured with Python 3.11.7
    assert sum(counts["train"].values()) / total == pytest.approx(SHARES["train"], abs=0.05)


@pytest.mark.parametrize("scope", ["labelled", "everything"])
def test_neither_a_text_nor_a_file_is_in_two_splits_and_no_text_is_there_twice(scope, request):
    tables = request.getfixturevalue(scope)
    texts = [text for table in tables.values() for text in normalised(table)]
    assert len(set(texts)) == len(texts) and min(map(len, texts)) >= 40
    where = [file for table in tables.values() for file in files(table)]
    assert len(set(where)) == len(where)


def test_the_scope_of_all_holds_the_labelled_rows_in_the_same_splits(labelled, everything):
    for split in SPLITS:
        rows = dict(zip(everything[split].places, everything[split].rows, strict=True))
        for place, row in zip(labelled[split].places, labelled[split].rows, strict=True):
            assert rows[place] == {"text": row["text"]}
    assert len(everything["train"].rows) > 2 * len(labelled["train"].rows)


def test_reading_twice_gives_the_same(labelled):
    assert source().read() == labelled
    assert source().identity() == source().identity() != source("all").identity()


def test_a_row_is_the_dedented_source_at_its_place(labelled):
    root = source().root
    for place, row in list(zip(labelled["test"].places, labelled["test"].rows, strict=True))[::25]:
        file, line = place.rsplit(":", 1)
        first, *_ = row["text"].split("\n")
        assert (root / file).read_text("utf-8").split("\n")[int(line) - 1].strip() == first
        assert first.startswith(("def ", "async def ", "@"))
        assert f"{row['label']}/" == file[: len(row["label"]) + 1]


def test_columns_say_whether_there_are_labels(labelled, everything):
    for scope, tables in (("labelled", labelled), ("all", everything)):
        assert source(scope).columns() == {
            split: tuple(table.rows[0]) for split, table in tables.items()
        }


# on a library made for the test

LONG = "    '''A docstring that is long enough to count as something.'''\n"


def library(root: Path, **other: str) -> Path:
    for package in PACKAGES:
        for name in ("one", "two", "three"):
            write(root, f"{package}/{name}.py", f"def {name}_of_{package}():\n{LONG}")
    for file, text in other.items():
        write(root, file.replace("__", "/") + ".py", text)
    return root


def write(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_bytes(text.encode("latin-1"))


def test_tests_and_installed_packages_and_odd_names_are_no_part_of_the_library(tmp_path):
    for file in (
        "a.py",
        "test/b.py",
        "p/tests/c.py",
        "site-packages/d.py",
        "p/e.py",
        "f-g.py",
        "h.txt",
    ):
        write(tmp_path, file, "")
    assert python_files(tmp_path) == ["a.py", "p/e.py"]


def test_files_that_do_not_decode_or_parse_are_skipped(tmp_path):
    root = library(
        tmp_path,
        bad="def broken(:",
        bytes="\n\n\nx = '\xe9'",
        nul="\0",
        cookie="# coding: no-such\n",
        latin=f"# coding: latin-1\ndef good():\n{LONG}    return '\xe9'\n",
    )
    found = source("all", root).read()
    assert sum(len(table.rows) for table in found.values()) == 3 * len(PACKAGES) + 1
    assert any("return 'é'" in row["text"] for table in found.values() for row in table.rows)


def test_functions_are_taken_with_decorators_from_classes_and_branches_but_not_from_functions(
    tmp_path,
):
    write(
        tmp_path,
        "a.py",
        (
            "class C:\n    @property\n    def method(self):\n"
            "        '''One line,\n\x0c        another.'''\n        def inner(): return 'this one "
            "is a part of method'\n\n"
            "try:\n    import x\nexcept ImportError:\n"
            "    async def fallback():\n        return 'long enough to be kept, surely'\n"
        ),
    )
    found = list(functions(tmp_path, ["a.py"]))
    assert [function.line for function in found] == [2, 11]
    method = (
        "@property\ndef method(self):\n    '''One line,\n\x0c        another.'''\n    def inner()"
    )
    assert found[0].text.startswith(method)
    assert found[1].text == "async def fallback():\n    return 'long enough to be kept, surely'"


def test_a_text_met_again_is_dropped_whatever_its_white_space_and_the_labelled_one_stays(tmp_path):
    text = f"def shared():\n{LONG}"
    root = library(tmp_path, aaa=text, email__four=text.replace("    ", "\t"), http__four=text)
    for scope in ("labelled", "all"):
        places = [place for table in source(scope, root).read().values() for place in table.places]
        assert (
            "email/four.py:1" in places
            and "http/four.py:1" not in places
            and "aaa.py:1" not in places
        )


def test_identity_follows_the_files_that_are_read(tmp_path):
    root = library(tmp_path, other=f"def f():\n{LONG}")
    before = {scope: source(scope, root).identity() for scope in ("labelled", "all")}
    write(root, "other.py", "def changed(): pass")
    assert source("labelled", root).identity() == before["labelled"]
    assert source("all", root).identity() != before["all"]
    (root / "email" / "one.py").rename(root / "email" / "renamed.py")
    assert source("labelled", root).identity() != before["labelled"]


def test_an_interpreter_without_its_source_is_told_in_one_line(tmp_path):
    root = library(tmp_path)
    (root / "http" / "two.py").unlink()
    with pytest.raises(EnvironmentFailure, match="2 files of 'http', fewer than 3"):
        source(root=root).read()


# dealing


@pytest.mark.parametrize(
    "counts", [[1, 1, 1], [10, 10, 10], [100, 1, 1], [5, 4, 3, 2, 1], [7] * 9, [300, 200, 1, 1]]
)
def test_with_three_files_or_more_no_split_is_empty(counts):
    dealt = deal({f"f{i}": count for i, count in enumerate(counts)})
    assert len(dealt) == len(counts) and set(dealt.values()) == set(SHARES)


def test_many_files_are_dealt_in_proportion_and_independently_of_their_order():
    counts = {f"f{i}": 1 + i % 13 for i in range(100)}
    dealt = deal(counts)
    assert deal(dict(reversed(counts.items()))) == dealt
    for split, share in SHARES.items():
        found = sum(count for file, count in counts.items() if dealt[file] == split) / sum(
            counts.values()
        )
        assert found == pytest.approx(share, abs=0.01)
