"""Rows in Arrow files: what was written comes back, whatever its types and however it is read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compress.rowfiles import ArrowRows, write_rows
from compress.rows import CHUNK, Columns, Picked, chunks, columns_of, rows_in

COUNT = 2 * CHUNK + 7


def numbered(first: int = 0, after: int = COUNT) -> list[dict[str, Any]]:
    return [{"text": f"text {i}", "n": i, "tags": [i, None]} for i in range(first, after)]


def written(file: Path, rows: list[dict[str, Any]], ids: str | None = None) -> ArrowRows:
    write_rows(file, chunks(rows))
    return ArrowRows(file, ids)


def test_rows_come_back_by_place_by_slice_and_in_order(tmp_path: Path) -> None:
    rows = numbered()
    found = written(tmp_path / "a.arrow", rows)
    assert len(found) == COUNT and list(found) == rows and found == rows
    assert [found[i] for i in (0, CHUNK, -1, 5)] == [rows[i] for i in (0, CHUNK, -1, 5)]
    assert found[3::900] == rows[3::900]
    with pytest.raises(IndexError):
        found[COUNT]


def test_ids_are_made_of_the_number_of_a_row(tmp_path: Path) -> None:
    found = written(tmp_path / "a.arrow", numbered(), "train")
    assert found[COUNT - 1]["id"] == f"train-{COUNT - 1}"
    assert [row["id"] for row in found] == [f"train-{i}" for i in range(COUNT)]


def test_a_column_may_change_its_type_between_chunks(tmp_path: Path) -> None:
    parts: list[Columns] = [
        {"a": [None, None]},
        {"a": ["x", None]},
        {"a": [None]},
        {"a": [3]},
        {"a": [2.5, 1]},
        {"a": ["y"]},
        {"a": [[]]},
        {"a": [[1]]},
    ]
    found = write_rows(tmp_path / "a.arrow", parts)
    cells = [cell for columns in parts for cell in columns["a"]]
    assert [row["a"] for row in found] == cells
    assert len(list(tmp_path.iterdir())) == 7  # as often as the new type is wider or another


def test_no_rows_are_an_empty_sequence(tmp_path: Path) -> None:
    assert write_rows(tmp_path / "a.arrow", []) == [] and not list(tmp_path.iterdir())


def test_a_choice_of_rows_reads_the_chosen_ones_alone(tmp_path: Path) -> None:
    rows = numbered()
    places = [0, 7, CHUNK - 1, CHUNK, COUNT - 1]
    for items in (rows, written(tmp_path / "a.arrow", rows)):
        some = Picked(items, places)
        assert some == [rows[i] for i in places] and some[-1] == rows[-1]
        assert [row for columns in chunks(some) for row in rows_in(columns)] == list(some)
        twice = Picked(some, [1, 3])
        assert [row for columns in chunks(twice) for row in rows_in(columns)] == list(twice)


def test_a_row_that_lacks_a_column_has_none_there() -> None:
    assert columns_of([{"a": 1}, {"b": 2}]) == {"a": [1, None], "b": [None, 2]}
    assert rows_in({}) == []


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def grown() -> Iterator[Columns]:
        for i in range(100):
            yield {"text": [f"{i} {j} " + "x" * 1000 for j in range(CHUNK)]}

    write_rows(tmp_path / "a.arrow", grown())  # 100 MB
    code = (
        "import sys, psutil; from pathlib import Path; from compress.rowfiles import ArrowRows\n"
        "rows = ArrowRows(Path(sys.argv[1])); rows[0]; own = psutil.Process().memory_info\n"
        "before = own().rss; total = sum(len(row['text']) for row in rows)\n"
        "some = sum(len(rows[i]['text']) for i in range(0, len(rows), 997))\n"
        "assert total > 1e8 and some > 1e5 and 'pandas' not in sys.modules\n"
        "print(own().rss - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.arrow")], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 25e6
