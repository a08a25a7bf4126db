"""Whole layers that are dropped by how much they change the state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from compress_prune.layers import LayersOptions, LayersPruning
from tiny import make_artifact, save_bert, sentences, task_named
from transformers import AutoModelForSequenceClassification

from compress.architecture import KnownSizes
from compress.artifact import Artifact
from compress.errors import NothingChanged, UsageError
from compress.models import open_model
from compress.stage import OptionMistake

TASK = task_named("text-classification")
ROWS = {"train": sentences(24, 0), "test": sentences(4, 1)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Four layers, of which the second and the third hand on what they are given: their outputs are
    zero, and the norms behind them change nothing that is normalised."""
    folder = tmp_path_factory.mktemp("layers") / "source"
    artifact = save_bert(folder, TASK, num_hidden_layers=4)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        for i in (1, 2):
            for part in (model.bert.encoder.layer[i], model.bert.encoder.layer[i].attention):
                part.output.dense.weight.zero_()
                part.output.dense.bias.zero_()
    model.save_pretrained(folder)
    from dataclasses import replace

    from compress.artifact import digest_files

    replace(artifact.manifest, files=digest_files(folder)).write(folder)
    return Artifact.open(folder)


def dropped(source: Artifact, folder: Path, keep: Any, **options: Any) -> Artifact:
    return make_artifact(folder, "prune.layers", TASK, ROWS, input=source, keep=keep, **options)


@pytest.mark.parametrize("keep", [2, 0.5])
def test_layers_that_change_nothing_go_first(keep: float, source: Artifact, tmp_path: Path) -> None:
    made = dropped(source, tmp_path / "made", keep)
    assert made.manifest.notes["layers"] == [0, 3]
    influence = made.manifest.notes["influence"]
    assert max(influence[1:3]) < 1e-3 < min(influence[0], influence[3])
    model = AutoModelForSequenceClassification.from_pretrained(made.folder)  # a stock shape
    ids = torch.arange(4, 12)[None]
    with torch.no_grad():
        cut, whole = model.eval()(ids).logits, open_model(source, TASK)(ids).logits
    torch.testing.assert_close(cut, whole, atol=1e-4, rtol=1e-3)


def test_a_model_without_layers_learns_what_it_answered(source: Artifact, tmp_path: Path) -> None:
    recover = {"epochs": 1, "batch_size": 8, "precision": "fp32", "distill": True}
    made = dropped(source, tmp_path / "made", 1, recover=recover)
    assert made.manifest.notes["recover"]["steps"] == 3


def test_what_drops_nothing_or_does_not_fit_is_refused(source: Artifact, tmp_path: Path) -> None:
    with pytest.raises(NothingChanged, match="keep: 0.95 removes nothing from a model of 4 layers"):
        dropped(source, tmp_path / "all", 0.95)
    with pytest.raises(UsageError, match="keep: 5 does not fit a model of 4 layers"):
        dropped(source, tmp_path / "more", 5)


STACKS = {"encoder": 6, "decoder": 4}


@pytest.mark.parametrize(
    ("keep", "layers", "words"),
    [
        (5, {"": 4}, "does not fit a model of 4 layers"),
        (4, {"": 4}, "removes nothing from a model of 4 layers"),
        (0.9, {"": 4}, "keep: 0.9 removes nothing"),
        (0.5, STACKS, "keep: 0.5 does not say whose layers"),
        ({"encoder": 0.5, "head": 1}, STACKS, "no stack 'head'"),
        ({"decoder": 5}, STACKS, "keep.decoder: 5 does not fit"),
    ],
)
def test_a_plan_refuses_what_does_not_fit(keep: Any, layers: Any, words: str) -> None:
    (mistake,) = LayersPruning.check_sizes(LayersOptions(keep=keep), KnownSizes(layers))
    assert isinstance(mistake, OptionMistake) and words in mistake.message


def test_a_plan_knows_what_is_left() -> None:
    options = LayersOptions(keep={"encoder": 0.5})
    assert LayersPruning.check_sizes(options, KnownSizes(STACKS)) == []
    assert LayersPruning.sizes_left(options, KnownSizes(STACKS)).layers == {
        "encoder": 3,
        "decoder": 4,
    }
    assert LayersPruning.sizes_left(LayersOptions(keep=0.5), KnownSizes({"": None})).layers == {
        "": None
    }
    assert LayersPruning.back_off(LayersOptions(keep=2)) == LayersOptions(keep=3)
    assert LayersPruning.back_off(options) is None
