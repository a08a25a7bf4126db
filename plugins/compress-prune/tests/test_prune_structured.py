from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compress_prune import StructuredPruning, compress_stages
from compress_prune.options import StructuredOptions
from pydantic import ValidationError
from safetensors import safe_open
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForSequenceClassification

from compress.architecture import (
    Architecture,
    AttentionLayout,
    FeedForwardLayout,
    Layout,
    Stack,
)
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.errors import NothingChanged, UsageError
from compress.models import open_model
from compress.processor import TextProcessor
from compress.ranks import Alone
from compress.task import Quality, Task, TextTaskOptions

WORDS = ["good", "bad", "fine", "poor", "film", "plot", "cast", "scene"]
IDS = {
    "input_ids": torch.tensor([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]]),
    "attention_mask": torch.ones(2, 5, dtype=torch.long),
}


class BertFamily(Architecture):
    name = "bert"
    model_types = ("bert",)
    sizes = {"heads": "num_attention_heads", "feed_forward": "intermediate_size"}
    layout = Layout(
        (
            Stack(
                "encoder.layer",
                AttentionLayout(
                    "attention.self.query",
                    "attention.self.key",
                    "attention.self.value",
                    "attention.output.dense",
                    (
                        ("attention.self", "num_attention_heads", "heads"),
                        ("attention.self", "all_head_size", "width"),
                    ),
                ),
                FeedForwardLayout(("intermediate.dense",), "output.dense"),
            ),
        )
    )


class QwenFamily(Architecture):
    name = "qwen3"
    model_types = ("qwen3",)
    sizes = {
        "heads": "num_attention_heads",
        "key_value_heads": "num_key_value_heads",
        "head_size": "head_dim",
        "feed_forward": "intermediate_size",
    }
    states_head_size = True
    layout = Layout(
        (
            Stack(
                "layers",
                AttentionLayout(
                    "self_attn.q_proj",
                    "self_attn.k_proj",
                    "self_attn.v_proj",
                    "self_attn.o_proj",
                    (),
                ),
                FeedForwardLayout(("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
            ),
        )
    )


class Sentiment(Task):
    """The least of a task that pruning and training need."""

    name = "sentiment"
    summary = "Two classes of texts."
    kind = "text-classification"
    columns = ()
    headline = "accuracy"
    Options = TextTaskOptions

    def labels(self, splits, declared):
        return ["bad", "good"]

    def normalise(self, columns, labels):
        return columns

    def features(self, rows, processor):
        encodings = processor.encode([r["text"] for r in rows], max_length=self.options.max_length)
        return [
            {"input_ids": e.ids, "labels": r["label"]} for e, r in zip(encodings, rows, strict=True)
        ]

    def collate(self, features, processor, generator=None):
        ids = np.full((len(features), max(len(f["input_ids"]) for f in features)), processor.pad_id)
        for row, f in zip(ids, features, strict=True):
            row[: len(f["input_ids"])] = f["input_ids"]
        return {
            "input_ids": ids,
            "attention_mask": (ids != processor.pad_id).astype(np.int64),
            "labels": np.array([f["labels"] for f in features]),
        }

    def predictions(self, outputs, batch):
        return [{"label": int(row.argmax())} for row in outputs["logits"]]

    def score(self, predictions, rows, labels, processor):
        hits = [p["label"] == r["label"] for p, r in zip(predictions, rows, strict=True)]
        return Quality({"accuracy": float(np.mean(hits))})

    def request(self, texts):
        return [{"text": t} for t in texts]

    def present(self, prediction, row, labels):
        return prediction


@dataclass
class FakeData:
    labels: tuple[str, ...] = ("bad", "good")
    digest: str = "0"
    count: int = 40

    def rows(self, split):
        if split != "train":
            return []
        draws = np.random.default_rng(3)
        texts = [
            " ".join(draws.choice(WORDS, size=draws.integers(3, 7))) for _ in range(self.count)
        ]
        return [{"id": str(i), "text": t, "label": int("good" in t)} for i, t in enumerate(texts)]


@dataclass
class FakeContext(Alone):
    options: StructuredOptions
    input: Artifact
    output: Path
    work: Path
    task: Task = field(default_factory=lambda: Sentiment(Sentiment.Options()))
    architectures: tuple = (BertFamily, QwenFamily)
    data: Any = field(default_factory=FakeData)
    seed: int = 7
    fresh: Any = None
    references: Any = field(default_factory=dict)
    told: list = field(default_factory=list)

    def progress(self, done, total, text="", **values):
        self.told.append((done, total))

    def note(self, text):
        self.told.append(text)


def model_of(kind="bert", **extra):
    torch.manual_seed(0)
    keys = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "vocab_size": 12,
        "num_labels": 2,
        "pad_token_id": 0,
        "initializer_range": 0.3,
    }
    keys |= {"num_key_value_heads": 2, "head_dim": 8} if kind == "qwen3" else {}
    return AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(kind, **{**keys, **extra})
    ).eval()


def artifact_of(model, folder):
    model.save_pretrained(folder)
    tokenizer = Tokenizer(
        models.WordLevel(
            {"[PAD]": 0, "[UNK]": 1, **{w: i + 2 for i, w in enumerate(WORDS)}}, "[UNK]"
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    TextProcessor(
        tokenizer, {"pad_token": "[PAD]", "model_input_names": ["input_ids", "attention_mask"]}
    ).save(folder)
    return sealed(folder)


def sealed(folder, edits=()):
    traits = Traits(task="sentiment", shape="free" if edits else "stock")
    Manifest(traits, digest_files(folder), "step", "stage", edits=tuple(edits)).write(folder)
    return Artifact.open(folder)


def prune(source, tmp_path, name="pruned", **options):
    """(artifact, what the stage said) of pruning ``source``; the manifest is read back from
    disk."""
    output = tmp_path / name
    output.mkdir()
    (tmp_path / f"{name}-work").mkdir()
    chosen = StructuredOptions.model_validate(options)
    assert StructuredPruning.check(chosen) == []
    made = StructuredPruning().apply(FakeContext(chosen, source, output, tmp_path / f"{name}-work"))
    return sealed(output, made.edits), made


def logits(model):
    with torch.no_grad():
        return model(**IDS).logits


def opened(artifact):
    return open_model(artifact, Sentiment(Sentiment.Options()))


@pytest.fixture
def bert(tmp_path):
    return artifact_of(model_of(), tmp_path / "bert")


def silence(model, path, columns):
    with torch.no_grad():
        model.get_submodule(path).weight[:, columns] = 0


def test_half_the_feed_forward_leaves_a_stock_model_that_transformers_opens_to_the_same_logits(
    bert, tmp_path
):
    pruned, made = prune(bert, tmp_path, feed_forward=0.5)
    assert made.edits == [] and made.notes == {
        "layers": [0, 1, 2],
        "feed_forward": [24] * 3,
        "heads": [4] * 3,
    }
    plain, info = AutoModelForSequenceClassification.from_pretrained(
        pruned.folder, output_loading_info=True
    )
    assert not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.equal(logits(plain.eval()), logits(opened(pruned)))
    assert plain.config.intermediate_size == 24
    assert made.parameters == sum(p.numel() for p in plain.parameters())
    assert made.parameters == opened(bert).num_parameters() - 3 * 24 * (32 + 32 + 1)


def lost_columns(before, kept, size):
    """Columns of the weight ``before``, in runs of ``size``, that are not in ``kept``."""
    runs = kept.split(size, dim=1)
    lost = []
    for i, run in enumerate(before.split(size, dim=1)):
        if not any(torch.equal(run, other) for other in runs):
            lost += range(i * size, (i + 1) * size)
    assert len(lost) == before.shape[1] - kept.shape[1]
    return lost


def test_cut_heads_leave_a_free_shape_that_opens_to_the_same_logits(bert, tmp_path):
    pruned, made = prune(bert, tmp_path, heads=0.5, feed_forward=0.5)
    assert [(e["op"], e["keep"]) for e in pruned.manifest.edits] == [("heads", 2)] * 3
    model = opened(pruned)
    with safe_open(pruned.folder / "model.safetensors", "pt") as saved:
        assert set(saved.keys()) == set(model.state_dict())
        assert all(
            torch.equal(saved.get_tensor(name), tensor)
            for name, tensor in model.state_dict().items()
        )
    assert model.bert.encoder.layer[0].attention.self.all_head_size == 16
    # The masked model, whose lost units are silent, is the reference for the cut one.
    masked, before = opened(bert), opened(bert)
    for i in range(3):
        for name, size in (("output.dense", 1), ("attention.output.dense", 8)):
            path = f"bert.encoder.layer.{i}.{name}"
            whole, kept = before.get_submodule(path).weight, model.get_submodule(path).weight
            silence(masked, path, lost_columns(whole, kept, size))
    torch.testing.assert_close(logits(model), logits(masked), atol=1e-6, rtol=0)  # measured: 0
    assert (logits(masked) - logits(before)).abs().max() > 1e-2


def test_the_output_holds_a_model_and_its_tokenizer_and_nothing_else(bert, tmp_path):
    pruned, _ = prune(bert, tmp_path, heads=0.5)
    assert sorted(pruned.manifest.files) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_silent_units_are_cut_first_and_cutting_only_them_keeps_the_logits(tmp_path):
    model = model_of()
    for i in range(3):
        silence(model, f"bert.encoder.layer.{i}.output.dense", range(i, 48, 3))  # 16 of 48
        silence(
            model, f"bert.encoder.layer.{i}.attention.output.dense", range(8 * i, 8 * i + 8)
        )  # head i
    pruned, made = prune(
        artifact_of(model, tmp_path / "model"), tmp_path, feed_forward=1 / 3, heads=0.25
    )
    assert made.notes["feed_forward"] == [32] * 3 and made.notes["heads"] == [3] * 3
    torch.testing.assert_close(
        logits(opened(pruned)), logits(model), atol=1e-6, rtol=0
    )  # measured: 0


@pytest.mark.parametrize("recover", [None, {"epochs": 1}])
def test_a_share_near_zero_changes_nothing_and_training_does_not_hide_it(recover, bert, tmp_path):
    with pytest.raises(
        NothingChanged,
        match="feed_forward: 0.01, heads: 0.01 removes nothing from a model of 3 layers",
    ):
        prune(bert, tmp_path, feed_forward=0.01, heads=0.01, recover=recover)


def test_removing_a_layer_that_does_nothing_keeps_the_logits(tmp_path):
    model = model_of("qwen3")
    silence(model, "model.layers.1.self_attn.o_proj", slice(None))
    silence(model, "model.layers.1.mlp.down_proj", slice(None))
    pruned, made = prune(artifact_of(model, tmp_path / "model"), tmp_path, layers=[0, 2])
    assert made.notes["layers"] == [0, 2] and made.edits == []
    torch.testing.assert_close(logits(opened(pruned)), logits(model), atol=0, rtol=0)


@pytest.mark.parametrize("number", [1, 2])
def test_a_number_of_layers_keeps_those_without_which_the_loss_is_highest(bert, tmp_path, number):
    pruned, made = prune(bert, tmp_path, layers=number, importance_examples=40)
    data = FakeData().rows("train")
    task, processor = Sentiment(Sentiment.Options()), TextProcessor.load(bert.folder)
    batch = {
        k: torch.from_numpy(v)
        for k, v in task.collate(task.features(data, processor), processor).items()
    }
    losses = []
    for i in range(3):
        model = opened(bert)
        del model.bert.encoder.layer[i]
        losses.append(model(**batch).loss.item())
    assert made.notes["layers"] == sorted(np.argsort(losses)[-number:].tolist())
    assert opened(pruned).config.num_hidden_layers == number


def test_heads_of_a_family_that_states_its_head_size_go_in_groups_and_leave_a_stock_model(tmp_path):
    source = artifact_of(model_of("qwen3"), tmp_path / "qwen3")
    pruned, made = prune(source, tmp_path, heads=0.5)
    assert made.edits == [] and made.notes["heads"] == [2] * 3
    plain = AutoModelForSequenceClassification.from_pretrained(pruned.folder).eval()
    assert (
        plain.config.num_attention_heads,
        plain.config.num_key_value_heads,
        plain.config.head_dim,
    ) == (2, 1, 8)
    assert torch.equal(logits(plain), logits(opened(pruned)))


def test_a_pruned_model_is_pruned_again_and_opens(bert, tmp_path):
    once, _ = prune(bert, tmp_path, "once", heads=0.5)
    twice, made = prune(once, tmp_path, "twice", layers=[1, 2], heads=0.5, feed_forward=0.5)
    assert made.notes == {"layers": [1, 2], "feed_forward": [24, 24], "heads": [1, 1]}
    assert {e["block"] for e in twice.manifest.edits} == {
        "bert.encoder.layer.0",
        "bert.encoder.layer.1",
    }
    assert logits(opened(twice)).isfinite().all()


def test_recovery_trains_the_pruned_model_and_keeps_its_shape(bert, tmp_path):
    cut, _ = prune(bert, tmp_path, "cut", heads=0.5, feed_forward=0.5)
    recovered, made = prune(
        bert,
        tmp_path,
        "recovered",
        heads=0.5,
        feed_forward=0.5,
        recover={"epochs": 2.0, "learning_rate": 1e-3, "precision": "fp32"},
    )
    assert made.notes["recover"]["steps"] == 4
    assert recovered.manifest.edits == cut.manifest.edits
    rows, task, processor = (
        FakeData().rows("train"),
        Sentiment(Sentiment.Options()),
        TextProcessor.load(bert.folder),
    )
    batch = {
        k: torch.from_numpy(v)
        for k, v in task.collate(task.features(rows, processor), processor).items()
    }
    assert opened(recovered)(**batch).loss < opened(cut)(**batch).loss


def test_the_same_seed_prunes_the_same_and_measures_as_many_examples_as_asked(bert, tmp_path):
    first, second = (
        prune(bert, tmp_path, n, heads=0.5, importance_examples=20)[0] for n in ("first", "second")
    )
    assert first.digest == second.digest
    output = tmp_path / "told"
    output.mkdir()
    context = FakeContext(
        StructuredOptions(heads=0.5, importance_examples=20), bert, output, tmp_path
    )
    StructuredPruning().apply(context)
    assert context.told == [(1, 2), (2, 2)]  # 20 examples in batches of 16


def test_a_model_without_an_architecture_and_layers_it_does_not_have_are_usage_errors(
    bert, tmp_path
):
    for options, message in (
        ({"layers": 4}, "a model of 3 layers"),
        ({"layers": [0, 3]}, "a model of 3 layers"),
    ):
        with pytest.raises(UsageError, match=message):
            prune(bert, tmp_path, str(options), **options)
    context = FakeContext(
        StructuredOptions(heads=0.5), bert, tmp_path, tmp_path, architectures=(QwenFamily,)
    )
    with pytest.raises(UsageError, match="nothing can be cut from bert models.*: qwen3"):
        StructuredPruning().apply(context)


@pytest.mark.parametrize("options", [{}, {"recover": {}}])
def test_options_that_remove_nothing_are_mistakes(options):
    mistakes = StructuredPruning.check(StructuredOptions.model_validate(options))
    assert len(mistakes) == 1 and mistakes[0].option == "feed_forward"


@pytest.mark.parametrize("layers", [3, [0, 1, 2]])
def test_to_keep_every_layer_is_to_remove_nothing(layers, bert, tmp_path):
    with pytest.raises(NothingChanged, match="removes nothing from a model of 3 layers"):
        prune(bert, tmp_path, layers=layers, recover={})
    _, made = prune(bert, tmp_path, "narrower", layers=layers, feed_forward=0.5)
    assert made.notes["layers"] == [0, 1, 2]


@pytest.mark.parametrize(
    "options",
    [
        {"feed_forward": 0.0},
        {"heads": 1.0},
        {"importance_examples": 0},
        {"head": 0.5},
        {"recover": {"epoch": 1}},
        {"layers": "3"},
        {"layers": []},
        {"layers": 0},
        {"layers": [1, 1]},
        {"layers": [2, 0]},
        {"layers": [-1]},
    ],
)
def test_options_out_of_range_or_unknown_are_refused(options):
    with pytest.raises(ValidationError):
        StructuredOptions.model_validate(options)


def test_the_plan_takes_the_shape_for_free_when_heads_are_cut():
    traits = Traits(task="sentiment")
    assert StructuredPruning.produces(traits, StructuredOptions(heads=0.5), "t").shape == "free"
    assert (
        StructuredPruning.produces(traits, StructuredOptions(feed_forward=0.5, layers=3), "t").shape
        == "stock"
    )
    parts = ["structured", "layers", "embeddings", "unstructured", "vocabulary"]
    names = [f"prune.{part}" for part in parts]
    assert sorted(stage.name for stage in compress_stages()) == sorted(names)
    assert all(f.description for f in StructuredOptions.model_fields.values())


def tried(**options: Any) -> list[dict[str, Any]]:
    """What is removed in each further try."""
    found, less = [], StructuredPruning.back_off(StructuredOptions(**options))
    while less is not None and len(found) < 20:
        found.append({name: getattr(less, name) for name in ("layers", "feed_forward", "heads")})
        less = StructuredPruning.back_off(less)
    return found


def test_each_further_try_removes_half_until_next_to_nothing_is_removed() -> None:
    assert [t["feed_forward"] for t in tried(feed_forward=0.5)] == [
        0.25,
        0.125,
        0.0625,
        0.03125,
        0.015625,
    ]
    assert [(t["feed_forward"], t["heads"]) for t in tried(feed_forward=0.08, heads=0.02)] == [
        (0.04, 0.01),
        (0.02, None),
        (0.01, None),
    ]


def test_a_further_try_keeps_the_other_options_and_is_one_that_a_recipe_could_hold() -> None:
    options = StructuredOptions(layers=[0, 2], heads=0.03, importance_examples=7)
    half = StructuredPruning.back_off(options)
    assert half == StructuredOptions(layers=[0, 2], heads=0.015, importance_examples=7)
    assert StructuredOptions.model_validate(
        half.model_dump(mode="json")
    ) == half and not StructuredPruning.check(half)
    layers_alone = StructuredPruning.back_off(half)
    assert (layers_alone.layers, layers_alone.heads) == ([0, 2], None)


def test_where_layers_alone_go_one_more_stays_unless_they_are_listed() -> None:
    assert StructuredPruning.back_off(StructuredOptions(layers=1)) == StructuredOptions(layers=2)
    assert StructuredPruning.back_off(StructuredOptions(layers=[0, 2])) is None
