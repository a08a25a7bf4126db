"""A budget, a step that backs off and an alarm on real models, measured by the shipped meters."""

from __future__ import annotations

from typing import Any

import pytest
from running import TASK, Run, run, write_place
from tiny import save_bert, task_named

from compress.artifact import Artifact

RECIPE = (
    TASK
    + "model: ./model\ndata: {train: train.csv, test: test.csv}\n"
    + """\
budget: {size: '>= 1.2x of model', latency: '>= 0.001x of slim'}
benchmark: {effort: quick}
stages:
  - prune.structured: {feed_forward: 0.75, importance_examples: 16}
    name: slim
    budget: {quality: '>= 0.999', on_miss: back_off, tries: 2}
  - quantize.bitsandbytes: {}
"""
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose step asks for a quality that no model with random weights has."""
    place = write_place(tmp_path_factory.mktemp("real"), held=RECIPE)
    (place / "model").mkdir()
    save_bert(
        place / "model", task_named("text-classification"), hidden_size=128, intermediate_size=512
    )
    return run(place, "held.yaml", environ={"COMPRESS_DISABLE_PLUGINS": "onnx"}, code=4)


def share(of: dict[str, Any]) -> float:
    """The share of feed-forward neurons that a step or a try takes."""
    taken: float = of["options"]["feed_forward"]
    return taken


def test_a_real_stage_backs_off_by_its_rule_and_every_try_is_measured_and_kept(made: Run) -> None:
    slim, outcome = made.step("slim"), made.report["step_budgets"]["slim"]
    assert [share(t) for t in slim["attempts"]] == [0.75, 0.375, 0.1875]
    assert all(
        t["verdicts"][0]["met"] is False and t["measuring_seconds"] > 0 for t in slim["attempts"]
    )
    assert not outcome["met"] and "budget of slim missed" in made.output
    assert "trying again with feed_forward 0.375" in made.output
    tries = [Artifact.open(made.folder / "steps" / f"01-slim@try-{number}") for number in (1, 2, 3)]
    assert [t.digest for t in tries] == [t["digest"] for t in slim["attempts"]]
    parameters = [t.manifest.parameters or 0 for t in tries]
    assert parameters == sorted(set(parameters)), "less is taken with every try"
    assert slim["digest"] in {t["digest"] for t in slim["attempts"]}


def test_the_runs_budget_names_the_best_and_limits_are_held_against_what_they_name(
    made: Run,
) -> None:
    budget = made.report["budget"]
    assert budget["met"] and budget["best"] in ("slim", "quantize.bitsandbytes"), (
        "those of equal quality"
    )
    assert Artifact.open(made.folder / "best").digest == made.step(budget["best"])["digest"]
    size, latency = budget["verdicts"]["quantize.bitsandbytes"]
    assert size["met"] and size["measured"].endswith("x of model")
    assert latency["met"] and "x of slim [" in latency["measured"], (
        "its interval shows that both took turns"
    )


def test_a_model_that_is_smaller_and_slower_is_told_with_its_remedy(made: Run) -> None:
    found = {(f["step"], f["kind"]): f["text"] for f in made.report["findings"]}
    text = found["quantize.bitsandbytes", "smaller_but_slower"]
    assert "x smaller than slim" in text and "slower" in text and "take it where" in text
    for view in (
        made.output,
        (made.folder / "report.md").read_text(),
        (made.folder / "report.html").read_text(),
    ):
        assert "x smaller than slim" in " ".join(view.split())
