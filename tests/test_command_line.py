"""The command line as its user meets it: how fast help is, what each listing says as text and as
JSON, and exit codes."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from commands import Command
from installing import describe
from reports import as_report, rich_report

from compress import __version__
from compress.artifact import Manifest, Traits, with_files
from compress.cli import cli, main
from compress.cli.rows import print_rows
from compress.cli.show import Show, output_console
from compress.errors import BudgetMissed, CompressError, UsageError
from compress.report.diff.compare import compare_runs
from compress.report.diff.side import Side
from compress.report.diff.views import print_diff
from compress.report.views.terminal import print_report

RECIPE = """\
task: {text-classification: {max_length: 16}}
model: ./model
data: {train: train.csv, test: test.csv}
stages:
  - finetune: {epochs: 1}
"""
BUDGETS = """\
  - prune.structured: {feed_forward: 0.5}
    name: cut
  - quantize.onnx: {}
    budget: {latency: ">= 2x", on_miss: fail}
budget: {quality: ">= 99%", size: "<= 20 MB", on_miss: back_off, tries: 2, decide: worst}
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-8]|4[0-8]|9[0-7])[;m]")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A folder of one file with a manifest."""
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "weights").write_bytes(b"12345")
    manifest = Manifest(Traits(task="text-classification"), {}, step="s", stage="s")
    with_files(manifest, folder).write(folder)
    return folder


def test_help_answers_at_once(command: Command) -> None:
    answers = [command("--help") for _ in range(3)]
    assert {answer.code for answer in answers} == {0}
    # The clock says little on a busy machine; the CPU time of an idle one is about 0.07 s.
    assert min(min(answer.seconds, answer.cpu) for answer in answers) < 0.3


def test_help_lists_every_command_with_a_line_and_the_exit_codes(command: Command) -> None:
    text = command("--help").out
    assert len(cli.commands) >= 11
    for name in cli.commands:
        assert re.search(rf"^  {name} +\S", text, re.M), name
    for code in (0, 1, 2, 3, 5, 130):
        assert re.search(rf"^ +{code} +\S", text, re.M), code


def test_every_command_has_help_in_which_every_option_is_explained(command: Command) -> None:
    for name, one in cli.commands.items():
        answer = command(name, "--help")
        assert answer.code == 0 and answer.heavy == "" and answer.cpu < 1, name
        assert one.help and one.help.splitlines()[0].endswith("."), name
        for option in one.params:
            assert not isinstance(option, click.Option) or option.help, f"{name} {option.name}"


def test_version_is_told(command: Command) -> None:
    assert command("--version").out == f"compress, version {__version__}\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stages", ["prune.structured", "quantize.onnx", "Quantize weights and embeddings"]),
        ("tasks", ["text-classification", "sentiment-analysis", "text_pair?", "accuracy"]),
        ("recipes", ["quickstart", "From nothing to a small fast classifier"]),
        ("plugins", ["architectures", "training", "compress-toolkit"]),
        ("doctor", ["memory", "Python", "torch", "engine onnxruntime"]),
    ],
)
def test_listing_says_it_as_text_without_importing_anything_heavy(
    name: str, words: list[str], command: Command
) -> None:
    answer = command(name)
    assert (answer.code, answer.err, answer.heavy) == (0, "", "")
    for word in words:
        assert word in answer.out
    assert "\x1b" not in answer.out and "Traceback" not in answer.out


def test_listings_are_json_for_machines(command: Command) -> None:
    stages = {stage["name"]: stage for stage in command("stages", "--json").value}
    assert {
        "finetune",
        "distill",
        "prune.structured",
        "quantize.onnx",
        "quantize.bitsandbytes",
    } <= set(stages)
    assert stages["distill"]["summary"] and stages["distill"]["plugin"]
    tasks = {task["name"]: task for task in command("tasks", "--json").value}
    assert tasks["token-classification"]["synonyms"] == ["ner"]
    recipes = command("recipes", "--json").value
    assert recipes and all(
        Path(recipe["file"]).is_file() and recipe["summary"] for recipe in recipes
    )
    plugins = command("plugins", "--json").value
    assert plugins["problems"] == [] and len(plugins["plugins"]) >= 10
    doctor = command("doctor", "--json").value
    assert doctor["environment"]["threads"] >= 1 and {"torch", "onnxruntime"} <= set(
        doctor["engines"]
    )


def test_stage_is_shown_with_its_options_as_text_and_json(command: Command) -> None:
    text = command("stages", "prune.structured").out
    assert "feed_forward" in text and "recover.epochs" in text and "Michel et al. 2019" in text
    value = command("stages", "prune.structured", "--json").value
    options = {option["name"]: option for option in value["options"]}
    assert (
        options["recover.batch_size"]["default"] == 32
        and options["feed_forward"]["default"] is None
    )
    assert all(option["description"] for option in options.values())
    assert value["needs_data"] == ["train"] and value["accepts"]["formats"] == ["pytorch"]


@pytest.mark.parametrize(
    ("stage", "words"),
    [("distil", "did you mean 'distill'?"), ("quantize", "quantize.bitsandbytes, quantize.onnx")],
)
def test_unknown_stage_is_exit_code_2_with_a_suggestion(
    stage: str, words: str, command: Command
) -> None:
    answer = command("stages", stage)
    assert answer.code == 2 and answer.out == ""
    assert answer.err.startswith(f"error: there is no stage {stage!r}") and words in answer.err


@pytest.mark.parametrize(
    "words", [["nonsense"], ["plan"], ["run", "r.yaml", "--sett", "a=b"], ["verify", "nowhere"]]
)
def test_wrong_command_is_exit_code_2_without_a_traceback(
    words: list[str], command: Command
) -> None:
    answer = command(*words)
    assert (
        answer.code == 2
        and answer.out == ""
        and "Error: " in answer.err
        and "Traceback" not in answer.err
    )


def test_verify_says_that_nothing_changed(artifact: Path, command: Command) -> None:
    answer = command("verify", artifact)
    assert (answer.code, answer.err, answer.heavy) == (0, "", "")
    assert "1 files are as they were saved" in answer.out
    value = command("verify", artifact, "--json").value
    assert value["traits"]["task"] == "text-classification" and len(value["digest"]) == 64


def test_one_changed_byte_is_exit_code_5_and_names_the_file(
    artifact: Path, command: Command
) -> None:
    (artifact / "weights").write_bytes(b"12346")
    answer = command("verify", artifact)
    assert answer.code == 5 and answer.out == ""
    assert (
        answer.err
        == f"error: {artifact / 'weights'} has changed since it was saved (sha256 differs)\n"
    )


def test_folder_that_is_no_artifact_is_exit_code_2(artifact: Path, command: Command) -> None:
    (artifact / "compress.json").unlink()
    answer = command("verify", artifact)
    assert (
        answer.code == 2
        and answer.err == f"error: {artifact} is not an artifact: it has no compress.json\n"
    )


def test_folder_that_serves_no_installed_task_is_refused_by_predict(
    artifact: Path, command: Command
) -> None:
    replace(Manifest.read(artifact), traits=Traits()).write(artifact)
    answer = command("predict", artifact, "a text")
    assert (
        answer.code == 2 and "serves no task that is installed" in answer.err and answer.heavy == ""
    )


def test_folder_without_a_report_is_no_runs_folder(artifact: Path, command: Command) -> None:
    answer = command("report", artifact)
    assert answer.code == 2 and "is not a run's folder" in answer.err


@pytest.mark.parametrize(
    "words",
    [["--runs", "train.csv/runs"], ["--store", "train.csv/store"], ["--runs", "/proc/runs"]],
)
def test_folder_that_cannot_be_made_is_one_line_and_exit_code_3(
    words: list[str],
    command: Command,
    csv_data: Path,
    fake_model: Callable[..., Path],
    write_recipe: Callable[..., Path],
) -> None:
    fake_model()
    answer = command("run", write_recipe(RECIPE), *words)
    last = answer.err.splitlines()[-1]
    assert (
        answer.code == 3
        and last.startswith("error: ")
        and words[1] in last
        and "Traceback" not in answer.err
    )
    assert last.endswith(
        (": Not a directory", ": No such file or directory", ": Permission denied")
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "a/b.html.71.draft"),
            "error: a/b.html: Permission denied\n",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device\n"),
        (OSError("a bug"), None),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "error: reset\n"),
        (OSError(errno.EFBIG, "File too large"), "error: File too large\n"),
    ],
)
def test_only_trouble_with_files_is_told_without_a_traceback(
    error: OSError,
    told: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(cli, "main", fail)
    if told is None:
        with pytest.raises(OSError, match="a bug"):
            main()
        return
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3 and capsys.readouterr().err == told


def test_report_of_a_run_that_cannot_be_written_to_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(report: Any, folder: Any, sections: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "report.html.71.draft")

    (tmp_path / "report.json").write_text(json.dumps(rich_report()), encoding="utf-8")
    monkeypatch.setattr("compress.report.views.writing.write_views", refuse)
    answer = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert answer.exit_code == 0 and "tiny" in answer.stdout
    assert (
        answer.stderr == "warning: the views could not be rebuilt: report.html: Permission denied\n"
    )


def test_report_rebuilds_the_views_and_leaves_the_truth_to_the_run(tmp_path: Path) -> None:
    truth = tmp_path / "report.json"
    truth.write_text(json.dumps(rich_report()), encoding="utf-8")
    before = truth.read_bytes(), truth.stat().st_mtime_ns
    (tmp_path / "report.html.draft").mkdir()  # where another process would have its draft
    answer = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert answer.exit_code == 0 and answer.stderr == ""
    assert (truth.read_bytes(), truth.stat().st_mtime_ns) == before
    assert (tmp_path / "report.html").is_file() and (tmp_path / "report.md").is_file()


@pytest.mark.parametrize(
    ("events", "error", "told"),
    [
        (
            ["run_started", "step_started", "run_failed"],
            BudgetMissed("missed"),
            "report: runs/x/report.html\n",
        ),
        (
            ["run_started", "measuring", "run_failed"],
            CompressError("no"),
            "report: runs/x/report.html\n",
        ),
        (["run_started", "run_failed"], UsageError("a mistake before the first step"), ""),
        (["run_started", "step_started"], KeyboardInterrupt(), "report: runs/x/report.html\n"),
        (["run_started"], KeyboardInterrupt(), ""),
        (["run_started", "step_started"], None, ""),
    ],
)
def test_run_that_fails_names_the_report_that_was_written(
    events: list[str], error: BaseException | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show = Show()
    values = {"folder": "runs/x", "name": "x", "step": "s", "stage": "s", "index": 1, "of": 1}
    with suppress(CompressError, KeyboardInterrupt), show:
        for event in events:
            show.event({"event": event, **values})
        if error:
            raise error
    assert "".join(capsys.readouterr().err.partition("report:")[1:]) == told


def test_plan_shows_the_budget_and_what_each_step_is_held_to(
    command: Command,
    csv_data: Path,
    fake_model: Callable[..., Path],
    write_recipe: Callable[..., Path],
) -> None:
    fake_model()
    recipe = write_recipe(RECIPE + BUDGETS)
    text = command("plan", recipe).out
    assert (
        "budget: quality >= 99%, size <= 20 MB; on_miss: back_off (up to 2 more tries); decide: "
        "worst\n" in text
    )
    assert (
        "budget of cut: quality >= 99%; on_miss: back_off (up to 2 more tries); decide: worst; "
        "from the" in text
    )
    assert "budget of quantize.onnx: latency >= 2x; on_miss: fail; decide: point\n" in text
    value = command("plan", recipe, "--json").value
    assert value["budget"] == {
        "limits": {"quality": ">= 99%", "size": "<= 20 MB"},
        "on_miss": "back_off",
        "tries": 2,
        "decide": "worst",
        "of_recipe": False,
    }
    assert [bool(step["budget"]) for step in value["steps"]] == [False, True, True]
    plain = command("plan", write_recipe(RECIPE))
    assert plain.code == 0 and "on_miss" not in plain.out


def test_no_escape_code_reaches_the_terminal(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    evil, seen = "a\x1b[2Jb\x9bm", "a\ufffd[2Jb\ufffdm"
    show = Show([evil])
    show.event({"event": "step_started", "step": evil, "stage": evil, "index": 1, "of": 1})
    show.event({"event": "note", "text": evil})
    show.event(
        {"event": "progress", "step": evil, "text": evil, "values": {}, "done": 1, "total": 2}
    )
    console = output_console()
    print_rows([{evil: evil}], console)
    report = as_report({**rich_report(), "name": evil})
    print_report(report, console)
    print_diff(compare_runs(Side(evil, report), Side(evil + "2", report), {}), console)
    said = capsys.readouterr()
    assert not {"\x1b", "\x9b"} & set(said.out + said.err)
    assert said.err.count(seen) >= 5 and said.out.count(seen) >= 4
    answer = command("plan", f"{evil}.yaml")
    assert answer.code == 2 and answer.err == f"error: {seen}.yaml: there is no such file\n"


def test_pairs_are_texts_two_by_two(artifact: Path, command: Command) -> None:
    answer = command("predict", artifact, "--pair", "one", "two", "three")
    assert (answer.code, answer.err) == (2, "error: --pair takes texts two by two, got 3\n")


def test_an_answer_that_is_the_text_itself_is_told(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [{"text": "sports", "label": "sports", "score": 0.5}]
    monkeypatch.setattr("compress.serving.open_predictor", lambda *_: lambda texts: answers)
    assert (
        CliRunner().invoke(cli, ["predict", str(artifact), "sports"]).stdout
        == "sports\tlabel=sports\tscore=0.5\n"
    )


def test_no_color_is_obeyed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = command("stages", "finetune", environ={"FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert answer.code == 0 and not COLOUR.search(answer.out)
    monkeypatch.setenv("NO_COLOR", "1")
    assert output_console().no_color
    monkeypatch.setenv("NO_COLOR", "")
    assert not output_console().no_color


def test_plugin_that_does_not_load_is_a_warning_and_no_failure(
    command: Command, tmp_path: Path
) -> None:
    describe(tmp_path / "guard", "acme", "1.0", {"acme": "a_module_that_is_not_there"})
    told = (
        "plugin 'acme' of acme 1.0 cannot be imported: ModuleNotFoundError: "
        "No module named 'a_module_that_is_not_there'"
    )
    listed = command("stages")
    assert listed.code == 0 and listed.err == f"warning: {told}\n" and "finetune" in listed.out
    assert command("plugins", "--json").value["problems"] == [told]
    disabled = command("stages", environ={"COMPRESS_DISABLE_PLUGINS": "acme"})
    assert disabled.err == ""


@pytest.mark.parametrize("words", [["stages"], ["stages", "--json"], ["--help"]])
def test_reader_that_hangs_up_is_told_nothing(words: list[str]) -> None:
    """As in ``compress stages | head -1``: whoever read the output is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    answer = subprocess.run(
        [sys.executable, "-m", "compress", *words], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert answer.stderr == ""
