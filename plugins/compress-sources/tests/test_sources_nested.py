"""Rows inside of other objects, and rows of one group in one split."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from compress_sources.delimited import Csv
from compress_sources.hub import HubOptions
from compress_sources.json_rows import Json
from pydantic import ValidationError

from compress.errors import UsageError

QUESTIONS = "data.paragraphs.qas"


def article(title: str, questions: int) -> dict[str, Any]:
    """An article of two paragraphs, as SQuAD has them."""
    paragraphs = []
    for number in range(2):
        qas = [{"id": f"{title}{number}{i}", "question": f"q{i}"} for i in range(questions)]
        paragraphs.append({"context": f"{title}{number}", "qas": qas})
    return {"title": title, "paragraphs": paragraphs}


def source(folder: Path, content: Any, indent: int | None = None, **options: Any) -> Json:
    path = folder / "squad.json"
    path.write_text(json.dumps(content, indent=indent))
    return Json(Json.Options(train=str(path), **{"splits": {"train": QUESTIONS}, **options}))


def mistakes(data: Json) -> list[str]:
    with pytest.raises(UsageError) as caught:
        data.read()
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize("indent", [None, 1])
def test_a_row_has_the_keys_of_all_objects_around_it_and_a_place(
    indent: int | None, tmp_path: Path
) -> None:
    content = {"version": "1.1", "data": [article("a", 2), article("b", 1)]}
    data = source(tmp_path, content, indent)
    table = data.read()["train"]
    assert len(table.rows) == 6
    assert table.rows[3] == {"title": "a", "context": "a1", "id": "a11", "question": "q1"}
    assert table.rows[4] == {"title": "b", "context": "b0", "id": "b00", "question": "q0"}
    line = 1 if indent is None else 4
    assert table.places[3] == f"squad.json:{line} [0].paragraphs[1].qas[1]"
    assert data.columns() == {"train": ["title", "context", "id", "question"]}


def test_of_two_equal_keys_the_inner_one_counts(tmp_path: Path) -> None:
    content = {"data": [{"id": 1, "rows": [{"id": 2}, {"text": "x"}]}]}
    table = source(tmp_path, content, splits={"train": "data.rows"}).read()["train"]
    assert table.rows == [{"id": 2}, {"id": 1, "text": "x"}]


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"title": "b"}, "1 [1]: there is no list 'paragraphs'"),
        ({"paragraphs": [{"qas": 3}]}, "1 [1].paragraphs[0]: there is no list 'qas'"),
        ({"paragraphs": [{"qas": [3]}]}, "1 [1].paragraphs[0].qas[0]: a row inside of objects"),
        (7, "1 [1]: there is no list 'paragraphs'"),
    ],
)
def test_what_is_no_row_is_told_with_its_place(broken: Any, problem: str, tmp_path: Path) -> None:
    (found,) = mistakes(source(tmp_path, {"data": [article("a", 1), broken]}))
    assert f"squad.json:{problem}" in found


def test_a_key_that_leads_nowhere_is_told_once(tmp_path: Path) -> None:
    data = source(tmp_path, {"data": [article("a", 1)] * 3}, splits={"train": "data.chapters"})
    (found,) = mistakes(data)
    assert "there is no list 'chapters'" in found and "no other row fits either" in found
    (found,) = mistakes(source(tmp_path, {"data": []}, splits={"train": "dat.paragraphs"}))
    assert "dat.paragraphs is no list of rows" in found


def titles(tables: Mapping[str, Any]) -> dict[str, set[str]]:
    return {split: {row["title"] for row in table.rows} for split, table in tables.items()}


def test_rows_of_one_group_are_in_one_split_and_shares_count_rows(tmp_path: Path) -> None:
    content = {"data": [article(f"t{i}", 1 + i % 7) for i in range(60)]}
    shares = {"validation": 0.1, "test": 0.2}
    tables = source(tmp_path, content, group_by="title", **shares).read()
    found = titles(tables)
    assert sum(map(len, found.values())) == 60 == len(set().union(*found.values()))
    rows = {split: len(table.rows) for split, table in tables.items()}
    total = sum(rows.values())
    assert rows["test"] == pytest.approx(0.2 * total, abs=7)
    assert rows["validation"] == pytest.approx(0.1 * 0.8 * total, abs=7)
    content["data"].reverse()
    assert titles(source(tmp_path, content, group_by="title", **shares).read()) == found
    apart = titles(source(tmp_path, content, **shares).read())
    assert apart["train"] & apart["test"]


def test_a_small_share_of_large_groups_is_one_group(tmp_path: Path) -> None:
    content = {"data": [article(name, 9) for name in "ab"]}
    found = titles(source(tmp_path, content, group_by="title", test=0.01).read())
    assert sorted(map(len, found.values())) == [1, 1]
    with pytest.raises(UsageError, match="a share of 0.5 of 1 values of title leaves one side"):
        source(tmp_path, {"data": [article("a", 9)]}, group_by="title", test=0.5).read()


def test_a_row_without_the_column_and_groups_without_a_share_are_mistakes(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text\na\nb\n")
    data = Csv(Csv.Options(train=str(tmp_path / "train.csv"), test=0.5, group_by="title"))
    with pytest.raises(UsageError, match="train.csv:2: the row has no 'title', by which rows are"):
        data.read()
    for options, kind in (({"train": "a.csv"}, Csv.Options), ({"hub": "a/b"}, HubOptions)):
        with pytest.raises(ValidationError, match="group_by is for a share of the training rows"):
            kind(**options, group_by="title")
