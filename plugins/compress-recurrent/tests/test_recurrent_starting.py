"""First weights from a teacher: what is computed, and what a recipe gets of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compress_recurrent.starting import start_recurrent, start_static
from compress_recurrent.vectors import SMOOTH, reduced, sif_weights
from sklearn.decomposition import PCA
from tiny import WORDS, make_artifact, save_bert, sentences, task_named, tiny_bert, word_processor
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from compress.architecture import Origin
from compress.errors import UsageError
from compress.processor import TextProcessor
from compress.registry.models import register_models
from compress.registry.plugins import load_plugins

TASK = task_named("text-classification")
ROWS = {"train": sentences(24, 1), "test": sentences(6, 2)}


@pytest.fixture(scope="module", autouse=True)
def known() -> None:
    """This process knows the models."""
    register_models(load_plugins(), ["bilstm", "static"])


def fresh(kind: str, **config: Any) -> PreTrainedModel:
    """A student with random weights for the words of ``tiny``."""
    torch.manual_seed(3)
    return AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(kind, vocab_size=len(WORDS), **config)
    )


@pytest.fixture(scope="module")
def origin() -> Origin:
    """A tiny BERT of 16 axes whose tokenizer the student has too."""
    counts = np.arange(len(WORDS))
    return Origin(tiny_bert(TASK).eval(), word_processor(), word_processor(), counts)


def pieces_processor() -> TextProcessor:
    """Another tokenizer: pieces of words, in another order."""
    pieces = ["[UNK]", "go", "##od", "w", "##1"]
    tokenizer = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece()
    return TextProcessor(tokenizer, {})


def test_fewer_axes_are_those_of_a_principal_component_analysis() -> None:
    vectors = torch.randn(50, 6, generator=torch.Generator().manual_seed(1)) * torch.arange(1, 7)
    mine, share = reduced(vectors, 3)
    reference = PCA(3).fit(vectors.numpy())
    theirs = torch.from_numpy(reference.transform(vectors.numpy())).float()
    assert torch.allclose(mine.abs(), theirs.abs(), atol=1e-4)  # an axis has no sign of its own
    assert share == pytest.approx(float(reference.explained_variance_ratio_.sum()), abs=1e-6)
    assert reduced(vectors, 6)[0] is vectors


def test_the_axes_do_not_depend_on_the_order_of_the_tokens() -> None:
    vectors = torch.randn(40, 5, generator=torch.Generator().manual_seed(2))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(reduced(vectors, 2)[0][order], reduced(vectors[order], 2)[0], atol=1e-5)


def test_a_frequent_token_weighs_less() -> None:
    weights = sif_weights(torch.tensor([0, 1, 999]))
    assert weights[0] == 1 and weights[0] > weights[1] > weights[2]
    assert weights[1] == pytest.approx(SMOOTH / (SMOOTH + 1e-3))
    assert sif_weights(torch.zeros(3, dtype=torch.int64)).tolist() == [1, 1, 1]


def test_embeddings_of_full_width_are_the_teacher_s(origin: Origin) -> None:
    model = fresh("bilstm", embedding_size=16, hidden_size=8)
    notes = start_recurrent(model, origin)
    assert torch.equal(
        model.base_model.embeddings.weight, origin.model.get_input_embeddings().weight
    )
    assert notes["embeddings_of_teacher"] == {"axes": 16, "of": 16, "variance": 1.0}


def test_more_axes_than_the_teacher_has_are_refused(origin: Origin) -> None:
    model = fresh("bilstm", embedding_size=17, hidden_size=8)
    with pytest.raises(UsageError, match="17 is more than the 16 axes .*: take 16 or less"):
        start_recurrent(model, origin)


def test_the_tokens_of_another_tokenizer_are_made_of_the_teacher_s(origin: Origin) -> None:
    theirs = Origin(
        origin.model, pieces_processor(), word_processor(), np.ones(len(WORDS), dtype=np.int64)
    )
    model = fresh("bilstm", embedding_size=16, hidden_size=8)
    start_recurrent(model, theirs)
    table = origin.model.get_input_embeddings().weight
    made = model.base_model.embeddings.weight
    assert torch.allclose(made[WORDS.index("good")], table[1:3].mean(dim=0))
    assert torch.allclose(made[WORDS.index("bad")], table[0])
    assert made[WORDS.index("[CLS]")].abs().max() == 0, "a special token has no text"


@pytest.mark.parametrize("has_weights", [True, False])
def test_static_vectors_are_what_the_teacher_makes_of_a_token_alone(
    origin: Origin, has_weights: bool
) -> None:
    model = fresh("static", embedding_size=16, token_weights=has_weights)
    start_static(model, origin)
    word = WORDS.index("w3")
    with torch.no_grad():
        ids = torch.tensor([[2, word, 3]])
        wanted = origin.model.base_model(input_ids=ids).last_hidden_state[0].mean(dim=0)
        wanted = wanted * sif_weights(torch.from_numpy(origin.counts))[word]
        got = model.base_model(torch.tensor([[word]])).pooler_output[0]
    assert torch.allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "config"), [("bilstm", {"hidden_size": 16}), ("static", {"token_weights": True})]
)
def test_a_recipe_s_student_starts_from_its_teacher(
    kind: str, config: dict[str, Any], tmp_path: Path
) -> None:
    student = {"type": kind, "embedding_size": 8, "embeddings_of": "teacher", **config}
    made = make_artifact(
        tmp_path / "made",
        "distill",
        TASK,
        ROWS,
        input=save_bert(tmp_path / "teacher", TASK),
        student=student,
        losses=["logits"],
        epochs=1,
        batch_size=8,
        precision="fp32",
    )
    assert made.manifest.notes["embeddings_of_teacher"]["of"] == 16


def test_a_type_that_starts_from_no_teacher_is_refused(tmp_path: Path) -> None:
    student = {"type": "bert", "hidden_size": 16, "num_attention_heads": 2}
    with pytest.raises(UsageError, match="a bert model does not start from a teacher"):
        make_artifact(
            tmp_path / "made",
            "distill",
            TASK,
            ROWS,
            input=save_bert(tmp_path / "teacher", TASK),
            student={**student, "embeddings_of": "teacher", "max_position_embeddings": 20},
            losses=["logits"],
        )
