"""Data in the forms in which their owners keep them, read from a recipe alone: other names of
columns in each split, all splits in one JSON file, a test split without labels.

Each form is tried on a few rows, and, where COMPRESS_TEST_DATA names a folder with real data, by a
short run on those."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from kept_families import kept_families

from compress.errors import UsageError
from compress.planning import load_plan
from compress.pretrained.families import Families
from compress.registry.plugins import Registry
from compress.running.runner import run_plan
from compress.store.prepared import Prepared, prepare
from compress.store.store import Store

Pairs = list[tuple[str, str]]
TRAIN: Pairs = [(f"I lost my {i} cards", "card") for i in range(6)]
TRAIN += [(f"send {i} pounds", "transfer") for i in range(6)]
TEST: Pairs = [("my card is gone", "card"), ("a transfer of money", "transfer")]
HEAD = "task: {text-classification: {max_length: 32}}\nmodel: MODEL\n"
STAGES = "stages:\n  - finetune: {epochs: 2, batch_size: 16, learning_rate: 5e-4}\n"

OTHER_COLUMNS = (
    "data: {train: intents.csv, validation: 0.2, test: evaluation.csv,\n"
    "       columns: {text: utterance, label: intent, test: {text: query, label: gold}}}\n"
)
ONE_JSON = (
    "data: {train: all.json, validation: all.json, test: all.json, splits: {validation: val},\n"
    "       columns: {text: '0', label: '1'}}\n"
)
UNLABELLED = "data: {train: train.tsv, validation: 0.2, test: test.tsv}\n"
SHARE_FOR_TEST = "data: {train: train.tsv, validation: 0.2, test: 0.2}\n"


def write_other_columns(folder: Path, train: Pairs, test: Pairs) -> None:
    """Two tables whose columns have other names."""
    for name, header, pairs in (
        ("intents.csv", ("utterance", "intent"), train),
        ("evaluation.csv", ("query", "gold"), test),
    ):
        with (folder / name).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([header, *pairs])


def write_one_json(folder: Path, train: Pairs, test: Pairs) -> None:
    """One object with a list of [text, label] for each split."""
    content = {"train": train, "val": test, "test": test, "oos_test": [["what?", "none"]]}
    (folder / "all.json").write_text(json.dumps(content), encoding="utf-8")


def write_unlabelled_test(folder: Path, train: Pairs, test: Pairs) -> None:
    """Tables as of a contest, whose organisers keep the labels of the test split."""
    hidden = [(text, "-1") for text, _ in test]
    for name, pairs in (("train.tsv", train), ("test.tsv", hidden)):
        lines = ["sentence\tlabel", *("\t".join(pair) for pair in pairs)]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


SENTENCE = "columns: {text: sentence}, train"
FORMS = {
    "other columns by split": (write_other_columns, OTHER_COLUMNS),
    "splits inside one JSON": (write_one_json, ONE_JSON),
    "share for the unlabelled test": (
        write_unlabelled_test,
        SHARE_FOR_TEST.replace("train", SENTENCE, 1),
    ),
}


def read(folder: Path, data: str, registry: Registry, families: Families) -> Prepared:
    """The prepared data of a recipe with this ``data`` in ``folder``."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(HEAD.replace("MODEL", "owner/encoder") + data + STAGES, encoding="utf-8")
    plan = load_plan(str(recipe), (), registry, families)
    assert plan.data is not None
    prepare(plan.data.make(), plan.task.make(), folder, plan.data.seed)
    return Prepared(folder, "")


@pytest.mark.parametrize("form", FORMS)
def test_data_are_read_in_the_form_of_their_owner(
    form: str, tmp_path: Path, registry: Registry, families: Families
) -> None:
    write, data = FORMS[form]
    write(tmp_path, TRAIN, TEST)
    found = read(tmp_path, data, registry, families)
    assert found.labels == ("card", "transfer")
    texts = {row["text"] for split in found.contents.sizes for row in found.rows(split)}
    assert texts <= {text for text, _ in TRAIN + TEST} and len(texts) >= 12
    assert set(found.contents.sizes) == {"train", "validation", "test"}


def test_an_unlabelled_test_split_says_what_to_do(
    tmp_path: Path, registry: Registry, families: Families
) -> None:
    write_unlabelled_test(tmp_path, TRAIN, TEST)
    with pytest.raises(UsageError) as caught:
        read(tmp_path, UNLABELLED.replace("train", SENTENCE, 1), registry, families)
    assert str(caught.value) == (
        "the test split has no labels: label is -1 in all of its 2 rows (name rows with labels as "
        "test, or set a share of the training rows aside: test: 0.1)"
    )


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """A folder of COMPRESS_TEST_DATA; skips where there is none."""

    def find(name: str) -> Path:
        folder = Path(os.environ.get("COMPRESS_TEST_DATA", "")) / name
        if not os.environ.get("COMPRESS_TEST_DATA") or not folder.is_dir():
            pytest.skip(f"COMPRESS_TEST_DATA has no {name}")
        return folder

    return find


def accuracy(place: Path, recipe: Path, registry: Registry) -> float:
    """The quality of the recipe's step after a short run on some of its rows."""
    report = run_plan(
        load_plan(
            str(recipe),
            ("data.rows={train: 200, validation: 40, test: 60}",),
            registry,
            kept_families(),
        ),
        replace(registry, meters={"quality": registry.meters["quality"]}),
        store=Store(place / "store"),
        runs=place / "runs",
        listener=lambda event: None,
    )
    splits = report.data_summaries["data"].splits
    assert splits["train"].rows == 200 < splits["train"].rows_in_source
    return report.steps[-1].value("quality") or 0.0


@pytest.mark.shared_data
@pytest.mark.parametrize("form", FORMS)
def test_real_data_run_in_the_form_of_their_owner(
    form: str, tmp_path: Path, registry: Registry, shared: Callable[[str], Path]
) -> None:
    intents = {"card_arrival", "exchange_rate", "pin_blocked", "age_limit", "lost_or_stolen_card"}
    splits = []
    for name in ("train.csv", "test.csv"):
        with (shared("data/banking77") / name).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        splits.append([(r["text"], r["category"]) for r in rows if r["category"] in intents])
    train, test = splits
    write, data = FORMS[form]
    write(tmp_path, train + [(f"{text} please", label) for text, label in train], test)
    recipe = tmp_path / "recipe.yaml"
    model = shared("models/all-MiniLM-L6-v2")
    recipe.write_text(HEAD.replace("MODEL", str(model)) + data + STAGES, encoding="utf-8")
    assert accuracy(tmp_path, recipe, registry) > 0.5  # one label of five is 0.2


@pytest.mark.shared_data
def test_a_table_with_a_mark_and_bare_quotes_runs_as_it_is(
    tmp_path: Path, registry: Registry, shared: Callable[[str], Path]
) -> None:
    files = shared("data/mrpc")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        HEAD.replace("MODEL", str(shared("models/all-MiniLM-L6-v2")))
        + f"data: {{source: tsv, train: {files}/msr_paraphrase_train.txt, validation: 0.1,\n"
        f"       test: {files}/msr_paraphrase_test.txt, quoting: none,\n"
        "       columns: {text: '#1 String', text_pair: '#2 String', label: Quality}}\n" + STAGES,
        encoding="utf-8",
    )
    assert accuracy(tmp_path, recipe, registry) > 0.5
