"""A model whose file names its weights as in 2018 (``LayerNorm.gamma``) trains as the same one
under today's names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import LABELS, make_artifact, save_bert, sentences, task_named
from torch import Tensor
from trainings import OPTIONS, Given, Interrupted, Judge, equal

from compress.adapting import adapt_model
from compress.artifact import Artifact, with_files
from compress.models import open_model, save_model
from compress.training import TrainingOptions, fit

QUALITIES = [0.5, 0.7, 0.6]
"""The second of three epochs is the best."""


@pytest.fixture(params=["for the task", "another head"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Artifact, Artifact]:
    """The same model twice, under names of today and of 2018."""
    task = task_named("text-classification" if request.param == "for the task" else "fill-mask")
    labels = LABELS if task.name == "text-classification" else ()
    return save_bert(tmp_path / "new", task, labels), renamed(
        save_bert(tmp_path / "old", task, labels)
    )


def renamed(artifact: Artifact) -> Artifact:
    file = artifact.folder / "model.safetensors"
    names = (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"))
    weights = load_file(file)
    for new, old in names:
        weights = {name.replace(new, old): weight for name, weight in weights.items()}
    assert sum("gamma" in name for name in weights) >= 3
    save_file(weights, file, {"format": "pt"})
    with_files(artifact.manifest, artifact.folder).write(artifact.folder)
    return Artifact.open(artifact.folder)


def trained(
    artifact: Artifact, work: Path, stop_at: int | None = None, first: int = 0
) -> dict[str, Tensor]:
    given = Given(work, task=Judge(QUALITIES).task(first), stop_at=stop_at)
    torch.manual_seed(3)  # of a head that is drawn
    model = adapt_model(artifact, given.task, LABELS).model
    fit(
        model,
        given,
        TrainingOptions(**{**OPTIONS, "epochs": 3}),
        processor=given.task.processor(artifact.folder),
    )
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_the_best_epoch_is_taken_whole(both: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    new, old = (trained(artifact, tmp_path / f"work-{i}") for i, artifact in enumerate(both))
    assert equal(new, old)
    best = load_file(tmp_path / "work-1" / "checkpoints" / "checkpoint-14" / "model.safetensors")
    assert best.keys() == old.keys() and equal(best, old)
    assert equal(old, trained(both[1], tmp_path / "work-1", first=3)), (
        "nor is it another when training was over"
    )


def test_an_interrupted_training_goes_on_with_all_of_its_weights(
    both: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        trained(both[1], tmp_path / "broken", stop_at=9)
    assert equal(
        trained(both[1], tmp_path / "broken", first=1), trained(both[0], tmp_path / "unbroken")
    )


def test_what_is_saved_has_the_names_of_its_modules(
    both: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    model = adapt_model(both[1], task_named("text-classification"), LABELS).model
    save_model(model, tmp_path / "saved")
    assert load_file(tmp_path / "saved" / "model.safetensors").keys() == model.state_dict().keys()


def test_heads_are_cut_from_it_and_the_rest_opens_again(tmp_path: Path) -> None:
    task = task_named("text-classification")
    old = renamed(save_bert(tmp_path / "old", task))
    splits = {"train": sentences(16, 0), "test": sentences(4, 1)}
    cut = make_artifact(
        tmp_path / "made",
        "prune.structured",
        task,
        splits,
        input=old,
        heads=0.5,
        importance_examples=8,
    )
    assert cut.traits.shape == "free"
    whole, left = (open_model(artifact, task).state_dict() for artifact in (old, cut))
    norms = [name for name in whole if "LayerNorm" in name]
    assert len(norms) >= 6 and equal({name: whole[name] for name in norms}, left)
