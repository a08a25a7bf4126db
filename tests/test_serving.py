"""Answering texts: what a predictor takes, and model folders that no recipe has made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny import save_bert, task_named

import compress
from compress.errors import EnvironmentFailure, IntegrityError, UsageError
from compress.predictor import Predictor
from compress.registry.plugins import Registry
from compress.serving import open_predictor
from compress.workers.jobs.probing import open_probe
from compress.workers.protocol import Chosen, ProbeArtifact, Subject


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with 20 positions and its manifest."""
    folder = tmp_path_factory.mktemp("classifier")
    save_bert(folder, task_named("text-classification"))
    return folder


@pytest.fixture(scope="module")
def predictor(model: Path) -> Predictor:
    return compress.load(model)


@pytest.fixture
def outside(tmp_path: Path) -> Callable[..., Path]:
    """``outside(**config)``: a classifier without a manifest, with these changes to its config."""

    def make(task: str = "text-classification", **config: Any) -> Path:
        save_bert(tmp_path, task_named(task))
        (tmp_path / "compress.json").unlink()
        values = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
        (tmp_path / "config.json").write_text(json.dumps({**values, **config}), encoding="utf-8")
        return tmp_path

    return make


def test_one_text_is_answered_as_one(predictor: Predictor) -> None:
    assert predictor("good w1") == predictor(["good w1"])
    assert predictor([]) == []


def test_a_batch_of_no_text_is_refused(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="batch_size is a whole number from 1, got 0"):
        predictor("good w1", batch_size=0)


def test_an_answer_is_given_alone_unless_batches_are_asked_for(model: Path) -> None:
    predictor, texts = compress.load(model), ["good w1", "bad", "w1 w2 w3 w4", "w5 w6", "w7"]
    sizes: list[int] = []
    session = predictor.session

    def run(batch: Any) -> Any:
        sizes.append(len(batch["input_ids"]))
        return session.run(batch)

    watched = replace(predictor, session=SimpleNamespace(run=run))  # type: ignore[arg-type]
    alone = watched(texts)
    assert sizes == [1] * 5 and alone == [predictor(text)[0] for text in texts]
    assert [a["label"] for a in watched(texts, batch_size=3)] == [a["label"] for a in alone]
    assert sizes[5:] == [3, 2]


def test_the_mask_of_a_tokenizer_that_names_no_tokens_is_that_of_its_class(
    outside: Callable[..., Path],
) -> None:
    folder = outside("fill-mask")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 16}', encoding="utf-8")
    (answer,) = compress.load(folder)("good [MASK] w1")
    assert len(answer["masks"]) == 1


def test_a_pair_is_a_tuple_and_is_read_as_two_texts(predictor: Predictor) -> None:
    (pair,) = predictor([("good w1", "bad\tw2")])
    (one,) = predictor(["good w1 bad w2"])
    assert (pair["text"], pair["text_pair"]) == ("good w1", "bad\tw2") and pair["score"] != one[
        "score"
    ]
    assert [answer["text"] for answer in predictor(("good w1", "bad w2"))] == ["good w1", "bad w2"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([1], "text 1: got 1, which is neither"),
        (["good", None], "text 2: got None"),
        (5, "a list of texts is needed, got 5"),
        ([("a", "b", "c")], "text 1: it has 3 texts, and the task takes 1 to 2 texts"),
        ([("a", 1)], "neither a text"),
        ([["a", "b"]], "neither"),
        (["\ud800"], "not valid Unicode"),
        ([("a", " ")], "text 1: text_pair is empty"),
        ([{"text": "a", "colour": "b"}], "it has 'colour', and the task takes text, text_pair"),
        (b"good", "got 103"),
        ([""], "text 1: it is empty"),
    ],
)
def test_what_is_no_text_is_refused_with_its_number(
    texts: Any, words: str, predictor: Predictor
) -> None:
    with pytest.raises(UsageError, match=words):
        predictor(texts)


def test_pairs_are_refused_by_a_task_of_single_texts(tmp_path: Path) -> None:
    save_bert(tmp_path, task_named("token-classification"), ("O", "B-X"))
    with pytest.raises(UsageError, match="text 2: it has 2 texts, and the task takes single texts"):
        compress.load(tmp_path)(["good w1", ("good", "bad")])


def test_a_folder_from_outside_answers_as_its_import_would(
    outside: Callable[..., Path], model: Path
) -> None:
    texts = ["good w1", "bad"]
    assert compress.load(outside())(texts) == compress.load(model)(texts)


def test_a_text_longer_than_the_positions_of_a_model_from_outside_is_cut(
    outside: Callable[..., Path],
) -> None:
    answers = compress.load(outside())(["good " * 19, "good " * 50])
    assert answers[0]["score"] == pytest.approx(answers[1]["score"])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"problem_type": "multi_label_classification"}, "for multi_label_classification, and"),
        ({"problem_type": None, "id2label": {"0": "LABEL_0"}}, "has 1 output, and kind: single"),
        ({"architectures": ["BertModel"]}, "serves no task"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "auto_map"),
    ],
)
def test_a_folder_from_outside_that_would_be_answered_wrongly_is_refused(
    config: dict[str, Any], words: str, outside: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError, match=words):
        compress.load(outside(**config))


@pytest.mark.parametrize("where", ["served", "measured"])
def test_an_engine_whose_runtime_is_missing_is_one_line_that_names_the_extra(
    where: str, model: Path, registry: Registry
) -> None:
    entry = registry.engines["torch"]

    class Missing(entry.cls):  # type: ignore[misc, name-defined]
        extra = "rare"

        def devices(self) -> tuple[str, ...]:
            import a_runtime_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401

            return ("cpu",)

    without = replace(registry, engines={"torch": replace(entry, cls=Missing)})
    with pytest.raises(
        EnvironmentFailure,
        match=r"^torch needs the package 'a_runtime_that_nobody_has': "
        r"install compress-toolkit\[rare\]$",
    ):
        if where == "served":
            open_predictor(model, without)
        else:
            subject = Subject("model", model, Chosen("text-classification", {}), None)
            open_probe(ProbeArtifact(subject, "quick"), without)


def test_a_file_that_was_changed_is_refused(
    outside: Callable[..., Path], model: Path, tmp_path: Path
) -> None:
    folder = outside()
    (folder / "compress.json").write_bytes((model / "compress.json").read_bytes())
    (folder / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(IntegrityError, match="config.json has changed"):
        compress.load(folder)


# overrides


@pytest.fixture
def recipe(
    csv_data: Path, fake_model: Callable[..., Path], write_recipe: Callable[..., Path]
) -> Path:
    """A recipe of one step."""
    fake_model()
    return write_recipe(
        "task: text-classification\nmodel: ./model\ndata: {train: train.csv, test: test.csv}\n"
        "stages:\n  - finetune: {epochs: 1}\n"
    )


def test_one_override_needs_no_list(recipe: Path) -> None:
    one = compress.plan(recipe, "stages.finetune.epochs=3")
    assert one.steps[0].options.model_dump()["epochs"] == 3 and one.overrides == (
        "stages.finetune.epochs=3",
    )
    assert compress.plan(recipe, ["seed=5"]).seed == 5
    for call in (compress.plan, compress.run):
        with pytest.raises(UsageError, match=r"overrides are texts such as .*, got \[3\]"):
            call(recipe, [3])  # type: ignore[list-item]
        with pytest.raises(UsageError, match="overrides are texts"):
            call(recipe, 3)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="--set x: is not of the form key=value"):
            call(recipe, "x")


def test_one_tracker_needs_no_list(recipe: Path) -> None:
    with pytest.raises(UsageError, match="there is no tracker 'nowhere'"):
        compress.run(recipe, trackers="nowhere")
