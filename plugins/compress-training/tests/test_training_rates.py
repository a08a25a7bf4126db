"""Learning rates: every step of a training learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_bert, word_processor
from torch.optim.optimizer import register_optimizer_step_pre_hook
from trainings import Given

from compress.training import TrainingOptions, fit
from compress.training.rates import rate_at

WARMUPS = (0.0, 0.01, 0.06, 0.1, 0.5, 0.9, 0.999)


@pytest.mark.parametrize("warmup", WARMUPS)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 16, 17, 100, 1001])
def test_every_step_has_a_rate_above_0_and_one_has_the_peak(steps: int, warmup: float) -> None:
    rates = [rate_at(step, steps, warmup) for step in range(steps)]
    assert min(rates) > 0 and max(rates) == 1
    peak = rates.index(1)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert abs(peak - warmup * steps) <= 1 or peak == steps - 1
    assert rate_at(steps, steps, warmup) == 0, "asked once after the end, where it must not fail"


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"batch_size": 32, "epochs": 1}, 1),
        ({"batch_size": 4, "epochs": 1, "gradient_accumulation": 100}, 1),
        ({"batch_size": 4, "epochs": 0.01}, 1),
        ({"batch_size": 4, "epochs": 1, "gradient_accumulation": 2, "warmup": 0.5}, 4),
        ({"batch_size": 4, "epochs": 2, "warmup": 0.99}, 14),
    ],
)
def test_no_step_of_a_training_is_lost(options: dict[str, Any], steps: int, tmp_path: Path) -> None:
    rates: list[float] = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )
    given = Given(tmp_path, validates=False)
    model = tiny_bert(given.task).train()
    before = {name: value.clone() for name, value in model.named_parameters()}
    chosen = TrainingOptions(learning_rate=1e-2, precision="fp32", **options)
    try:
        facts = fit(model, given, chosen, processor=word_processor())  # type: ignore[arg-type]
    finally:
        hook.remove()
    assert facts["steps"] == len(rates) == steps
    assert min(rates) > 0 and max(rates) == pytest.approx(1e-2)
    after = dict(model.named_parameters())
    assert not any(torch.equal(value, after[name]) for name, value in before.items())
