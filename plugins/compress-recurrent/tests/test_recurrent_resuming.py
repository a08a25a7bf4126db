"""A training of a recurrent student that was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import LABELS, WORDS, task_named, word_processor
from trainings import OPTIONS, Given, Interrupted, equal

from compress.models import fresh_model
from compress.registry.models import register_models
from compress.registry.plugins import load_plugins
from compress.training import TrainingOptions, fit, reporter

TASK = task_named("text-classification")
SHAPES = {
    "bilstm": {"hidden_size": 6, "num_hidden_layers": 2},
    "bigru": {"hidden_size": 6},
    "static": {},
}


def trained(kind: str, given: Given) -> dict[str, torch.Tensor]:
    """The weights of a student with dropout after a training."""
    register_models(load_plugins(), [kind])
    torch.manual_seed(0)
    config = {"type": kind, "vocab_size": len(WORDS), "dropout": 0.3, **SHAPES[kind]}
    model = fresh_model(config, TASK, LABELS).train()
    fit(model, given, TrainingOptions(**OPTIONS), processor=word_processor(), data=given)
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("kind", SHAPES)
def test_it_goes_on_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    unbroken = trained(kind, Given(tmp_path / "unbroken"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(reporter, "_CHECKPOINT_SECONDS", -1)
        trained(kind, Given(tmp_path / "work", stop_at=9))
    again = Given(tmp_path / "work")
    resumed = trained(kind, again)
    assert any("continuing from step" in note for note in again.notes)
    assert again.steps[0] > 7 and equal(unbroken, resumed)
