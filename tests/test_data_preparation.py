"""Preparing data: what is written for good rows, and how rows, splits and labels that do not fit
are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from kept_families import give_families

import compress
from compress.errors import Mistake, UsageError
from compress.registry.plugins import Registry
from compress.source import Source, SourceOptions, Table
from compress.store.prepared import Prepared, prepare
from compress.task import Row

Files = Mapping[str, str | bytes]


@pytest.fixture
def prepared(tmp_path: Path, registry: Registry) -> Callable[..., Prepared]:
    """``prepared({"train.csv": ...}, labels=[...])``: csv files as prepared data for
    text-classification."""

    def make(
        files: Files, task: str = "text-classification", kind: str = "csv", **options: Any
    ) -> Prepared:
        (tmp_path / "out").mkdir(exist_ok=True)
        named = {}
        for name, content in files.items():
            (tmp_path / name).write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
            named[name.split(".")[0]] = str(tmp_path / name)
        source, cls = registry.sources[kind].cls, registry.tasks[task].cls
        prepare(source(source.Options(**named, **options)), cls(cls.Options()), tmp_path / "out")
        return Prepared(tmp_path / "out", "digest")

    return make


@pytest.fixture
def mistakes_of(prepared: Callable[..., Prepared], tmp_path: Path) -> Callable[..., list[Mistake]]:
    """What such files are refused with."""

    def refuse(files: Files, **options: Any) -> list[Mistake]:
        with pytest.raises(UsageError) as caught:
            prepared(files, **options)
        assert not (tmp_path / "out" / "data.json").exists()
        return caught.value.mistakes

    return refuse


Refused = Callable[..., list[Mistake]]
GOOD = "text,label\ngood day,good\nbad day,bad\n"


def test_rows_are_normalised_labels_ordered_and_ids_given(
    prepared: Callable[..., Prepared],
) -> None:
    data = prepared({"train.csv": GOOD, "test.csv": GOOD})
    assert data.labels == ("bad", "good")
    assert data.rows("train") == [
        {"text": "good day", "text_pair": None, "label": 1, "id": "train-0"},
        {"text": "bad day", "text_pair": None, "label": 0, "id": "train-1"},
    ]
    assert [row["id"] for row in data.rows("test")] == ["test-0", "test-1"]
    assert data.rows("validation") == []
    assert data.contents.sizes == {"train": 2, "test": 2}


def test_columns_are_renamed_and_others_left_out(prepared: Callable[..., Prepared]) -> None:
    files = {"train.csv": "n,sentence,category\n1,good day,good\n2,bad day,bad\n"}
    rows = prepared(files, columns={"text": "sentence", "label": "category"}).rows("train")
    assert [(row["text"], row["label"]) for row in rows] == [("good day", 1), ("bad day", 0)]
    assert set(rows[0]) == {"text", "text_pair", "label", "id"}


def test_a_column_that_is_mapped_is_taken_from_there_alone(
    prepared: Callable[..., Prepared],
) -> None:
    files = {"train.csv": "sentence,text,category,label\ngood day,x,good,1\nbad day,y,bad,2\n"}
    data = prepared(files, columns={"text": "sentence", "label": "category"})
    assert data.labels == ("bad", "good")
    assert [(row["text"], row["label"]) for row in data.rows("train")] == [
        ("good day", 1),
        ("bad day", 0),
    ]


def test_declared_order_of_the_labels_is_kept(prepared: Callable[..., Prepared]) -> None:
    data = prepared({"train.csv": GOOD}, labels=["good", "bad", "neither"])
    assert data.labels == ("good", "bad", "neither")
    assert [row["label"] for row in data.rows("train")] == [0, 1]


@pytest.mark.parametrize("content", ["", "text,label\n"])
def test_split_without_rows_is_refused(content: str, mistakes_of: Refused, tmp_path: Path) -> None:
    (mistake,) = mistakes_of({"train.csv": GOOD, "test.csv": content})
    assert mistake.where == str(tmp_path / "test.csv") and "no rows" in mistake.message


def test_label_that_training_does_not_know_is_refused_at_its_line(mistakes_of: Refused) -> None:
    (mistake,) = mistakes_of({"train.csv": GOOD, "test.csv": "text,label\nfine,god\nfine,good\n"})
    assert mistake.where == "test.csv:2"
    assert (
        "row 0 of test: label 'god' is not one of the 2 labels, did you mean 'good'?"
        in mistake.message
    )


def test_label_number_out_of_range_is_refused_at_its_line(mistakes_of: Refused) -> None:
    (mistake,) = mistakes_of({"train.csv": "text,label\na,0\nb,1\nc,2\n"}, labels=["bad", "good"])
    assert (
        mistake.where == "train.csv:4" and "label '2' is not one of the 2 labels" in mistake.message
    )


def test_every_row_that_cannot_be_used_is_named_up_to_a_number(mistakes_of: Refused) -> None:
    found = mistakes_of({"train.csv": GOOD, "test.csv": "text,label\nfine,good\n" + ",good\n" * 30})
    assert [m.where for m in found[:20]] == [f"test.csv:{i + 3}" for i in range(20)]
    assert len(found) == 21 and found[20].message == "10 more rows like these"


def test_a_split_of_which_no_row_can_be_used_is_told_in_one_sentence(mistakes_of: Refused) -> None:
    (mistake,) = mistakes_of({"train.csv": GOOD, "test.csv": "text,label\n" + ",good\n" * 30})
    assert mistake.where == "test.csv:2"
    assert mistake.message == ("no row of the test split can be used; row 0 of test: text is empty")


UNLABELLED = "text,label\na film,-1\nno film,-1\n"


@pytest.mark.parametrize("mark", ["-1", ""])
def test_a_test_split_without_labels_is_told_with_what_to_do(
    mark: str, mistakes_of: Refused
) -> None:
    files = {"train.csv": GOOD, "test.csv": UNLABELLED.replace("-1", mark)}
    (mistake,) = mistakes_of(files)
    assert mistake.message == (
        f"the test split has no labels: label is {mark or 'empty'} in all of its 2 rows"
    )
    assert mistake.hint == (
        "name rows with labels as test, or set a share of the training rows aside: test: 0.1"
    )


def test_minus_one_is_a_label_where_the_training_rows_have_it(
    prepared: Callable[..., Prepared], mistakes_of: Refused
) -> None:
    train = "text,label\nbad,-1\nso so,0\ngood,1\n"
    data = prepared({"train.csv": train, "test.csv": UNLABELLED})
    assert data.labels == ("-1", "0", "1")
    assert [row["label"] for row in data.rows("test")] == [0, 0]


def test_a_row_marked_as_unlabelled_gets_no_guess(mistakes_of: Refused) -> None:
    train = "text,label\nbad,0\ngood,1\n"
    (mistake,) = mistakes_of({"train.csv": train, "test.csv": "text,label\nfine,1\nbad,-1\n"})
    assert mistake.message.endswith(
        "label is -1, which marks a row without a label: leave the row out"
    )


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_label_of_many_digits_is_a_name(
    digits: int, prepared: Callable[..., Prepared], mistakes_of: Refused
) -> None:
    long = "9" * digits
    (mistake,) = mistakes_of({"train.csv": GOOD, "test.csv": f"text,label\nfine,good\na,{long}\n"})
    assert len(mistake.message) < 200
    data = prepared({"train.csv": f"text,label\na,{long}\nb,1\n"})
    assert data.labels == ("1", long)


def test_a_number_that_no_float_can_hold_is_refused(registry: Registry, tmp_path: Path) -> None:
    cls = registry.tasks["text-classification"].cls
    rows = [{"text": "a", "label": 10**400}, {"text": "b", "label": 1}]
    with pytest.raises(UsageError) as caught:
        prepare(Rows({"train": rows}), cls(cls.Options(kind="regression")), tmp_path)
    assert "is not a number that a model can learn" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_columns_are_mapped_for_each_split(prepared: Callable[..., Prepared]) -> None:
    files = {
        "train.csv": "sentence,category\ngood day,good\nbad day,bad\n",
        "test.csv": "body,category\nfine day,good\n",
    }
    columns = {"text": "sentence", "label": "category", "test": {"text": "body"}}
    data = prepared(files, columns=columns)
    assert data.rows("train")[0]["text"] == "good day"
    assert data.rows("test")[0] == {
        "text": "fine day",
        "text_pair": None,
        "label": 1,
        "id": "test-0",
    }


def test_rows_are_drawn_by_the_seed_in_their_order(registry: Registry, tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": str(i % 2)} for i in range(100)]

    def drawn(seed: int, limit: Any) -> list[str]:
        folder = tmp_path / f"{seed}-{limit}"
        folder.mkdir(exist_ok=True)
        source = Rows({"train": rows, "test": rows}, rows=limit)
        prepare(source, classifier(registry), folder, seed)
        data = Prepared(folder, "")
        assert data.contents.sizes["test"] == (10 if isinstance(limit, int) else 100)
        assert data.summary.splits["train"].rows_in_source == 100
        return [row["text"] for row in data.rows("train")]

    first = drawn(1, 10)
    sampled = Prepared(tmp_path / "1-10", "").rows("train")[::3]
    assert [row["text"] for row in sampled] == first[::3]
    assert len(first) == 10 and first == sorted(first, key=lambda text: int(text[5:]))
    assert drawn(1, {"train": 10}) == first
    assert drawn(2, 10) != first
    assert set(first) < set(drawn(1, {"train": 20}))


def test_labels_are_those_of_all_rows_however_few_are_drawn(
    registry: Registry, tmp_path: Path
) -> None:
    rows = [{"text": f"text {i}", "label": f"label {i % 50:02}"} for i in range(100)]
    prepare(Rows({"train": rows, "test": rows}, rows=10), classifier(registry), tmp_path)
    data = Prepared(tmp_path, "")
    assert data.labels == tuple(f"label {i:02}" for i in range(50))
    assert data.contents.sizes == {"train": 10, "test": 10}


def test_one_label_alone_is_refused(mistakes_of: Refused) -> None:
    (mistake,) = mistakes_of({"train.csv": "text,label\na,good\nb,good\n"})
    assert "a classifier needs two labels or more, and there are 1 (good)" in mistake.message


def test_missing_columns_are_refused_in_every_split_with_the_remedy(mistakes_of: Refused) -> None:
    found = mistakes_of(
        {"train.csv": "sentence,label\na,good\n", "test.csv": "text,category\na,good\n"}
    )
    assert [(m.where, m.message) for m in found] == [
        ("train.csv:2", "the train split has no column 'text'"),
        ("test.csv:2", "the test split has no column 'label'"),
    ]
    assert found[0].hint == "map it with data.columns: {text: ...}"


def test_text_that_is_not_utf8_is_refused_at_its_line_and_byte(
    mistakes_of: Refused, tmp_path: Path
) -> None:
    (mistake,) = mistakes_of({"train.csv": GOOD.encode() + "café,good\n".encode("latin-1")})
    assert mistake.where == f"{tmp_path / 'train.csv'}:4"
    assert mistake.message == f"byte 0xe9 at offset {len(GOOD) + 3} is not utf-8"
    assert "encoding" in mistake.hint


def test_the_remedy_for_another_encoding_works(prepared: Callable[..., Prepared]) -> None:
    data = prepared(
        {"train.csv": GOOD.encode() + "café,good\n".encode("latin-1")}, encoding="latin-1"
    )
    assert data.rows("train")[2]["text"] == "café"


def test_ragged_row_is_refused_at_its_line(mistakes_of: Refused, tmp_path: Path) -> None:
    (mistake,) = mistakes_of({"train.csv": GOOD + "one,two,three\n"})
    assert (
        mistake.where == f"{tmp_path / 'train.csv'}:4"
        and mistake.message == "3 fields where 2 are expected"
    )


def test_mistakes_of_all_files_are_named_in_one_pass(mistakes_of: Refused) -> None:
    found = mistakes_of({"train.csv": GOOD + "one\n", "test.csv": GOOD.encode() + b"\xff,good\n"})
    assert [Path(m.where).name for m in found] == ["train.csv:4", "test.csv:4"]


class Rows(Source[SourceOptions]):
    """Tables that a test gives."""

    name = "rows"
    summary = "tables that a test gives"
    Options = SourceOptions

    def __init__(
        self, tables: Mapping[str, Sequence[Row]], names: Sequence[str] = (), **options: Any
    ) -> None:
        super().__init__(SourceOptions(**options))
        self.tables = tables
        self.names = {"label": names} if names else {}

    def identity(self) -> Mapping[str, Any]:
        return {}

    def read(self) -> Mapping[str, Table]:
        return {
            split: Table(rows, [f"row {i}" for i in range(len(rows))], self.names)
            for split, rows in self.tables.items()
        }


def classifier(registry: Registry) -> Any:
    cls = registry.tasks["text-classification"].cls
    return cls(cls.Options())


def test_sources_own_names_order_the_labels(registry: Registry, tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 0}, {"text": "b", "label": 1}]
    prepare(Rows({"train": rows}, ["zebra", "ape"]), classifier(registry), tmp_path)
    assert Prepared(tmp_path, "").labels == ("zebra", "ape")
    assert [row["label"] for row in Prepared(tmp_path, "").rows("train")] == [0, 1]


@pytest.mark.parametrize(
    ("names", "declared", "labels", "expected"),
    [
        (["1", "2"], None, ("1", "2"), [0, 1]),
        (["1", "0"], None, ("1", "0"), [0, 1]),
        (["neg", "pos"], ["pos", "neg", "none"], ("pos", "neg", "none"), [1, 0]),
        (["neg ", "pos"], None, ("neg", "pos"), [0, 1]),
        (["neg", "pos"], ["pos", "neg"], ("pos", "neg"), [1, 0]),
        (["neg", "pos"], ["bad", "good"], ("bad", "good"), [0, 1]),
    ],
)
def test_numbers_of_a_column_that_has_names_for_them_are_these_whatever_they_look_like(
    names: list[str],
    declared: list[str] | None,
    labels: tuple[str, ...],
    expected: list[int],
    registry: Registry,
    tmp_path: Path,
) -> None:
    rows = Rows({"train": [{"text": "a", "label": 0}, {"text": "b", "label": 1}]}, names)
    rows.options = SourceOptions(labels=declared)
    prepare(rows, classifier(registry), tmp_path)
    assert Prepared(tmp_path, "").labels == labels
    assert [row["label"] for row in Prepared(tmp_path, "").rows("train")] == expected


def test_declared_labels_that_are_some_of_the_datas_own_are_refused(
    registry: Registry, tmp_path: Path
) -> None:
    rows = Rows(
        {"train": [{"text": "a", "label": 0}, {"text": "b", "label": 1}]}, ["neg", "pos", "none"]
    )
    rows.options = SourceOptions(labels=["none", "neg"])
    with pytest.raises(
        UsageError, match="the data call their labels neg, pos, none, and pos is not declared"
    ):
        prepare(rows, classifier(registry), tmp_path)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (
            {"train": [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}], "test": []},
            "the test split is empty",
        ),
        ({"trian": [{"text": "a", "label": "x"}]}, "there is no split 'trian'"),
        (
            {
                "train": [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}],
                "test": [{"text": "c", "label": 7}],
            },
            "state the order of the labels with data.labels",
        ),
    ],
)
def test_source_that_gives_what_cannot_be_used_is_refused(
    tables: Mapping[str, Sequence[Row]], words: str, registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        prepare(Rows(tables), classifier(registry), tmp_path)


RECIPE = (
    "task: {text-classification: {max_length: 16}}\nmodel: ./model\ndata: {train: train.csv, test: "
    "test.csv}\n"
    "stages:\n  - quantize.onnx\n"
)


@pytest.fixture
def refused(
    tmp_path: Path,
    csv_data: Path,
    write_recipe: Callable[..., Path],
    fake_model: Callable[..., Path],
) -> Callable[[str], list[Mistake]]:
    """What a run of a recipe whose model knows the labels good and bad is refused with before its
    first step."""

    fake_model(labels=("good", "bad"))
    give_families(tmp_path / "store")

    def refuse(recipe: str) -> list[Mistake]:
        events: list[dict[str, Any]] = []
        with pytest.raises(UsageError) as caught:
            compress.run(
                write_recipe(recipe),
                store=tmp_path / "store",
                runs=tmp_path / "runs",
                listener=events.append,
            )
        assert "step_started" not in [event["event"] for event in events]
        return caught.value.mistakes

    return refuse


def test_a_mistake_of_the_data_as_a_whole_has_their_place_in_the_recipe(
    refused: Callable[[str], list[Mistake]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owner" / "set").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    (mistake,) = refused(
        RECIPE.replace("train: train.csv, test: test.csv", f"revision: {'a' * 40}, hub: owner/set")
    )
    assert mistake.where == f"{tmp_path / 'recipe.yaml'}:3:65"
    assert mistake.message.startswith("hub: owner/set is a path in the working directory too")
    (tmp_path / "one.csv").write_text(
        "text,label\ngood day,good\ngood night,good\n", encoding="utf-8"
    )
    (mistake,) = refused(RECIPE.replace("train.csv", "one.csv").replace("test.csv", "one.csv"))
    assert (
        mistake.where == f"{tmp_path / 'recipe.yaml'}:3:7"
        and "needs two labels or more" in mistake.message
    )


def test_mistakes_of_rows_have_their_lines_and_the_count_of_the_others_has_no_line(
    refused: Callable[[str], list[Mistake]], tmp_path: Path
) -> None:
    (tmp_path / "train.csv").write_text(
        "text,label\n" + "a,good,more\n" * 25 + "a,good\n", encoding="utf-8"
    )
    *rows, last = refused(RECIPE)
    assert [m.where for m in rows] == [f"{tmp_path / 'train.csv'}:{i + 2}" for i in range(20)]
    assert str(last) == "data: and 5 more"


def test_model_whose_labels_stand_in_another_order_is_refused_before_the_first_step(
    refused: Callable[[str], list[Mistake]], tmp_path: Path
) -> None:
    (mistake,) = refused(RECIPE)
    assert mistake.where == f"{tmp_path / 'recipe.yaml'}:2:8"
    assert mistake.message.endswith("are [good, bad], and those of the data [bad, good]")
    assert mistake.hint == "state the model's order with data.labels"
    (report,) = (tmp_path / "runs").glob("*/report.json")
    assert json.loads(report.read_text(encoding="utf-8"))["state"] == "failed"
