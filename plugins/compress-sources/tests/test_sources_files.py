from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from compress_sources.conll import Conll
from compress_sources.delimited import Csv, Tsv
from compress_sources.files import FileSource
from compress_sources.json_rows import Json
from compress_sources.parquet import Parquet
from compress_sources.text import Text
from pydantic import ValidationError

from compress.errors import UsageError

EACH = {
    Csv: b"text,label\nhello,a\n",
    Tsv: b"text\tlabel\nhello\ta\n",
    Json: b'[{"text": "hello"}]',
    Conll: b"hello O\n",
    Text: b"hello\n",
}


def source(cls: type[FileSource], folder: Path, content: bytes, **options: object) -> FileSource:
    path = folder / f"train{cls.suffixes[0]}"
    path.write_bytes(content)
    return cls(cls.Options(train=str(path), **options))


def mistakes_of(data: FileSource) -> list[str]:
    with pytest.raises(UsageError) as caught:
        data.read()
    return [str(mistake) for mistake in caught.value.mistakes]


def test_missing_files_are_all_named_in_one_error(tmp_path):
    (tmp_path / "here.csv").write_text("a\n1\n")
    names = {"train": "no.csv", "validation": "here.csv", "test": "nor.csv"}
    data = Csv(Csv.Options(**{split: str(tmp_path / name) for split, name in names.items()}))
    for act in (data.identity, data.read):
        with pytest.raises(UsageError) as caught:
            act()
        assert [m.where for m in caught.value.mistakes] == [
            str(tmp_path / "no.csv"),
            str(tmp_path / "nor.csv"),
        ]
        assert "train" in str(caught.value) and "test file" in str(caught.value)
    assert data.columns() == {"validation": ["a"]}


@pytest.mark.parametrize("cls", EACH)
def test_a_file_without_rows_is_a_mistake(cls, tmp_path):
    for content in (b"", b"\n\n", b"\xef\xbb\xbf"):
        assert mistakes_of(source(cls, tmp_path, content))[0].startswith(
            f"{tmp_path}/train{cls.suffixes[0]}"
        )


@pytest.mark.parametrize(
    ("header", "quoting", "content", "names"),
    [
        (False, "minimal", f"{'x ' * 40_000},a\ny,b\n", None),
        (False, "none", f"{'x ' * 40_000},a\ny,b\n", None),
        (False, "minimal", f"y,b\n{'x ' * 40_000},a\n", ["0", "1"]),
        (True, "minimal", f'text,label\n"{"x " * 40_000}",a\n', ["text", "label"]),
        (True, "minimal", f"{'t' * 70_000},label\nx,a\n", None),
        (False, "minimal", "y,b", ["0", "1"]),
    ],
)
def test_columns_are_told_by_the_beginning_of_a_file_only_where_it_holds_the_whole_first_record(
    header, quoting, content, names, tmp_path
):
    data = source(Csv, tmp_path, content.encode(), header=header, quoting=quoting)
    assert data.columns() == ({} if names is None else {"train": names})
    assert all(len(row) == 2 for row in data.read()["train"].rows)


@pytest.mark.parametrize("cls", EACH)
def test_a_byte_order_mark_is_no_part_of_the_text(cls, tmp_path):
    plain = source(cls, tmp_path, EACH[cls])
    rows, columns = plain.read()["train"].rows, plain.columns()
    marked = source(cls, tmp_path, b"\xef\xbb\xbf" + EACH[cls])
    assert marked.read()["train"].rows == rows and len(rows) == 1
    assert marked.columns() == columns == {"train": columns["train"]}


@pytest.mark.parametrize("cls", EACH)
def test_text_that_is_not_utf8_is_named_by_line_and_byte_offset(cls, tmp_path):
    content = EACH[cls] + "caf\xe9\n".encode("latin-1") + b"good\n\xff\n"
    offset = len(EACH[cls]) + 3
    line = content.count(b"\n", 0, offset) + 1
    first, second = mistakes_of(source(cls, tmp_path, content))
    assert first.startswith(
        f"{tmp_path}/train{cls.suffixes[0]}:{line}: byte 0xe9 at offset {offset} is not utf-8"
    )
    assert f":{line + 2}: byte 0xff at offset {len(content) - 2} " in second
    assert "latin-1" in first


def test_latin_1_is_read_where_the_option_says_so(tmp_path):
    data = source(Csv, tmp_path, "größe\ncafé\n".encode("latin-1"), encoding="latin-1")
    assert data.read()["train"].rows == [{"größe": "café"}]
    assert data.columns() == {"train": ["größe"]}


def test_latin_1_does_not_silently_decode_a_file_marked_as_utf8(tmp_path):
    data = source(Csv, tmp_path, b"\xef\xbb\xbf" + "größe\ncafé\n".encode(), encoding="latin-1")
    assert "byte order mark of UTF-8" in mistakes_of(data)[0]
    assert data.columns() == {}


def test_utf16_is_read_and_its_damage_named_once(tmp_path):
    content = "ä\nö\n".encode("utf-16")
    rows = source(Text, tmp_path, content, encoding="utf-16").read()["train"].rows
    assert [row["text"] for row in rows] == ["ä", "ö"]
    assert len(mistakes_of(source(Text, tmp_path, content[:-1], encoding="utf-16"))) == 1


def test_no_character_but_a_line_end_ends_a_line(tmp_path):
    data = source(Text, tmp_path, "a\u2028b\x85c\x0cd\r\ne\rf\n".encode())
    assert [row["text"] for row in data.read()["train"].rows] == ["a\u2028b\x85c\x0cd", "e", "f"]


def test_mistakes_of_all_files_are_listed_to_the_twentieth(tmp_path):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("a,b\n" + "1\n" * 18 + "1,2\n")
    test.write_text("a,b\n" + "1,2,3\n" * 9 + "1,2\n")
    found = mistakes_of(Csv(Csv.Options(train=str(train), test=str(test))))
    assert found[0] == f"{train}:2: 1 fields where 2 are expected"
    assert found[18] == f"{test}:2: 3 fields where 2 are expected"
    assert len(found) == 21 and found[20] == "data: and 7 more"


def test_identity_follows_bytes_and_options_but_not_paths(tmp_path):
    def identity(content: bytes = b"a\n1\n", folder: str = "one", **options: object) -> object:
        (tmp_path / folder).mkdir(exist_ok=True)
        return source(Csv, tmp_path / folder, content, **options).identity()

    assert identity() == identity(folder="two")
    others = [
        identity(b"a\n2\n"),
        identity(quoting="none"),
        identity(encoding="latin-1"),
        identity(validation=0.5),
        identity(validation=0.4),
        identity(columns={"text": "a"}),
        identity(),
    ]
    assert all(one != other for one, other in combinations(others, 2))
    assert str(tmp_path) not in str(identity())


def test_options_that_cannot_be_meant_are_refused():
    for options, words in [
        ({}, "no file is named"),
        ({"validation": 0.1}, "no train file"),
        ({"train": "a.csv", "validation": 1.5}, "between 0 and 1, not 1.5"),
        ({"train": "a.csv", "validation": 0.0}, "between 0 and 1"),
        ({"train": "a.csv", "encoding": "utf-9"}, "utf-9"),
        ({"train": "a.csv", "encoding": "hex"}, "hex"),
        ({"train": "a.csv", "delimeter": ";"}, "delimeter"),
    ]:
        with pytest.raises(ValidationError, match=words):
            Csv.Options(**options)


def test_a_share_of_the_training_rows_is_set_aside_for_validation(tmp_path):
    lines = [f"text {i % 40}" for i in range(100)]
    tables = source(Text, tmp_path, "\n".join(lines).encode(), validation=0.25).read()
    train, aside = (
        [row["text"] for row in tables[split].rows] for split in ("train", "validation")
    )
    assert sorted(train + aside) == sorted(lines)
    assert not set(train) & set(aside) and len(set(aside)) == 10
    assert [lines[int(place.split(":")[1]) - 1] for place in tables["validation"].places] == aside
    again = source(Text, tmp_path, "\n".join(reversed(lines)).encode(), validation=0.25)
    assert {row["text"] for row in again.read()["validation"].rows} == set(aside)
    assert list(again.columns()) == ["train", "validation"]


def test_a_share_for_the_test_split_is_set_aside_before_that_for_validation(tmp_path):
    content = "".join(f"row {i}\n" for i in range(100)).encode()
    data = source(Text, tmp_path, content, test=0.2, validation=0.25)
    tables = data.read()
    assert {split: len(table.rows) for split, table in tables.items()} == {
        "train": 60,
        "validation": 20,
        "test": 20,
    }
    assert len({row["text"] for table in tables.values() for row in table.rows}) == 100
    assert data.columns() == dict.fromkeys(("train", "validation", "test"), ("text",))
    alone = source(Text, tmp_path, content, test=0.2).read()
    assert alone["test"].rows == tables["test"].rows


def test_a_file_in_which_no_row_fits_is_told_in_one_sentence(tmp_path):
    data = source(Csv, tmp_path, b"a title\n" + b"good film,1\n" * 30)
    assert mistakes_of(data) == [
        f"{tmp_path}/train.csv:2: 2 fields where 1 are expected; no other row fits either"
    ]


def test_a_share_that_leaves_a_side_empty_is_a_mistake(tmp_path):
    for content, share in [(b"a\nb\n", 0.1), (b"a\na\na\n", 0.5), (b"a\nb\n", 0.9)]:
        assert "a share of" in mistakes_of(source(Text, tmp_path, content, validation=share))[0]


def test_a_damaged_parquet_file_is_a_mistake(tmp_path):
    data = source(Parquet, tmp_path, b"PAR1 and no more")
    assert "cannot be read as parquet" in mistakes_of(data)[0]
    assert data.columns() == {}
