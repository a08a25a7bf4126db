"""The report of a run that goes on, or that was killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from reports import as_report, rich_report

from compress.cli import cli
from compress.errors import UsageError
from compress.planning import make_plan
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.report.reading import read_report
from compress.report.views.writing import write_report
from compress.running import runner
from compress.running.run import Run
from compress.store.runfolder import RunFolder
from compress.store.store import open_store


def test_a_run_says_that_it_runs_before_its_first_step_and_keeps_what_it_reported_before(
    registry: Registry,
    write_recipe: Callable[..., Path],
    csv_data: Path,
    fake_model: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_model()
    recipe = write_recipe(
        "task: text-classification\nmodel: ./model\n"
        "data: {train: train.csv, test: test.csv}\nstages: [finetune]\n"
    )
    plan = make_plan(read_recipe(recipe), registry, Families(dict))
    seen = []

    def look(run: Run) -> Run:
        report = read_report(run.folder.root)
        seen.append((report.state, report.failure, len(report.steps)))
        assert run.folder.is_held()
        shown = CliRunner().invoke(cli, ["report", str(run.folder.root)])
        assert shown.exit_code == 0 and "(running)" in shown.output
        assert "The run goes on" in shown.output and "missed" not in shown.output
        raise UsageError("it stops here")

    monkeypatch.setattr(runner, "prepare_inputs", look)
    runs = tmp_path / "runs"
    for _ in range(2):
        with pytest.raises(UsageError, match="it stops here"):
            runner.run_plan(
                plan,
                registry,
                store=open_store(tmp_path / "store"),
                runs=runs,
                listener=lambda event: None,
            )
        folder = RunFolder.of(plan, runs)
        assert read_report(folder.root).state == "failed" and not folder.is_held()
        write_report(as_report({**rich_report(), "state": "failed", "failure": "x"}), folder)
    assert seen == [("running", None, 0), ("running", None, 5)]


def test_a_run_that_was_killed_is_told_apart_from_one_that_goes_on(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    write_report(as_report({**rich_report(), "state": "running"}), folder)
    killed = CliRunner().invoke(cli, ["report", str(folder.root)])
    assert killed.exit_code == 0 and "no process makes this run now" in killed.output
    with folder.held(lambda holder: None):
        alive = CliRunner().invoke(cli, ["report", str(folder.root)])
    assert alive.exit_code == 0 and "no process" not in alive.output
