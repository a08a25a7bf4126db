"""Wrong recipes through the real command line: the exit code, the place, the remedy, and how long the answer takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import Answer, Command

HEAD = """\
task: text-classification
model: owner/encoder
data: {train: train.csv, test: test.csv}
"""

# What is wrong, the stages (or the whole recipe), the line and column, and words that the message must hold.
MISTAKES = {
    "unknown top key": (HEAD + "stagges: 1\nstages:\n  - finetune\n", "4:1", ("'stagges'", "did you mean 'stages'?")),
    "unknown option": (HEAD + "stages:\n  - finetune: {epoch: 3}\n", "5:16", ("'epoch'", "did you mean 'epochs'?")),
    "unknown nested option": (
        HEAD + "stages:\n  - finetune\n  - prune.structured:\n      layers: 2\n      recover: {warmpu: 0.1}\n", "8:17",
        ("'recover.warmpu'", "did you mean 'warmup'?")),
    "misspelt stage": (HEAD + "stages:\n  - finetun: {epochs: 3}\n", "5:5", ("'finetun'", "did you mean 'finetune'?")),
    "family alone": (HEAD + "stages:\n  - finetune\n  - quantize: {mode: dynamic}\n", "6:5",
                     ("'quantize' is a family", "quantize.bitsandbytes, quantize.onnx")),
    "wrong type": (HEAD + "stages:\n  - finetune: {epochs: three}\n", "5:24", ("got 'three'", "expected a number")),
    "number in quotes": (HEAD + "stages:\n  - finetune: {batch_size: '8'}\n", "5:28", ("got '8'", "expected a whole number")),
    "out of range": (HEAD + "stages:\n  - finetune\n  - prune.structured:\n      feed_forward: 1.5\n", "7:21",
                     ("got 1.5", "less than 1", "Share of each layer's feed-forward neurons")),
    "not finite": (HEAD + "stages:\n  - finetune: {epochs: .inf}\n", "5:24", ("got inf", "expected a finite number")),
    "required option missing": (HEAD + "stages:\n  - finetune\n  - distill: {student: {}}\n", "6:15",
                                ("'student.layers' is missing", "Layers of the student")),
    "options that do nothing": (HEAD + "stages:\n  - finetune\n  - prune.structured\n", "6:5",
                                ("nothing is removed", "give at least one")),
    "duplicate key": (HEAD + "stages:\n  - finetune: {epochs: 3, epochs: 4}\n", "5:27", ("'epochs' is given twice", "5:16")),
    "missing file": (HEAD.replace("train.csv", "trian.csv") + "stages:\n  - finetune\n", "3:15",
                     ("'trian.csv'", "did you mean 'train.csv'?")),
    "from unknown": (HEAD + "stages:\n  - finetune\n  - distill: {student: {layers: 1}}\n    from: finetun\n", "7:11",
                     ("no earlier step 'finetun'", "did you mean 'finetune'?")),
    "from a later step": (HEAD + "stages:\n  - finetune: {}\n    from: distill\n  - distill: {student: {layers: 1}}\n", "6:11",
                          ("no earlier step 'distill'", "stands before it")),
    "from a list": (HEAD + "stages:\n  - finetune: {}\n    from: [model]\n", "6:11", ("no earlier step", "known: model")),
    "prune after onnx": (HEAD + "stages:\n  - finetune\n  - quantize.onnx\n  - prune.structured: {layers: 2}\n", "7:5",
                         ("'quantize.onnx' makes onnx", "from: finetune")),
    "bitsandbytes after onnx": (HEAD + "stages:\n  - finetune\n  - quantize.onnx\n  - quantize.bitsandbytes\n", "7:5",
                                ("takes pytorch models", "from: finetune")),
    "free shape into bitsandbytes": (
        HEAD + "stages:\n  - finetune\n  - prune.structured: {heads: 0.5}\n  - quantize.bitsandbytes\n", "7:5",
        ("'prune.structured' is of free shape", "from: finetune")),
    "fresh model into finetune": (HEAD.replace("owner/encoder", "{type: bert}") + "stages:\n  - finetune\n", "5:5",
                                  ("the recipe's model is a fresh one", "put pretrain before it")),
    "no such column": (HEAD.replace("test: test", "columns: {label: lable}, test: test") + "stages:\n  - finetune\n", "3:44",
                       ("no column 'lable'", "did you mean 'label'?")),
    "tab": (HEAD + "stages:\n\t- finetune\n", "5:1", ("a tab", "YAML indents with spaces")),
    "not YAML": (HEAD + "stages: [finetune\n", "5:1", ("is not YAML", "check indentation, quotes and colons")),
    "anchor": (HEAD + "stages:\n  - finetune: &o {epochs: 1}\n  - finetune: *o\n    name: again\n", "6:15",
               ("*o repeats a value", "write the value out")),
    "python object": (HEAD + "stages:\n  - finetune: {epochs: !!python/name:os.sep ''}\n", "5:24",
                      ("python/name:os.sep is not allowed", "plain data")),
    "two steps of one name": (HEAD + "stages:\n  - finetune\n  - finetune\n", "6:5",
                              ("two steps are named 'finetune'", "give one of them a name:")),
    "no task": (HEAD.split("\n", 1)[1] + "stages:\n  - finetune\n", "1:1", ("has no task", "task: text-classification")),
    "unknown task": (HEAD.replace("text-c", "txt-c") + "stages:\n  - finetune\n", "1:7",
                     ("'txt-classification'", "did you mean 'text-classification'?")),
    "no test data": (HEAD.replace(", test: test.csv", "") + "stages:\n  - finetune\n", "5:5",
                     ("needs test data", "add them under data:")),
    "model folder that is not there": (HEAD.replace("owner/encoder", "./encoder") + "stages:\n  - finetune\n", "2:8",
                                       ("no model folder './encoder'", "looked in")),
}


def assert_told(answer: Answer, recipe: Path, places: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Exactly these mistakes, each on its own line at its place, in no time, without a traceback or a heavy import."""
    assert answer.code == 2, answer.err
    lines = answer.err.splitlines()
    assert len(lines) == len(places), answer.err
    for line, (place, words) in zip(lines, places, strict=True):
        assert line.startswith(f"error: {recipe}:{place}: ")
        for word in words:
            assert word in line
    assert answer.out == "" and "Traceback" not in answer.err
    assert "value error" not in answer.err.lower()
    assert answer.heavy == ""
    assert answer.cpu < 1.5  # about 0.5 on an idle machine


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistake_is_told_with_its_place_and_a_remedy(kind: str, command: Command, csv_data: Path,
                                                     write_recipe: Callable[..., Path]) -> None:
    text, place, words = MISTAKES[kind]
    recipe = write_recipe(text)
    assert_told(command("plan", recipe), recipe, [(place, words)])


def test_all_mistakes_are_told_in_one_pass_in_the_order_of_the_file(command: Command, csv_data: Path,
                                                                    write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe(HEAD + "stages:\n  - finetune: {epochs: -1, warmup: 2}\n  - distil\nsede: 4\n")
    assert_told(command("plan", recipe), recipe, [
        ("5:24", ["epochs: got -1"]), ("5:36", ["warmup: got 2"]), ("6:5", ["did you mean 'distill'?"]),
        ("7:1", ["did you mean 'seed'?"])])


def test_csv_without_the_tasks_columns_is_refused_before_it_is_read(command: Command, tmp_path: Path, csv_data: Path,
                                                                    write_recipe: Callable[..., Path]) -> None:
    (tmp_path / "train.csv").write_text("sentence,category\ngood day,good\n", encoding="utf-8")
    recipe = write_recipe(HEAD + "stages:\n  - finetune\n")
    answer = command("plan", recipe)
    assert_told(answer, recipe, [("3:15", ["no column 'text'"]), ("3:15", ["no column 'label'"])])


@pytest.mark.parametrize(("files", "words"), [
    ({"config.json": {"auto_map": {"AutoModel": "mine.Model"}}, "model.safetensors": {}}, "runs code from the model folder"),
    ({"config.json": {"model_type": "bert"}, "pytorch_model.bin": {}}, "pytorch_model.bin is a pickle"),
    ({"config.json": {"model_type": "bert"}}, "has no safetensors weights"),
    ({"notes.json": {}}, "it has no config.json"),
], ids=["auto_map", "pickle only", "no weights", "no config"])
def test_model_folder_that_would_not_open_is_refused_by_the_plan(files: dict[str, object], words: str, command: Command,
                                                                 tmp_path: Path, csv_data: Path,
                                                                 write_recipe: Callable[..., Path]) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    recipe = write_recipe(HEAD.replace("owner/encoder", "./encoder") + "stages:\n  - finetune\n")
    assert_told(command("plan", recipe), recipe, [("2:8", [words])])


def test_run_refuses_what_plan_refuses_before_it_makes_anything(command: Command, tmp_path: Path, csv_data: Path,
                                                                write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe(HEAD + "stages:\n  - finetun\n")
    assert_told(command("run", recipe, "--runs", "runs"), recipe, [("5:5", ["did you mean 'finetune'?"])])
    assert not (tmp_path / "runs").exists() and not (tmp_path / "store").exists()


def test_a_wrong_recipe_is_answered_within_a_second(command: Command, csv_data: Path,
                                                    write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe(HEAD + "stages:\n  - finetun\n")
    answers = [command("plan", recipe) for _ in range(2)]
    assert {answer.code for answer in answers} == {2}
    # On a machine that is busy with something else the clock is no measure, and CPU time is.
    assert min(min(answer.seconds, answer.cpu) for answer in answers) < 1.0


def test_recipe_that_is_not_there_is_told_with_the_shipped_ones_near(command: Command) -> None:
    answer = command("plan", "quikstart")
    assert answer.code == 2 and answer.heavy == ""
    assert answer.err == "error: quikstart: there is no such recipe file (did you mean 'quickstart'?)\n"
