from __future__ import annotations

import csv
import json
import random
import time
from pathlib import Path

import pytest
from compress_sources.conll import Conll
from compress_sources.delimited import Csv, Tsv
from compress_sources.files import FileSource
from compress_sources.json_rows import Json
from compress_sources.parquet import Parquet
from compress_sources.text import Text

from compress.errors import UsageError, did_you_mean
from compress.source import Table


def source(cls: type[FileSource], folder: Path, text: str, **options: object) -> FileSource:
    path = folder / "train.data"
    path.write_bytes(text.encode())
    return cls(cls.Options(train=str(path), **options))


def table(cls: type[FileSource], folder: Path, text: str, **options: object) -> Table:
    return source(cls, folder, text, **options).read()["train"]


def mistakes(cls: type[FileSource], folder: Path, text: str, **options: object) -> list[str]:
    with pytest.raises(UsageError) as caught:
        source(cls, folder, text, **options).read()
    return [str(mistake).removeprefix(f"{folder}/") for mistake in caught.value.mistakes]


# csv and tsv


def test_a_quoted_field_holds_commas_quotes_and_lines_and_places_are_first_lines(tmp_path):
    found = table(Csv, tmp_path, 'text,label\n"one, ""two""\nthree",a\n\nfour,b\r\n')
    assert found.rows == [
        {"text": 'one, "two"\nthree', "label": "a"},
        {"text": "four", "label": "b"},
    ]
    assert found.places == ["train.data:2", "train.data:5"]


def test_csv_reads_back_what_the_standard_writer_wrote(tmp_path):
    draw = random.Random(0)
    rows = [{"a": "".join(draw.choices("x\",\n\r é'", k=6)), "b": str(i)} for i in range(200)]
    with (tmp_path / "written.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["a", "b"])
        writer.writeheader()
        writer.writerows(rows)
    assert Csv(Csv.Options(test=str(tmp_path / "written.csv"))).read()["test"].rows == rows


def test_without_quoting_a_quote_is_plain_text(tmp_path):
    text = 'Quality\tfirst\tsecond\n1\t"An open quote\tsaid "who"\n0\ta\tb\n'
    found = table(Tsv, tmp_path, text, quoting="none")
    assert [row["first"] for row in found.rows] == ['"An open quote', "a"]
    assert found.rows[0]["second"] == 'said "who"'
    with pytest.raises(UsageError, match="quoting: none"):
        table(Tsv, tmp_path, text)


def test_an_open_quote_is_named_by_the_line_on_which_its_record_starts(tmp_path):
    (first,) = mistakes(Csv, tmp_path, 'a,b\n"1\n1",2\n3,"4\n5,6\n')
    assert first.startswith("train.data:4: cannot be read as csv: unexpected end of data")


def test_without_a_header_columns_are_numbers(tmp_path):
    data = source(Tsv, tmp_path, "x\ty\nz\tw\n", header=False)
    assert data.read()["train"].rows == [{"0": "x", "1": "y"}, {"0": "z", "1": "w"}]
    assert data.read()["train"].places == ["train.data:1", "train.data:2"]
    assert data.columns() == {"train": ["0", "1"]}


def test_a_header_that_names_a_column_twice_is_a_mistake(tmp_path):
    assert mistakes(Csv, tmp_path, "a,b,a\n1,2,3\n") == [
        "train.data:1: the header names 'a' more than once"
    ]


def test_a_header_of_many_names_is_read_at_once(tmp_path):
    names = [f"column {i}" for i in range(100_000)]
    start = time.process_time()
    assert len(table(Csv, tmp_path, ",".join(names) + "\n" + "," * 99_999).rows[0]) == 100_000
    twice = mistakes(Csv, tmp_path, ",".join([*names, *names]) + "\n")
    assert len(twice) == 21 and "names 'column 0' more than once" in twice[0]
    assert did_you_mean("column", names) == ""
    assert time.process_time() - start < 5  # 0.6; with a count of each name it takes minutes


def test_a_field_may_be_longer_than_the_csv_module_allows_by_default(tmp_path):
    before = csv.field_size_limit(1000)
    assert len(table(Csv, tmp_path, "text\n" + "x" * 200_000).rows[0]["text"]) == 200_000
    assert csv.field_size_limit(before) == 1000


# json


def test_a_list_and_lines_of_the_same_objects_give_the_same_rows(tmp_path):
    rows = [
        {"text": "a [b] {c}", "n": 1, "tags": ["x", None]},
        {"text": 'quote " and \n line', "n": 2.5, "tags": []},
    ]
    for text in (
        json.dumps(rows),
        json.dumps(rows, indent=2),
        "\n".join(map(json.dumps, rows)) + "\n\n",
    ):
        assert table(Json, tmp_path, text).rows == rows
        assert source(Json, tmp_path, text).columns() == {"train": ["text", "n", "tags"]}


def test_places_of_json_rows_are_the_lines_on_which_they_start(tmp_path):
    assert table(Json, tmp_path, '[\n  {"a": 1},\n\n  {"a":\n 2}, {"a": 3}\n]\n').places == [
        "train.data:2",
        "train.data:4",
        "train.data:5",
    ]
    assert table(Json, tmp_path, '\n{"a": 1}\n\n{"a": 2}').places == [
        "train.data:2",
        "train.data:4",
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('{"a": 1}\n{"a": }\n3\n', "train.data:2:7: Expecting value"),
        ('[{"a": 1},\n {"a" 2}]', "train.data:2:7: Expecting ':' delimiter"),
        ('[{"a": 1}\n {"a": 2}]', "train.data:2:2: Expecting ',' delimiter"),
        ('[{"a": 1},\n]', "train.data:2:1: Expecting a value after ','"),
        ('[{"a": 1}, 7]', "train.data:1: a row is an object or a list, not int"),
        ('[{"a": 1}, [2]]', "train.data:1: a row is an object, as the first one is, not a list"),
        ('["a"]', "train.data:1: a row is an object or a list, not str"),
        ("[[1, 2], [3]]", "train.data:1: 1 items where the first row has 2"),
        ('[{"a": 1}]\n]', "train.data:2: text after the list's end"),
        ('[{"a": 1}', "train.data:1:10: Expecting ',' delimiter"),
        ("[", "train.data:1:2: Expecting value"),
        ("[" * 100_000, "train.data:1:2: values are nested over 100 levels deep"),
        ('{"a": ' * 200 + "1" + "}" * 200, "train.data:1:1: values are nested over 100 levels"),
        ('{"a": ' + "9" * 5000 + "}", "train.data:1:1: a number has more digits than can be read"),
        ("no\n" * 30, "train.data:1:1: Expecting value; no other row fits either"),
        ("{\n" * 30, "train.data:2:1: Expecting property name"),
    ],
)
def test_json_that_is_no_rows_is_named_by_line_in_one_sentence(text, start, tmp_path):
    (found, *others) = mistakes(Json, tmp_path, text)
    assert found.startswith(start) and "a file is one list of rows" in found
    assert not others or "1" in text  # the good rows beside it show that the shape is right
    assert len(others) <= 1


SPLITS = {"train": [["hello there", "greet"], ["bye", "leave"]], "dev": [["hi", "greet"]]}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("outer", [None, "data"])
def test_one_json_file_holds_a_list_of_rows_for_each_split(indent, outer, tmp_path):
    content = {"version": "1", outer: SPLITS} if outer else SPLITS
    path = tmp_path / "all.json"
    path.write_text(json.dumps(content, indent=indent), encoding="utf-8")
    data = Json(Json.Options(train=str(path), validation=str(path), splits={"validation": "dev"}))
    read = data.read()
    assert read["train"].rows == [
        {"0": "hello there", "1": "greet"},
        {"0": "bye", "1": "leave"},
    ]
    assert read["validation"].rows == [{"0": "hi", "1": "greet"}]
    if not outer:
        assert data.columns() == {"train": ["0", "1"], "validation": ["0", "1"]}
    if indent:
        assert len(set(read["train"].places)) == 2


def test_an_object_without_the_rows_of_a_split_is_told_in_one_sentence(tmp_path):
    path = tmp_path / "all.json"
    path.write_text(json.dumps(SPLITS), encoding="utf-8")
    data = Json(Json.Options(train=str(path), test=str(path)))
    with pytest.raises(UsageError) as caught:
        data.read()
    assert str(caught.value) == (
        f"{path}: the file is one object with the keys train, dev, and test is no list of rows "
        "(name the key of the rows: splits: {test: KEY})"
    )
    columns = json.dumps({"text": ["a", "b"], "label": ["x", "y"]}, indent=1)
    assert "is one object with the keys text, label" in mistakes(Json, tmp_path, columns)[0]


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        ('"abc"', {"splits": {"train": "dev"}}, ": the file is not one object (splits are for"),
        ("5\n6", {"splits": {"train": "dev"}}, ": the file is not one object (splits are for"),
        ('{"a": 1}\n{"a": 2}', {"splits": {"train": "a"}}, ":2:1: text after the object's end"),
        ('{\n"train": [{"a": 1}]\n}\n{\n"train": []\n}', {}, ":4:1: text after the object's end"),
    ],
)
def test_a_file_that_is_not_one_object_is_no_object_of_splits(text, options, problem, tmp_path):
    source(Json, tmp_path, text, **options).columns()  # a plan asks first, and is not to fail
    (found,) = mistakes(Json, tmp_path, text, **options)
    assert found.startswith(f"train.data{problem}")


def test_a_column_of_json_lines_may_have_the_name_of_a_split_and_hold_lists(tmp_path):
    data = source(Json, tmp_path, '{"text": "x", "train": ["q"]}\n' * 2)
    assert data.columns() == {"train": ["text", "train"]}
    assert len(data.read()["train"].rows) == 2


def test_every_bad_line_of_json_lines_is_told(tmp_path):
    assert [m.split(":")[1] for m in mistakes(Json, tmp_path, '{"a": 1}\nno\n{"a": 2}\n[1]\n')] == [
        "2",
        "4",
    ]


def test_columns_of_json_are_unknown_where_the_first_object_is_long(tmp_path):
    assert source(Json, tmp_path, json.dumps([{"text": "x" * 100_000}])).columns() == {}


# parquet


def test_parquet_rows_come_with_the_label_names_of_their_schema(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
            "tags": datasets.List(datasets.ClassLabel(names=["O", "B-X"])),
        }
    )
    rows = [{"text": "a", "label": 1, "tags": [0, 1]}, {"text": "b", "label": 0, "tags": []}]
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    data = Parquet(Parquet.Options(test=str(tmp_path / "a.parquet")))
    found = data.read()["test"]
    assert found.rows == rows and found.places == ["a.parquet:1", "a.parquet:2"]
    assert found.label_names == {"label": ["no", "yes"], "tags": ["O", "B-X"]}
    assert data.columns() == {"test": ["text", "label", "tags"]}


@pytest.mark.parametrize(
    "entry",
    [
        b"no JSON",
        b"\xff",
        b"[]",
        b'{"info": 3}',
        b'{"info": {"features": [1]}}',
        b"[" * 100_000,
        b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": [1, 2]}}}}',
        b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": "ab"}}}}',
    ],
)
def test_parquet_metadata_that_are_not_what_they_say_are_one_line(entry, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = pa.table({"text": ["a"]}).replace_schema_metadata({"huggingface": entry})
    pq.write_table(found, tmp_path / "a.parquet")
    data = Parquet(Parquet.Options(test=str(tmp_path / "a.parquet")))
    with pytest.raises(UsageError) as caught:
        data.read()
    assert len(str(caught.value).splitlines()) == 1
    assert "its huggingface metadata is not what datasets writes" in str(caught.value)


def test_a_date_that_python_does_not_have_is_one_line(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    far = pa.array([2**61], pa.timestamp("us"))
    pq.write_table(pa.table({"when": far}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="a.parquet: cannot be read as parquet: "):
        Parquet(Parquet.Options(test=str(tmp_path / "a.parquet"))).read()


def test_plain_parquet_has_no_label_names(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "a.parquet")
    found = Parquet(Parquet.Options(train=str(tmp_path / "a.parquet"))).read()["train"]
    assert found.rows == [{"text": "a", "n": 1}] and found.label_names == {}


# conll

SENTENCES = """-DOCSTART- -X- -X- O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

  \t
-DOCSTART- -X- O O
Peter\u00a0Blackburn NNP I-NP\tI-PER
"""


def test_conll_sentences_are_tokens_and_raw_tags_without_document_lines(tmp_path):
    found = table(Conll, tmp_path, SENTENCES)
    assert found.rows == [
        {"tokens": ["EU", "rejects"], "tags": ["I-ORG", "O"]},
        {"tokens": ["Peter\u00a0Blackburn"], "tags": ["I-PER"]},
    ]
    assert found.places == ["train.data:3", "train.data:8"]


def test_conll_columns_are_chosen_by_number(tmp_path):
    found = table(Conll, tmp_path, "1 EU NNP I-ORG\n", token_column=1, tag_column=-2)
    assert found.rows == [{"tokens": ["EU"], "tags": ["NNP"]}]
    for options, words in [
        ({"tag_column": 4}, "tag_column is 4, and the file has 4 columns"),
        ({"token_column": -5}, "token_column is -5"),
        ({"tag_column": 0}, "token and tag are the same"),
    ]:
        assert words in mistakes(Conll, tmp_path, "1 EU NNP I-ORG\n", **options)[0]


def test_a_token_line_with_another_number_of_columns_is_a_mistake(tmp_path):
    assert mistakes(Conll, tmp_path, "a X O\n\nb O\nc X O\nd X X O\n") == [
        "train.data:3: 2 columns where the first line has 3",
        "train.data:5: 4 columns where the first line has 3",
    ]


def test_tokens_without_tags_are_a_mistake_and_not_their_own_tags(tmp_path):
    assert "token and tag are the same" in mistakes(Conll, tmp_path, "EU\nrejects\n")[0]


# text


def test_text_is_lines_or_paragraphs(tmp_path):
    text = " one\ntwo\n \t\n\nthree\n"
    assert table(Text, tmp_path, text).rows == [
        {"text": " one"},
        {"text": "two"},
        {"text": "three"},
    ]
    assert table(Text, tmp_path, text).places == ["train.data:1", "train.data:2", "train.data:5"]
    paragraphs = table(Text, tmp_path, text, unit="paragraph")
    assert paragraphs.rows == [{"text": " one\ntwo"}, {"text": "three"}]
    assert paragraphs.places == ["train.data:1", "train.data:5"]
    assert source(Text, tmp_path, text).columns() == {"train": ("text",)}
