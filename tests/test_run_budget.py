"""Runs that are held to budgets, and alarms about gains that are none: with models that are four
numbers in a file."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import pytest
from installing import install
from jsonschema import Draft202012Validator
from kept_families import give_families
from running import Run

from compress.artifact import Artifact
from compress.cli import main
from compress.cli.planstate import find_state
from compress.errors import CompressError, ModelRefused, NothingChanged
from compress.planning import load_plan
from compress.registry.plugins import Registry, load_plugins
from compress.report.reading import read_report
from compress.report.remarks import remarks
from compress.report.schema import schema_text
from compress.report.views.writing import write_report
from compress.results.outcomes import BudgetOutcome
from compress.running.families import known_families
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.workers.failures import describe, error_of
from compress.workers.jobs import JOBS
from compress.workers.jobs.probing import open_probe
from compress.workers.protocol import (
    Command,
    Message,
    MeterPrepared,
    PrepareMeter,
    ProbeArtifact,
    Sampled,
    TakeSample,
)

HEAD = """\
task: text-classification
model: {type: toy}
data: {train: train.csv, test: test.csv}
stages:
  - toy.make
"""
OTHERS = "meters,onnx,torch,prune,distill,training,bitsandbytes,architectures"

Held = Callable[..., Run]


class Line:
    """Where a job says how far it is; nobody listens."""

    def send(self, message: Message) -> None:
        pass


class Here:
    """A worker without a process, which answers as ``compress.workers.jobs.probing`` does."""

    process = SimpleNamespace(pid=os.getpid(), poll=lambda: None)

    def __init__(self, job: ProbeArtifact, registry: Registry) -> None:
        self.probe, self.registry = open_probe(job, registry), registry

    def reply(self, expected: type[Message]) -> None:
        pass

    def ask(self, command: Command, reply: type[Message]) -> Message | None:
        if isinstance(command, PrepareMeter):
            return MeterPrepared()
        if not isinstance(command, TakeSample):
            return None
        return Sampled(self.registry.meters[command.meter].cls().sample(self.probe))


@pytest.fixture
def held(
    tmp_path: Path,
    csv_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Held:
    """``held(steps, top, code=4)``: a run of these steps after a whole model, with these keys of
    the recipe.

    It is the command with all its parts, but for the processes of its workers: their jobs are done
    in this one."""
    site = tmp_path / "site"
    install(site, "compress-stated")
    give_families(tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("COMPRESS_DISABLE_PLUGINS", OTHERS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def do(job: Any, file: Path, log: Path, *listeners: Any) -> Any:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}", encoding="utf-8")
        return JOBS[type(job)](job, Line(), load_plugins())  # type: ignore[arg-type]

    monkeypatch.setattr("compress.running.making.run_job", do)
    monkeypatch.setattr(
        "compress.workers.jobs.probing.stay_on_cores", lambda count: None
    )  # this process has other tests to run
    monkeypatch.setattr(
        "compress.measure.side.started",
        lambda job, *files: nullcontext(Here(job, load_plugins())),
    )

    def make(steps: str, top: str = "", code: int = 0) -> Run:
        (tmp_path / "toy.yaml").write_text(HEAD + steps + top, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["compress", "run", "toy.yaml", "--store", "store"])
        with pytest.raises(SystemExit) as ended:
            main()
        output = "".join(capfd.readouterr())
        assert ended.value.code == code, output
        newest = max(
            (tmp_path / "runs").iterdir(),
            key=lambda path: (path / "events.jsonl").stat().st_mtime_ns,
        )
        return Run(tmp_path, newest, output)

    return make


def share(step: Mapping[str, Any]) -> float:
    return float(step["options"]["share"])


def test_a_step_backs_off_until_it_meets_its_budget_and_a_run_that_goes_on_reuses_each_try(
    held: Held,
) -> None:
    steps = """\
  - toy.cut: {share: 0.4}
    name: a
    budget: {quality: '>= 95%', on_miss: back_off}
  - toy.set: {flips: 0.5}
    name: b
  - toy.cut: {share: 0.12}
    name: c
    from: toy.make
    budget: {quality: '>= 95%', on_miss: back_off}
"""
    first = held(steps)
    a = first.step("a")
    assert [share(t) for t in a["attempts"]] == [0.4, 0.2] and share(a) == 0.2
    assert [t["verdicts"][0]["met"] for t in a["attempts"]] == [False, True]
    assert a["digest"] == a["attempts"][1]["digest"] == Artifact.open(first.artifact("a")).digest
    assert (
        first.report["step_budgets"]["a"]["met"]
        and first.report["step_budgets"]["a"]["decide"] == "point"
    )
    assert first.step("b")["measurements"]["size"]["value"] == 800, (
        "what follows takes the try that counts"
    )
    assert [share(t) for t in first.step("c")["attempts"]] == [0.12], (
        "a try that meets it is the last"
    )
    assert (
        "a misses its budget: quality >= 95%: 84.0 % of toy.make [82.0 %, 86.0 %], missed; trying "
        "again with "
        "share 0.2" in first.output
    )
    for number, tried in enumerate(a["attempts"], 1):
        assert (
            Artifact.open(first.folder / "steps" / f"02-a@try-{number}").digest == tried["digest"]
        )

    assert (
        "tries of a: share 0.4 (quality >= 95%: 84.0 % of toy.make [82.0 %, 86.0 %], missed); "
        "share 0.2 (quality >= 95%: 96.0 % of toy.make [94.0 %, 98.0 %]), which counts"
    ) in remarks(read_report(first.folder))

    schema = json.loads(schema_text())
    assert list(Draft202012Validator(schema).iter_errors(first.report)) == []

    jobs = first.jobs()
    again = held(steps)
    assert again.jobs() == jobs, "no worker was started anew"
    assert again.step("a")["cached"] and again.step("a")["attempts"] == a["attempts"]
    assert again.digests() == first.digests()
    measured = ["toy.make", "a", "a", "b", "c"]
    assert [e["step"] for e in again.events if e["event"] == "measuring"] == measured

    (first.folder / "measurements" / "b.json").write_text("{", encoding="utf-8")
    mended = held(steps)
    assert [e["step"] for e in mended.events if e["event"] == "measuring"] == [*measured, "b"], (
        "what is broken is made anew"
    )
    assert (
        "b.json is not what was written" in mended.output and "b is measured again" in mended.output
    )
    assert mended.report["steps"] == again.report["steps"]


def test_what_is_measured_before_the_reference_is_measured_no_more_by_the_run_that_goes_on(
    held: Held,
) -> None:
    steps = "  - toy.cut: {share: 0.1}\n    name: a\n  - toy.cut: {share: 0.2}\n    name: b\n"
    first = held(steps, "reference: b\n")
    measured = [e["step"] for e in first.events if e["event"] == "measuring"]
    assert measured == ["toy.make", "a", "b", "toy.make", "a"], (
        "those before it are measured again beside it"
    )
    again = held(steps, "reference: b\n")
    assert [e["step"] for e in again.events if e["event"] == "measuring"] == measured
    assert [s["measurements"] for s in again.report["steps"]] == [
        s["measurements"] for s in first.report["steps"]
    ]
    assert again.step("a")["against_reference"] == first.step("a")["against_reference"] is not None


def test_scores_on_other_examples_are_not_compared(held: Held, tmp_path: Path) -> None:
    rows = (tmp_path / "test.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "other.csv").write_text("\n".join(rows[:-2]) + "\n", encoding="utf-8")
    train = (tmp_path / "train.csv").read_text(encoding="utf-8")
    (tmp_path / "more.csv").write_text(f"{train}{rows[1]}\n", encoding="utf-8")
    made = held("""\
  - toy.cut: {share: 0.1}
    name: a
    data: {train: train.csv, test: other.csv}
  - toy.cut: {share: 0.1}
    name: b
    from: toy.make
    data: {train: more.csv, test: test.csv}
""")
    for name, compared in (("a", False), ("b", True)):
        before = made.step(name)["against_parent"]
        assert "size" in before["changes"]
        assert (
            ("quality" in before["changes"])
            is ("quality_kept" in before["comparisons"])
            is compared
        )
        assert (made.step(name)["test"] == made.step("toy.make")["test"]) is compared and made.step(
            name
        )["test"]


def test_where_no_try_meets_the_budget_the_nearest_is_taken_and_the_run_ends_with_4(
    held: Held,
) -> None:
    ended = held(
        """\
  - toy.cut: {share: 0.8}
    name: a
    budget: {quality: '>= 0.895', on_miss: back_off, tries: 2}
  - toy.cut: {share: 0.8}
    name: b
    from: toy.make
    budget: {quality: '>= 0.1', size: '<= 100 kB', latency: '<= 1 ms', on_miss: back_off}
""",
        code=4,
    )
    assert ended.report["state"] == "finished"
    a, b = ended.step("a"), ended.step("b")
    assert [share(t) for t in a["attempts"]] == [0.8, 0.4, 0.2] and share(a) == 0.2, (
        "two further tries, as asked"
    )
    assert not ended.report["step_budgets"]["a"]["met"]
    assert len(b["attempts"]) == 1, "less does not mend a speed"
    assert "budget of a missed" in ended.output


def test_a_try_that_takes_nothing_by_rounding_is_the_last(held: Held) -> None:
    ended = held(
        """\
  - toy.cut: {share: 0.4, coarse: true}
    name: a
    budget: {quality: '>= 0.95', on_miss: back_off, tries: 9}
""",
        code=4,
    )
    assert ended.report["state"] == "finished" and [
        share(t) for t in ended.step("a")["attempts"]
    ] == [0.4]
    assert "a: nothing is taken with share 0.2" in ended.output
    failed = describe(NothingChanged("toy.cut changed nothing"))
    assert isinstance(error_of(failed, Path("log")), NothingChanged), "as it comes from a worker"


def test_an_error_of_a_plugin_comes_from_a_worker_as_the_kind_that_it_is() -> None:
    class NoSuchLayer(ModelRefused):
        pass

    error = error_of(describe(NoSuchLayer("layer 3")), Path("log"))
    assert type(error) is ModelRefused and str(error) == "layer 3"


def test_a_miss_warns_or_keeps_the_best_or_fails_as_it_is_asked(held: Held) -> None:
    step = """\
  - toy.cut: {share: 0.5}
    name: a
    budget: {quality: '>= 99%', on_miss: %s}
  - toy.set: {flips: 1}
"""
    warned = held(step.replace("%s", "warn"))
    assert warned.report["state"] == "finished" and "a misses its budget" in warned.output
    kept = held(step.replace("%s", "keep_best"), code=4)
    assert kept.report["state"] == "finished" and kept.digests() == warned.digests()
    failed = held(step.replace("%s", "fail"), code=4)
    assert [s["name"] for s in failed.report["steps"]] == ["toy.make", "a"], "it stops at the step"
    assert failed.report["state"] == "failed" and "error: a misses its budget" in failed.output
    assert failed.report["failure"] in failed.output and failed.report["failure"].startswith(
        "a misses its budget: quality"
    )
    assert "- failed: a misses its budget: quality" in (failed.folder / "report.md").read_text(
        encoding="utf-8"
    )
    assert failed.report["steps"][1]["attempts"] == []


def test_an_engine_that_cannot_run_the_reference_ends_nothing(held: Held, tmp_path: Path) -> None:
    install(tmp_path / "site", "compress-frail")
    ended = held("  - toy.cut: {share: 0.4}\n    name: a\n")
    assert ended.report["state"] == "finished" and ended.report["failure"] is None
    assert [s["name"] for s in ended.report["steps"]] == ["toy.make", "a"]
    assert ended.report["unmeasured_engines"] == {
        "toy.make@broken": "it has an operator that is not known here"
    }
    assert (
        "toy.make@broken is not measured: it has an operator that is not known here" in ended.output
    )
    assert ended.step("toy.make")["measurements"]["quality"]["value"] == 0.9, (
        "which is measured all the same"
    )


@pytest.mark.parametrize(
    "where", ["compress.running.making.run_job", "compress.measure.side.started"]
)
def test_an_engine_whose_worker_dies_is_not_taken_for_one_that_refuses(
    where: str, held: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "compress-frail")
    does = resolve_name(where)

    def die(job: Any, *given: Any) -> Any:
        if "frail" in getattr(job, "stage", "") or "@broken" in str(getattr(job, "subject", "")):
            raise CompressError("the worker was ended by SIGKILL (out of memory?)")
        return does(job, *given)

    monkeypatch.setattr(where, die)
    monkeypatch.setattr("compress.workers.jobs.staging.open_once", lambda *given: None)
    ended = held("  - toy.cut: {share: 0.4}\n    name: a\n", code=1)
    assert ended.report["state"] == "failed" and ended.report["unmeasured_engines"] == {}
    assert "toy.make@broken could not be made or measured" in ended.output
    assert "ended by SIGKILL" in ended.report["failure"]


def test_a_quick_run_has_the_reference_in_no_other_engine_unless_a_limit_asks_for_it(
    held: Held, tmp_path: Path
) -> None:
    install(tmp_path / "site", "compress-frail")
    steps, quick = "  - toy.cut: {share: 0.4}\n    name: a\n", "benchmark: {effort: quick}\n"
    plain = held(steps, quick + "budget: {latency: '>= 1.1x of B0', on_miss: warn}\n")
    assert plain.report["unmeasured_engines"] == {}
    assert plain.report["fastest_float_engine"] is None
    assert "a quick run times it in no other engine" in (plain.folder / "report.md").read_text()
    asked = held(steps, quick + "budget: {latency: '>= 1.1x', on_miss: warn}\n")
    assert list(asked.report["unmeasured_engines"]) == ["toy.make@broken"]
    assert asked.report["fastest_float_engine"] == "toy.make"


@pytest.mark.parametrize("where", ["in the maker", "in another process"])
def test_a_model_that_does_not_open_is_not_kept_and_the_stage_and_its_plugin_are_named(
    where: str, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "in another process":
        monkeypatch.setattr("compress.workers.jobs.staging._opened_here", lambda *given: False)
    steps = "  - toy.set: {mark: broken}\n    name: a\n"
    for _ in range(2):  # the second run does not find it in the store either
        ended = held(steps, code=1)
        assert ended.report["failure"] == (
            "toy.set (compress-stated 1.0) wrote a model that does not open, so it is not kept: "
            "ValueError: no toy in its folder"
        )
        assert (
            ended.report["failure"] in ended.output
            and "reused" not in ended.output.split("a (toy.set)")[1]
        )
        assert [step["name"] for step in ended.report["steps"]] == ["toy.make"]


def test_a_stage_reads_what_was_measured_before_it_and_is_made_again_if_that_changes(
    held: Held,
) -> None:
    steps = "  - toy.set: {size: 600.0}\n    name: small\n  - toy.after\n"
    first = held(steps)
    after = first.folder / "steps" / "03-toy.after"
    assert Artifact.open(after).manifest.notes["sizes"] == {"toy.make": 1000.0, "small": 600.0}
    assert "toy.after reused" in held(steps).output
    assert "toy.after made" in held(steps.replace("600", "500")).output
    states = find_state(*_planned(first.place)).steps
    assert states["toy.after"].why == "it depends on what is measured of the steps before it"


def _planned(place: Path) -> tuple[Any, Registry, Store]:
    """The plan of the recipe that was run last, with the plugins and the store."""
    registry, store = load_plugins(), Store((place / "store").resolve())
    return load_plan("toy.yaml", (), registry, known_families(store)), registry, store


def test_a_step_that_changes_nothing_ends_the_run_with_the_remedy(held: Held) -> None:
    text = (
        "toy.cut changed nothing: the weights it wrote are those it was given; "
        "give it options that do more, or leave the"
    )
    ended = held("  - toy.cut: {share: 0.1, coarse: true}\n", code=1)
    assert text in ended.output and ended.report["failure"].startswith(text)
    assert text in (ended.folder / "report.md").read_text(encoding="utf-8")


def test_a_recipe_that_backs_off_does_so_for_quality_and_is_judged_at_the_end(held: Held) -> None:
    steps = "  - toy.cut: {share: 0.4}\n    name: a\n  - toy.set: {flips: 0.5, quality: 0.1}\n"
    budget = (
        "budget: {quality: '>= 95% of toy.make', size: '<= 0.5 kB', decide: worst, on_miss: %s}\n"
    )
    ended = held(steps, budget.replace("%s", "back_off"), code=4)
    assert [share(t) for t in ended.step("a")["attempts"]] == [0.4, 0.2, 0.1]
    second = ended.step("a")["attempts"][1]["verdicts"][0]
    assert (
        not second["met"]
        and second["measured"] == "96.0 % of toy.make [94.0 %, 98.0 %], worst 94.5 %"
    )
    outcome = ended.report["step_budgets"]["a"]
    assert outcome["met"] and outcome["of_recipe"] and outcome["limits"] == [">= 95% of toy.make"]
    whole = ended.report["budget"]
    assert (whole["met"], whole["best"], whole["nearest"], whole["decide"]) == (
        False,
        None,
        "a",
        "worst",
    )
    assert "budget missed; nearest is a" in ended.output
    assert not (ended.folder / "best").exists()

    failed = held(steps, budget.replace("%s", "fail"), code=4)
    assert failed.report["state"] == "failed" and len(failed.report["steps"]) == 3
    assert (
        "error: no step meets the budget; nearest is a: quality >= 95% of toy.make: 84.0 %"
        in failed.output
    )

    met = held(steps, "budget: {size: '<= 0.7 kB'}\n")
    assert Artifact.open(met.folder / "best").digest == met.step("a")["digest"]
    (met.place / "test.csv").write_text(
        (met.place / "test.csv").read_text().replace("good", "bad", 1), encoding="utf-8"
    )
    held("  - toy.cut: {share: 0.4}\n    name: a\n  - toy.nothing\n", code=2)
    assert (met.folder / "best").exists(), "another recipe's mistake leaves it alone"


def test_a_report_is_written_at_both_ends_and_after_each_step_and_not_for_the_tries(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def write(report: Any, folder: RunFolder, sections: Any) -> None:
        written.append(folder.root)
        write_report(report, folder, sections)

    monkeypatch.setattr("compress.running.runner.write_report", write)
    ended = held("""\
  - toy.cut: {share: 0.4}
    name: a
    budget: {quality: '>= 95%', on_miss: back_off}
""")
    assert len(ended.step("a")["attempts"]) == 2
    assert len(written) == 4, "the start, two steps, and the end"


def test_what_was_best_is_so_no_more_when_the_run_is_made_again(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, budget = "  - toy.cut: {share: 0.4}\n    name: a\n", "budget: {size: '<= 0.7 kB'}\n"
    best = held(steps, budget).folder / "best"
    assert best.exists()
    monkeypatch.setattr(
        "compress.report.build.verdict_on_run",
        lambda *a: BudgetOutcome(
            limits=(),
            on_miss="keep_best",
            decide="point",
            met=False,
            best=None,
            nearest="a",
            verdicts={},
        ),
    )
    held(steps, budget, code=4)
    assert not best.exists() and not best.is_symlink()


def test_what_fails_after_the_last_report_leaves_the_report_finished(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: RunFolder, place: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunFolder, "link_best", fail)
    steps, budget = "  - toy.cut: {share: 0.4}\n    name: a\n", "budget: {size: '<= 0.7 kB'}\n"
    ended = held(steps, budget, code=3)
    assert ended.report["state"] == "finished"
    assert "run_failed" not in [event["event"] for event in ended.events]


def test_what_comes_before_the_reference_is_compared_with_it_too(held: Held) -> None:
    ended = held(
        "  - toy.cut: {share: 0.4}\n    name: a\n  - toy.set: {flips: 0.5}\n    name: b\n",
        "reference: a\n",
    )
    for name, size in (("toy.make", 1000 / 600), ("b", 1.0)):
        against = ended.step(name)["against_reference"]
        assert against["name"] == "a" and against["changes"]["size"]["quotient"] == pytest.approx(
            size
        )
        assert against["comparisons"]["quality_kept"]["value"] > 0


def test_gains_that_are_none_are_said_in_the_terminal_and_in_the_report(held: Held) -> None:
    ended = held("""\
  - toy.set: {size: 250.0, latency: 16.0}
    name: slow
  - toy.set: {nonzero: 0.5, flips: 0.01}
    name: sparse
    from: toy.make
  - toy.set: {mark: same}
    name: same
    from: toy.make
  - toy.cut: {share: 0.3}
    name: good
    from: toy.make
""")
    found = {
        f["step"]: f
        for f in ended.report["findings"]
        if f["kind"] != "slower_than_reference_engine"
    }
    assert {name: f["kind"] for name, f in found.items()} == {
        "slow": "smaller_but_slower",
        "sparse": "sparse_not_smaller",
        "same": "changed_nothing",
    }
    for finding in found.values():
        assert f"finding: {finding['text']}" in ended.output
    page = (ended.folder / "report.md").read_text(encoding="utf-8")
    assert "is 4.0x smaller than toy.make and 2.0x slower" in page.replace("\\", "")
    assert (
        "prune whole heads, neurons or layers instead" in page
        and "all 100 cases as toy.make does" in page
    )


def test_a_model_that_learnt_nothing_is_said_before_anything_is_made_from_it(held: Held) -> None:
    run = held(
        """\
  - toy.set: {quality: 0.0, fixed: 0.0}
    name: teacher
  - toy.set: {quality: 0.5, size: 500.0}
    name: student
""",
        "reference: teacher\n",
    )
    said = [(e["event"], e.get("step") or e.get("text", "")) for e in run.events]
    (note,) = [pair for pair in said if pair[0] == "note" and "finding" in pair[1]]
    assert note[1].startswith("finding: teacher is not shown to be better than one answer")
    assert said.index(note) < said.index(("step_started", "student"))
    assert [(f["step"], f["kind"]) for f in run.report["findings"]] == [
        ("teacher", "learnt_nothing")
    ]
    assert run.output.count("teacher is not shown to be better") == 2, "at once, and in the report"
    assert "the most frequent answer for every text has 0.000" in run.output
