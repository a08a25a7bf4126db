from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from byrow import labels_of, normalised
from compress_tasks import TextClassification
from compress_tasks.text_classification import TextClassificationOptions
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score

from compress.processor import TextProcessor
from compress.task import RowError

NEG_POS = ["neg", "pos"]


def task(kind: str = "single", max_length: int = 128) -> TextClassification:
    """The task with the options given."""
    return TextClassification(TextClassificationOptions(kind=kind, max_length=max_length))  # type: ignore[arg-type]


def rows(*labels: Any) -> list[dict[str, Any]]:
    """A row for each label."""
    return [{"text": "good", "label": label} for label in labels]


# labels


def test_declared_labels_keep_their_order_and_others_are_sorted() -> None:
    assert labels_of(task(), {"train": rows("pos", "neg", "pos")}, None) == NEG_POS
    assert labels_of(task(), {"train": rows("pos", "neg")}, ["pos", "neg"]) == ["pos", "neg"]


def test_numbers_without_names_become_names_in_numerical_order() -> None:
    assert labels_of(task(), {"train": rows(10, 9, "1", 2.0)}, None) == ["1", "2", "9", "10"]
    assert normalised(task(), {"text": "good", "label": 9}, ["1", "2", "9", "10"])["label"] == 2


def test_numbers_are_indices_of_declared_names() -> None:
    assert [normalised(task(), row, NEG_POS)["label"] for row in rows(0, 1, "1", "pos")] == [
        0,
        1,
        1,
        1,
    ]


def test_a_label_that_training_never_sees_is_refused_with_a_suggestion() -> None:
    labels = labels_of(task(), {"train": rows("neg", "pos"), "test": rows("poss")}, None)
    assert labels == NEG_POS
    with pytest.raises(
        RowError, match=r"label 'poss' is not one of the 2 labels, did you mean 'pos'\?"
    ):
        normalised(task(), rows("poss")[0], labels)


def test_labels_come_from_all_splits_where_there_is_no_training_split() -> None:
    assert labels_of(task(), {"validation": rows("b"), "test": rows("a")}, None) == ["a", "b"]


def test_numbers_beside_a_training_split_of_names_are_not_guessed_to_be_indices() -> None:
    with pytest.raises(RowError, match="label '1' is a number where the training split has names"):
        labels_of(task(), {"train": rows("neg", "pos"), "test": rows(1)}, None)


@pytest.mark.parametrize("declared", [None, ["only"]])
def test_a_classifier_of_one_label_is_refused(declared: list[str] | None) -> None:
    with pytest.raises(RowError, match=r"needs two labels or more, and there are 1 \(only\)"):
        labels_of(task(), {"train": rows("only", "only", None)}, declared)


def test_a_label_declared_twice_is_refused() -> None:
    with pytest.raises(RowError, match="'a' is declared twice"):
        labels_of(task(), {}, ["a", "b", "a"])


# rows


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "", "label": "neg"}, "text is empty"),
        ({"text": " \n", "label": "neg"}, "text is empty"),
        ({"text": "nice \ud83d", "label": "neg"}, r"text 'nice \\ud83d' is not valid Unicode text"),
        ({"text": "a", "label": "\ud83d"}, "is not valid Unicode text"),
        ({"label": "neg"}, "text is missing"),
        ({"text": 5, "label": "neg"}, "text is 5, which is not text"),
        ({"text": "a", "text_pair": " ", "label": "neg"}, "text_pair is empty"),
        ({"text": "a"}, "label is missing"),
        ({"text": "a", "label": None}, "label is missing"),
        ({"text": "a", "label": " "}, "label is missing"),
        ({"text": "a", "label": float("nan")}, "label is missing"),
        ({"text": "a", "label": -1}, "label is -1, which marks a row without a label"),
        ({"text": "a", "label": 2}, "label '2' is not one of the 2 labels"),
        ({"text": "a", "label": 0.5}, "label 0.5 is neither a name nor a whole number"),
        ({"text": "a", "label": {"x": 1}}, "is neither a name nor a whole number"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        normalised(task(), row, NEG_POS)


def test_rows_keep_the_columns_of_the_task_only() -> None:
    row = {"text": "a", "label": " pos ", "split": "x", "id": 7}
    assert normalised(task(), row, NEG_POS) == {"text": "a", "text_pair": None, "label": 1}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (["a", "c"], [1, 0, 1]),
        ("c; a", [1, 0, 1]),
        ("b", [0, 1, 0]),
        ([], [0, 0, 0]),
        ("", [0, 0, 0]),
        ([2], [0, 0, 1]),
    ],
)
def test_several_labels_are_a_list_or_text_with_semicolons(cell: Any, expected: list[int]) -> None:
    multi = task("multi")
    labels = labels_of(multi, {"train": rows("a;b", ["c"], "", None)}, None)
    assert labels == ["a", "b", "c"]
    assert normalised(multi, {"text": "a", "label": cell}, labels)["label"] == expected


@pytest.mark.parametrize("labels", [["a", "b", "c"], None])
def test_a_0_or_1_for_each_label_is_not_taken_for_their_numbers(labels: list[str] | None) -> None:
    multi = task("multi")
    known = labels_of(multi, {"train": rows([0, 1, 0], [1, 0, 0])}, labels)
    with pytest.raises(
        RowError, match="label '.' is there more than once: a list names the labels that are right"
    ):
        normalised(multi, {"text": "a", "label": [0, 1, 0]}, known)


@pytest.mark.parametrize("labels", [["a", "b"], None])
def test_nor_is_it_of_two_labels(labels: list[str] | None) -> None:
    with pytest.raises(RowError, match="each list has a 0 or 1 for each of two labels"):
        labels_of(task("multi"), {"train": rows([0, 1], [1, 0], [0, 1])}, labels)
    assert labels_of(task("multi"), {"train": rows([0, 1], [1], [])}, labels) == (
        labels or ["0", "1"]
    )


@pytest.mark.parametrize("cell", [" ", 1.5, {"x": 1}, ["a", None]])
def test_a_cell_that_cannot_be_read_is_told_with_its_row(cell: Any) -> None:
    multi = task("multi")
    assert labels_of(multi, {"train": rows("a;b", cell, "c")}, None) in (["a", "b", "c"],)
    with pytest.raises(RowError):
        normalised(multi, {"text": "a", "label": cell}, ["a", "b", "c"])


def test_missing_labels_are_not_the_same_as_no_labels() -> None:
    with pytest.raises(RowError, match="label is missing"):
        normalised(task("multi"), {"text": "a", "label": None}, ["a", "b"])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("abc", "label 'abc' is not a number"),
        (None, "label is missing"),
        ("", "label is missing"),
        (float("nan"), "label nan is not finite"),
        ("inf", "label 'inf' is not finite"),
    ],
)
def test_a_number_that_is_none_is_refused(cell: Any, message: str) -> None:
    with pytest.raises(RowError, match=message):
        normalised(task("regression"), {"text": "a", "label": cell}, [])


def test_a_regression_has_no_labels_and_one_output() -> None:
    assert labels_of(task("regression"), {"train": rows("1.5", 2)}, None) == []
    assert normalised(task("regression"), {"text": "a", "label": "1.5"}, [])["label"] == 1.5
    assert task("regression").head_config([]) == {"num_labels": 1, "problem_type": "regression"}
    with pytest.raises(RowError, match="a regression has none"):
        labels_of(task("regression"), {}, ["a", "b"])


def test_the_head_knows_its_labels_and_its_loss() -> None:
    assert task().head_config(NEG_POS) == {
        "id2label": {0: "neg", 1: "pos"},
        "label2id": {"neg": 0, "pos": 1},
        "problem_type": "single_label_classification",
    }
    assert task("multi").head_config(NEG_POS)["problem_type"] == "multi_label_classification"


# features


def test_pairs_have_token_types_and_are_cut_on_the_longer_side(processor: TextProcessor) -> None:
    row = {"text": "the cat sat on the mat", "text_pair": "a dog", "label": 1, "id": "train-0"}
    features = task(max_length=8).features([row], processor)[0]
    assert len(features["input_ids"]) == 8
    assert features["token_type_ids"] == [0, 0, 0, 0, 0, 1, 1, 1]
    assert (features["labels"], features["id"]) == (1, "train-0")


def test_padding_is_masked_and_changes_nothing(processor: TextProcessor) -> None:
    both = task().features(
        [{"text": "good", "label": 0}, {"text": "a very bad film .", "label": 1}], processor
    )
    batch, alone = task().collate(both, processor), task().collate(both[:1], processor)
    short = alone["input_ids"].shape[1]
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert batch[name].dtype == np.int64
        np.testing.assert_array_equal(batch[name][:1, :short], alone[name])
        assert not batch[name][0, short:].any()  # the pad id is 0 in this vocabulary
    assert batch["labels"].tolist() == [0, 1]
    assert task().length(both[1]) == batch["input_ids"].shape[1]


def test_a_family_without_token_types_gets_none(processor: TextProcessor) -> None:
    plain = TextProcessor(processor.tokenizer, processor.config, "distilbert")
    batch = task().collate(task().features(task().request(["good\tbad"]), plain), plain)
    assert sorted(batch) == ["attention_mask", "input_ids"]


@pytest.mark.parametrize(
    ("kind", "labels", "dtype", "shape"),
    [
        ("single", [0, 1], np.int64, (2,)),
        ("multi", [[0, 1, 1], [0, 0, 0]], np.float32, (2, 3)),
        ("regression", [0.5, 2.0], np.float32, (2,)),
    ],
)
def test_labels_have_the_type_that_the_loss_takes(
    processor: TextProcessor, kind: str, labels: list[Any], dtype: type, shape: tuple[int, ...]
) -> None:
    features = task(kind).features(
        [{"text": "good", "label": label} for label in labels], processor
    )
    array = task(kind).collate(features, processor)["labels"]
    assert (array.dtype, array.shape, array.tolist()) == (dtype, shape, labels)


@pytest.mark.parametrize(
    ("kind", "labels"),
    [("single", [0, 2]), ("multi", [[0, 1, 1], [0, 0, 0]]), ("regression", [0.5, 2.0])],
)
def test_a_model_with_the_tasks_head_takes_the_batch_and_computes_its_loss(
    processor: TextProcessor, kind: str, labels: list[Any]
) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    names = [] if kind == "regression" else ["a", "b", "c"]
    config = BertConfig(
        vocab_size=60,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        **task(kind).head_config(names),
    )
    features = task(kind).features(
        [{"text": "good", "label": label} for label in labels], processor
    )
    batch = {
        name: torch.from_numpy(array)
        for name, array in task(kind).collate(features, processor).items()
    }
    out = BertForSequenceClassification(config).eval()(**batch)
    assert torch.isfinite(out.loss)
    assert len(task(kind).predictions({"logits": out.logits.detach().numpy()}, features)) == 2


# answers


def random_answers(kind: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Predictions, rows and labels of 200 examples."""
    draws = np.random.default_rng(1)
    logits = draws.normal(size=(200, 1 if kind == "regression" else 3)).astype(np.float32)
    truth: Any = {
        "single": draws.integers(0, 3, 200),
        "multi": draws.integers(0, 2, (200, 3)),
        "regression": logits[:, 0] + draws.normal(size=200),
    }[kind]
    predictions = task(kind).predictions({"logits": logits}, [])
    return (
        predictions,
        [{"text": "x", "label": t} for t in truth.tolist()],
        ["a", "b", "c"][: logits.shape[1]],
    )


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_the_headline_follows_exactly_from_summed_counts(kind: str) -> None:
    predictions, some, labels = random_answers(kind)
    counts = task(kind).resample(predictions, some, labels)
    scored = task(kind).score(predictions, some, labels, None).metrics[task(kind).headline]
    assert counts.shape[0] == 200
    assert float(task(kind).headline_of(counts.sum(axis=0))) == scored
    assert task(kind).headline_of(np.stack([counts.sum(axis=0)] * 4)).tolist() == [scored] * 4


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_the_headline_of_a_resample_is_the_score_of_the_resample(kind: str) -> None:
    predictions, some, labels = random_answers(kind)
    counts = task(kind).resample(predictions, some, labels)
    pick = np.random.default_rng(2).integers(0, 200, 50)
    scored = task(kind).score([predictions[i] for i in pick], [some[i] for i in pick], labels, None)
    assert float(task(kind).headline_of(counts[pick].sum(axis=0))) == pytest.approx(
        scored.metrics[task(kind).headline], abs=1e-14
    )


def test_single_labels_are_scored_as_scikit_learn_does() -> None:
    predictions, some, labels = random_answers("single")
    guess, truth = [p["label"] for p in predictions], [r["label"] for r in some]
    quality = task().score(predictions, some, labels, None)
    assert quality.metrics["accuracy"] == accuracy_score(truth, guess)
    assert quality.metrics["f1_macro"] == f1_score(truth, guess, average="macro")
    assert quality.per_class["b"]["f1"] == f1_score(truth, guess, labels=[1], average="macro")
    assert sum(row["support"] for row in quality.per_class.values()) == 200


def test_a_label_without_examples_has_support_zero() -> None:
    quality = task().score(
        [{"label": 0}, {"label": 1}], [{"label": 0}, {"label": 0}], ["a", "b", "c"], None
    )
    assert quality.per_class["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0.0}


def test_several_labels_are_scored_by_micro_f1() -> None:
    predictions, some, labels = random_answers("multi")
    guess = [[int(i in p["labels"]) for i in range(3)] for p in predictions]
    quality = task("multi").score(predictions, some, labels, None)
    assert quality.metrics["f1_micro"] == f1_score(
        [r["label"] for r in some], guess, average="micro"
    )
    assert list(quality.per_class) == ["a", "b", "c"]
    assert all(abs(s - 0.5) <= 0.5 and s > 0.5 for p in predictions for s in p["scores"])


def test_numbers_are_scored_by_correlation_and_error() -> None:
    predictions, some, _ = random_answers("regression")
    guess, truth = [p["value"] for p in predictions], [r["label"] for r in some]
    metrics = task("regression").score(predictions, some, [], None).metrics
    assert metrics["pearson"] == pytest.approx(pearsonr(guess, truth).statistic, abs=1e-14)
    assert metrics["spearman"] == pytest.approx(spearmanr(guess, truth).statistic, abs=1e-14)
    assert metrics["root_mean_squared_error"] >= metrics["mean_absolute_error"] > 0


def test_a_regression_that_answers_a_constant_scores_zero() -> None:
    metrics = task("regression").score([{"value": 0.3}] * 3, rows(1.0, 2.0, 3.0), [], None).metrics
    assert (metrics["pearson"], metrics["spearman"]) == (0.0, 0.0)


def test_headlines_belong_to_the_instance_and_the_class_keeps_the_default() -> None:
    assert [task(kind).headline for kind in ("single", "multi", "regression")] == [
        "accuracy",
        "f1_micro",
        "pearson",
    ]
    assert TextClassification.headline == "accuracy"


def test_probabilities_sum_to_one_even_for_large_logits() -> None:
    answer = task().predictions({"logits": np.array([[1000.0, 999.0]], dtype=np.float32)}, [])[0]
    assert answer["label"] == 0
    assert answer["score"] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-12)
    assert task("multi").predictions({"logits": np.array([[1e4, -1e4]], dtype=np.float32)}, [])[0][
        "scores"
    ] == [1.0]


# serving


def test_a_tab_separates_the_texts_of_a_pair_and_answers_name_their_label() -> None:
    row = task().request(["good\tbad"])[0]
    assert row == {"text": "good", "text_pair": "bad"}
    shown = task().present({"label": 1, "score": 0.9}, row, NEG_POS)
    assert shown == {"text": "good", "text_pair": "bad", "label": "pos", "score": 0.9}
    row = task().request(["good"])[0]
    assert task("multi").present({"labels": [1], "scores": [0.9]}, row, NEG_POS) == {
        "text": "good",
        "labels": [{"label": "pos", "score": 0.9}],
    }
    assert task("regression").present({"value": 2.5}, row, []) == {"text": "good", "value": 2.5}


# heads of models from outside


@pytest.mark.parametrize(
    ("kind", "config", "labels", "mistake"),
    [
        ("single", {}, [], None),
        ("single", {"num_labels": 3}, [], None),
        ("multi", {"num_labels": 2}, [], None),
        ("regression", {"num_labels": 1}, [], None),
        ("single", {"id2label": {"0": "a", "1": "b"}}, NEG_POS, None),
        ("single", {"problem_type": None}, NEG_POS, None),
        ("single", {}, ["a", "b", "c"], "has 2 outputs, and kind: single takes 3"),
        ("multi", {"num_labels": 1}, [], "has 1 output, and kind: multi takes 2 or more"),
        ("regression", {}, [], "has 2 outputs, and kind: regression takes 1"),
        (
            "regression",
            {"id2label": {"0": "a", "1": "b", "2": "c"}, "problem_type": "regression"},
            [],
            "has 3 outputs, and kind: regression takes 1",
        ),
        (
            "single",
            {"problem_type": "regression", "num_labels": 1},
            [],
            "was trained for regression, and kind: single takes single_label_classification",
        ),
    ],
)
def test_a_head_fits_where_its_outputs_and_what_it_was_trained_for_do(
    kind: str, config: dict[str, Any], labels: list[str], mistake: str | None
) -> None:
    assert task(kind).head_mistake(config, labels) == mistake


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_the_head_that_a_task_asks_for_fits_it_alone(kind: str) -> None:
    config = task(kind).head_config([] if kind == "regression" else NEG_POS)
    assert [
        k for k in ("single", "multi", "regression") if task(k).head_mistake(config, []) is None
    ] == [kind]
