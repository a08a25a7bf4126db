from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from compress_sources.delimited import Csv
from compress_sources.json_rows import Json
from compress_tasks import TextClassification

from compress.errors import UsageError
from compress.store.prepared import Prepared, prepare

TABLE = "text,label,sound\na,x,one.wav\nb,y,sub/two.wav\nc,x,one.wav\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "one.wav").write_bytes(b"1")
    (tmp_path / "sub" / "two.wav").write_bytes(b"2")
    (tmp_path / "train.csv").write_text(TABLE)
    return tmp_path


def csv(folder: Path, **options: Any) -> Csv:
    return Csv(Csv.Options(train=str(folder / "train.csv"), files=["sound"], **options))


def prepared(source: Any, folder: Path) -> Prepared:
    folder.mkdir()
    prepare(source, TextClassification(TextClassification.Options()), folder)
    return Prepared(folder, "")


def test_paths_start_at_the_folder_of_the_rows(folder: Path) -> None:
    rows = csv(folder).read()["train"].rows
    assert [row["sound"] for row in rows] == [
        str(folder / name) for name in ("one.wav", "sub/two.wav", "one.wav")
    ]
    assert csv(folder).files(rows[1]) == [folder / "sub" / "two.wav"]
    (folder / "train.json").write_text(json.dumps([{"sound": "one.wav"}, {"text": "no sound"}]))
    read = Json(Json.Options(train=str(folder / "train.json"), files=["sound"]))
    assert [read.files(row) for row in read.read()["train"].rows] == [[folder / "one.wav"], []]


def test_the_digests_of_named_files_are_part_of_the_data(folder: Path) -> None:
    before = csv(folder).identity()
    kept = prepared(csv(folder), folder / "before").folder / "files.json"
    assert set(json.loads(kept.read_text())) == {
        str(folder / "one.wav"),
        str(folder / "sub" / "two.wav"),
    }
    (folder / "sub" / "two.wav").write_bytes(b"other")
    assert csv(folder).identity() != before
    other = prepared(csv(folder), folder / "after").folder / "files.json"
    assert other.read_text() != kept.read_text()


def test_a_file_that_is_missing_is_told_at_the_place_of_its_row(folder: Path) -> None:
    (folder / "sub" / "two.wav").unlink()
    csv(folder).identity()  # a run asks first, and is not to fail
    with pytest.raises(UsageError) as caught:
        prepared(csv(folder), folder / "out")
    (mistake,) = caught.value.mistakes
    assert mistake.where == "train.csv:3"
    assert mistake.message == (
        f"row 1 of train: it names the file {folder / 'sub' / 'two.wav'}, which does not exist"
    )


def test_a_column_of_files_that_is_not_there_is_a_mistake(folder: Path) -> None:
    source = Csv(Csv.Options(train=str(folder / "train.csv"), files=["audio"]))
    with pytest.raises(UsageError, match="its first row has no column 'audio', which files names"):
        source.read()
