"""Wrong recipes through the real command line: the exit code, the place, the remedy, and how long
the answer takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command, assert_mistakes

from compress.errors import UsageError
from compress.planning import make_plan
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry

HEAD = """\
task: text-classification
model: owner/encoder
data: {train: train.csv, test: test.csv}
"""
STEPS = HEAD + "stages:\n"
FINETUNE = "stages:\n  - finetune\n"

FRESH = """\
task: text-classification
model: {type: bert, num_hidden_layers: 2}
data: {train: train.csv, test: test.csv}
stages:
  - pretrain: {}
    task: fill-mask
  - finetune
"""
STACKS = """\
task: text-classification
model: {type: t5, num_layers: 2, num_decoder_layers: 3}
data: {train: train.csv, test: test.csv}
stages:
  - pretrain: {}
    task: fill-mask
  - finetune
"""

# What is wrong: the whole recipe, the line and column of the mistake, and words that its message
# must hold.
Mistakes = dict[str, tuple[str, str, tuple[str, ...]]]
FIRST: Mistakes = {
    "unknown top key": (
        HEAD + "stagges: 1\nstages:\n  - finetune\n",
        "4:1",
        ("'stagges'", "did you mean 'stages'?"),
    ),
    "unknown option": (
        STEPS + "  - finetune: {epoch: 3}\n",
        "5:16",
        ("'epoch'", "did you mean 'epochs'?"),
    ),
    "misspelt stage": (
        STEPS + "  - finetun: {epochs: 3}\n",
        "5:5",
        ("'finetun'", "did you mean 'finetune'?"),
    ),
    "family alone": (
        STEPS + "  - finetune\n  - quantize: {mode: dynamic}\n",
        "6:5",
        ("'quantize' is a family", "quantize.bitsandbytes, quantize.onnx"),
    ),
    "wrong type": (
        STEPS + "  - finetune: {epochs: three}\n",
        "5:24",
        ("got 'three'", "expected a number"),
    ),
    "out of range": (
        STEPS + "  - finetune\n  - prune.structured:\n      feed_forward: 1.5\n",
        "7:21",
        ("got 1.5", "expected a number less than 1", "Share of each layer's feed-forward neurons"),
    ),
    "duplicate key": (
        STEPS + "  - finetune: {epochs: 3, epochs: 4}\n",
        "5:27",
        ("'epochs' is given twice", "5:16"),
    ),
    "number that is too small": (
        STEPS + "  - finetune: {epochs: -1}\n",
        "5:24",
        ("got -1: expected a number greater than 0",),
    ),
    "missing file": (
        HEAD.replace("train.csv", "trian.csv") + FINETUNE,
        "3:15",
        ("'trian.csv'", "did you mean 'train.csv'?"),
    ),
    "from unknown": (
        STEPS + "  - finetune\n  - distill: {student: {layers: 1}}\n    from: finetun\n",
        "7:11",
        ("no earlier step 'finetun'", "did you mean 'finetune'?"),
    ),
    "rows that a task cannot make": (
        STEPS + "  - finetune\n  - distill: {student: {layers: 1}, augment: {copies: 2}}\n",
        "6:46",
        ("text-classification knows no way to vary a row", "leave it out"),
    ),
    "answers that are not generated": (
        STEPS + "  - finetune\n  - distill: {student: {layers: 1}, on_policy: 0.5}\n",
        "6:48",
        ("answers of text-classification are not generated",),
    ),
    "prune after onnx": (
        STEPS + "  - finetune\n  - quantize.onnx\n  - prune.structured: {layers: 2}\n",
        "7:5",
        ("'quantize.onnx' makes onnx", "from: finetune"),
    ),
    "tab": (STEPS + "\t- finetune\n", "5:1", ("a tab", "YAML indents with spaces")),
    "not YAML": (
        HEAD + "stages: [finetune\n",
        "4:9",
        ("is not YAML", "[ is opened", "check indentation, quotes and colons"),
    ),
    "anchor": (
        STEPS + "  - finetune: &o {epochs: 1}\n  - finetune: *o\n    name: again\n",
        "6:15",
        ("*o repeats a value", "write the value out"),
    ),
    "no task": (
        HEAD.split("\n", 1)[1] + FINETUNE,
        "1:1",
        ("has no task", "task: text-classification"),
    ),
}
MORE: Mistakes = {
    "unknown nested option": (
        STEPS
        + "  - finetune\n  - prune.structured:\n      layers: 2\n      recover: {warmpu: 0.1}\n",
        "8:17",
        ("'recover.warmpu'", "did you mean 'warmup'?"),
    ),
    "number in quotes": (
        STEPS + "  - finetune: {batch_size: '8'}\n",
        "5:28",
        ("got '8'", "expected a whole number"),
    ),
    "not finite": (
        STEPS + "  - finetune: {epochs: .inf}\n",
        "5:24",
        ("got inf", "expected a finite number"),
    ),
    "date": (
        STEPS + "  - finetune: {epochs: 2020-01-01}\n",
        "5:24",
        ("got '2020-01-01'", "expected a number"),
    ),
    "a label named twice": (
        HEAD.replace("test.csv}", "test.csv, labels: [good, bad, good]}") + FINETUNE,
        "3:50",
        ("each label is named once", "'good' is there more than once"),
    ),
    "a choice": (
        STEPS + "  - finetune: {precision: fp8}\n",
        "5:27",
        ("got 'fp8'", "'auto', 'fp32' or 'bf16'"),
    ),
    "none of two types": (
        STEPS + "  - finetune\n  - prune.structured: {layers: many}\n",
        "6:32",
        ("got 'many'", "expected a whole number or a list"),
    ),
    "required option missing": (
        STEPS + "  - finetune\n  - distill: {student: {layers: {by: even}}}\n",
        "6:25",
        ("'student.layers.count' is missing", "How many layers stay"),
    ),
    "student of which nothing is cut": (
        STEPS + "  - finetune\n  - distill: {student: {}}\n",
        "6:24",
        ("nothing is cut: give layers, hidden or embeddings",),
    ),
    "layers by luck": (
        STEPS + "  - finetune\n  - distill: {student: {layers: {count: 2, by: luck}}}\n",
        "6:48",
        ("'even' or 'influence'",),
    ),
    "width of a student": (
        STEPS + "  - finetune\n  - distill: {student: {hidden: 1.5}}\n",
        "6:33",
        ("student.hidden: got 1.5", "a number less than 1"),
    ),
    "options that do nothing": (
        STEPS + "  - finetune\n  - prune.structured\n",
        "6:5",
        ("nothing is removed", "give at least one"),
    ),
    "from a later step": (
        STEPS + "  - finetune: {}\n    from: distill\n  - distill: {student: {layers: 1}}\n",
        "6:11",
        ("no earlier step 'distill'", "stands before it"),
    ),
    "from a list": (
        STEPS + "  - finetune: {}\n    from: [finetune]\n",
        "6:11",
        ("no earlier step",),
    ),
    "reference unknown": (
        HEAD + "reference: techer\nstages:\n  - finetune: {}\n    name: teacher\n",
        "4:12",
        ("no step 'techer'", "did you mean 'teacher'?"),
    ),
    "reference is a list": (
        HEAD + "reference: [teacher]\nstages:\n  - finetune\n",
        "4:12",
        ("there is no step",),
    ),
    "teacher misspelt": (
        STEPS + "  - finetune: {}\n    name: teacher\n  - distill: {teacher: techer}\n",
        "7:24",
        ("no earlier step 'techer'", "did you mean 'teacher'?"),
    ),
    "bitsandbytes after onnx": (
        STEPS + "  - finetune\n  - quantize.onnx\n  - quantize.bitsandbytes\n",
        "7:5",
        ("takes pytorch models", "from: finetune"),
    ),
    "free shape into bitsandbytes": (
        STEPS + "  - finetune\n  - prune.structured: {heads: 0.5}\n  - quantize.bitsandbytes\n",
        "7:5",
        ("'prune.structured' is of free shape", "from: finetune"),
    ),
    "fresh model into a stage that cuts": (
        HEAD.replace("owner/encoder", "{type: bert}") + "stages:\n  - quantize.onnx\n",
        "5:5",
        ("the recipe's model is a fresh one", "put a stage that makes a model before it"),
    ),
    "fresh model into finetune without a tokenizer": (
        HEAD.replace("owner/encoder", "{type: bert}") + FINETUNE,
        "5:5",
        (
            "'finetune' of a fresh model needs processor_of or vocabulary",
            "Step, folder or hub id whose tokenizer",
        ),
    ),
    "unknown type of a student": (
        STEPS + "  - finetune\n  - distill: {student: {type: brt}, losses: [logits]}\n",
        "6:31",
        ("type: there is no model type 'brt'", "did you mean"),
    ),
    "unknown key of a student": (
        STEPS + "  - finetune\n  - distill: {student: {type: bert, hiden_size: 8}}\n",
        "6:37",
        ("a bert model has no 'hiden_size'", "did you mean 'hidden_size'"),
    ),
    "unknown option of a student that is cut": (
        STEPS + "  - finetune\n  - distill: {student: {layers: two}}\n",
        "6:33",
        ("student.layers: got 'two': expected a whole number or a list",),
    ),
    "fresh model without a type": (
        HEAD.replace("owner/encoder", "{hidden_size: 8}") + FINETUNE,
        "2:8",
        ("needs its type",),
    ),
    "no model": (
        HEAD.replace("model: owner/encoder\n", "") + FINETUNE,
        "1:1",
        ("has no model", "a hub id"),
    ),
    "stage for another task": (
        STEPS + "  - pretrain\n",
        "5:5",
        ("'pretrain' learns from text alone", "has the column label", "fill-mask"),
    ),
    "two stages in one step": (
        STEPS + "  - finetune: {}\n    distill: {}\n",
        "6:5",
        ("'distill' beside 'finetune'",),
    ),
    "step without a stage": (
        STEPS + "  - name: teacher\n",
        "5:5",
        ("names no stage", "finetune: {epochs: 3}"),
    ),
    "options that are a number": (STEPS + "  - finetune: 3\n", "5:15", ("must be a mapping",)),
    "no stages": (HEAD, "1:1", ("at least one stage",)),
    "python object": (
        STEPS + "  - finetune: {epochs: !!python/name:os.sep ''}\n",
        "5:24",
        ("python/name:os.sep is not allowed", "plain data"),
    ),
    "two steps of one name": (
        STEPS + "  - finetune\n  - finetune\n",
        "6:5",
        ("two steps are named 'finetune'", "give one of them a name:"),
    ),
    "step named as the input is": (
        STEPS + "  - finetune: {}\n    name: model\n",
        "6:11",
        ("cannot be named 'model'",),
    ),
    "step named as budgets call the reference": (
        STEPS + "  - finetune: {}\n    name: B1\n",
        "6:11",
        ("cannot be named 'B1'", "B0 and B1 are the reference"),
    ),
    "step without a name": (
        STEPS + "  - finetune: {}\n    name: ''\n",
        "6:11",
        ("cannot be named ''",),
    ),
    "negative seed": (HEAD + "seed: -1\nstages:\n  - finetune\n", "4:7", ("got -1", "from 0")),
    "unknown task": (
        HEAD.replace("text-c", "txt-c") + FINETUNE,
        "1:7",
        ("'txt-classification'", "did you mean 'text-classification'?"),
    ),
    "task left out": (
        HEAD.replace(" text-classification", "") + FINETUNE,
        "1:1",
        ("a task is a name",),
    ),
    "unknown option of the task": (
        HEAD.replace("text-classification", "{text-classification: {max_len: 9}}") + FINETUNE,
        "1:30",
        ("'max_len'", "did you mean 'max_length'?"),
    ),
    "no test data": (
        HEAD.replace(", test: test.csv", "") + FINETUNE,
        "5:5",
        ("needs test data", "add them under data:"),
    ),
    "unknown option of the source": (
        HEAD.replace("test:", "tests:") + FINETUNE,
        "3:26",
        ("'tests'", "did you mean 'test'?"),
    ),
    "unknown source": (
        HEAD.replace("{train", "{source: cvs, train") + FINETUNE,
        "3:16",
        ("no source 'cvs'", "did you mean 'csv'?"),
    ),
    "share above 1": (
        HEAD.replace("test:", "validation: 1.5, test:") + FINETUNE,
        "3:38",
        ("expected a file or a share between 0 and 1",),
    ),
    "number of 6,000 digits": (
        STEPS + f"  - finetune: {{epochs: {'9' * 6000}}}\n",
        "5:24",
        (f"'{'9' * 57}...' is no int",),
    ),
    "number of more bits than any needs": (
        STEPS + f"  - finetune: {{batch_size: 0x{'f' * 6000}}}\n",
        "5:28",
        ("is a number of more than 64 bits",),
    ),
    "tag that its value does not fit": (
        STEPS + "  - finetune: {epochs: !!bool maybe}\n",
        "5:24",
        ("'maybe' is no bool",),
    ),
    "encoding for names of hosts": (
        HEAD.replace("test:", "encoding: punycode, test:") + FINETUNE,
        "3:36",
        ("expected a text encoding that Python knows, not 'punycode'",),
    ),
    "file of 300 letters": (
        HEAD.replace("train.csv", "t" * 300).replace("{train", "{source: csv, train") + FINETUNE,
        "3:28",
        ("'" + "t" * 40 + "...' (300 characters) is longer than a path can be",),
    ),
    "file that is a loop of links": (
        HEAD.replace("train.csv", "loop").replace("{train", "{source: csv, train") + FINETUNE,
        "3:28",
        ("'loop' leads through links that lead to each other",),
    ),
    "model that is a loop of links": (
        HEAD.replace("owner/encoder", "./loop") + FINETUNE,
        "2:8",
        ("'./loop' leads through links that lead to each other",),
    ),
    "columns that several splits lack": (
        HEAD.replace("test:", "columns: {text: sentence}, test:") + FINETUNE,
        "3:42",
        (
            "the splits train, test have no column 'sentence' for the task's 'text'",
            "there are text, label: map it",
        ),
    ),
    "column that one split lacks": (
        HEAD.replace("test:", "columns: {test: {text: body}}, test:") + FINETUNE,
        "3:49",
        ("the test split has no column 'body'", "there are text, label"),
    ),
    "columns of a split that there is not": (
        HEAD.replace("test:", "columns: {tset: {text: body}}, test:") + FINETUNE,
        "3:35",
        ("'tset' is not a split", "did you mean 'test'?"),
    ),
    "rows of none": (
        HEAD.replace("test:", "rows: {train: 0}, test:") + FINETUNE,
        "3:32",
        ("rows: got {'train': 0}", "expected at least one row"),
    ),
    "share of nothing": (
        HEAD.replace("train: train.csv", "validation: 0.1") + FINETUNE,
        "3:7",
        ("no train file is named",),
    ),
    "column that the task has not": (
        HEAD.replace("{train", "{columns: {lable: x}, train") + FINETUNE,
        "3:18",
        ("has no column 'lable'", "did you mean 'label'?"),
    ),
    "teacher that stands later": (
        STEPS + "  - finetune\n  - distill: {teacher: big}\n  - finetune: {}\n    name: big\n",
        "6:24",
        ("no earlier step 'big'", "it stands after this step"),
    ),
    "quote that is open": (
        HEAD.replace("owner/encoder", "'owner") + FINETUNE,
        "2:8",
        ("' is opened and never closed",),
    ),
    "bracket that is open above": (
        HEAD.replace("test.csv}", "test.csv") + FINETUNE,
        "4:7",
        ("is not YAML", "{ is open since 3:7"),
    ),
    "merge key": (
        STEPS + "  - finetune: {<<: {epochs: 1}}\n",
        "5:16",
        ("<< merges", "write the keys out"),
    ),
    "escape": (HEAD + "\x1b[2J" + FINETUNE, "4:1", ("U+001B",)),
    "nothing but a comment": ("# later\n", "1:1", ("the recipe is empty",)),
    "deep flow": ("task: " + "[" * 5000, "1:106", ("more than 100 levels deep",)),
    "deep blocks": (
        "".join(" " * i + "-\n" for i in range(900)),
        "101:101",
        ("more than 100 levels deep",),
    ),
    "path with NUL": (
        HEAD.replace("train.csv", '"train\\0.csv"') + FINETUNE,
        "3:15",
        ("no file's name can hold",),
    ),
    "model with NUL": (
        HEAD.replace("owner/encoder", '"./a\\0"') + FINETUNE,
        "2:8",
        ("no file's name can hold",),
    ),
    "half a character": (
        HEAD.replace("train.csv", '"a\\ud800.csv"') + FINETUNE,
        "3:15",
        ("half of a character",),
    ),
    "nobody's folder": (
        HEAD.replace("owner", "~nosuchuser") + FINETUNE,
        "2:8",
        ("there is no such user",),
    ),
    "nobody's file": (
        HEAD.replace("train.csv", "~nosuchuser/x.csv") + FINETUNE,
        "3:15",
        ("there is no such user",),
    ),
    "endless model": (
        HEAD.replace("encoder", "a" * 5000) + FINETUNE,
        "2:8",
        ("5006 characters", "longer than"),
    ),
    "endless path": (
        HEAD.replace("train.csv", "a" * 5000 + ".csv") + FINETUNE,
        "3:15",
        ("longer than a path can be",),
    ),
    "name with an escape": (
        STEPS + '  - finetune: {}\n    name: "a\\e[2J"\n',
        "6:11",
        ("cannot be named 'a\\x1b[2J'", "must be visible"),
    ),
    "name of two lines": (
        STEPS + '  - finetune: {}\n    name: "a\\nb"\n',
        "6:11",
        ("cannot be named 'a\\nb'",),
    ),
    "from nothing": (STEPS + "  - finetune: {}\n    from:\n", "6:5", ("from: names no step",)),
    "reference to nothing": (
        HEAD + "reference:\n" + FINETUNE,
        "4:1",
        ("reference: names no step", "leave it out"),
    ),
    "a step has one stage": (
        STEPS + "  - finetune: {}\n    pretrain: {}\n",
        "6:5",
        ("a step has one stage",),
    ),
    "patience": (
        STEPS + "  - finetune: {patience: 2}\n",
        "5:16",
        ("patience needs validation data", "add validation:"),
    ),
    "patience of distill": (
        STEPS + "  - finetune\n  - distill: {student: {layers: 1}, patience: 1}\n",
        "6:37",
        ("patience needs validation data",),
    ),
    "patience of a recovery": (
        STEPS
        + "  - finetune\n  - prune.structured:\n"
        + "      feed_forward: 0.5\n      recover: {patience: 1}\n",
        "8:17",
        ("recover.patience needs validation data",),
    ),
    "reference for another task": (
        FRESH.replace("stages:", "reference: pretrain\nstages:"),
        "4:12",
        ("'pretrain' serves fill-mask", "the recipe is for text-classification", "finetune"),
    ),
    "fresh model without layers": (
        FRESH.replace("layers: 2", "layers: 0"),
        "2:40",
        ("got 0", "one layer at least"),
    ),
    "pruning a family that no architecture describes": (
        FRESH.replace("type: bert", "type: albert") + "  - prune.structured: {feed_forward: 0.5}\n",
        "8:5",
        ("nothing can be cut from albert models", "install a plugin", "bert"),
    ),
    "student of a family that no architecture describes": (
        FRESH.replace("type: bert", "type: albert") + "  - distill: {student: {layers: 1}}\n",
        "8:5",
        ("nothing can be cut from albert models", "install a plugin", "bert"),
    ),
    "student of more layers": (
        FRESH + "  - distill: {student: {layers: 99}}\n",
        "8:33",
        ("student.layers: 99 does not fit a model of 2 layers",),
    ),
    "student that is wider": (
        FRESH + "  - distill: {student: {hidden: 5000}}\n",
        "8:33",
        ("student.hidden: 5000 is not less than the input's hidden width",),
    ),
    "student with embeddings of a higher rank": (
        FRESH + "  - distill: {student: {embeddings: 99999}}\n",
        "8:37",
        ("student.embeddings: rank 99999 makes embeddings", "take at most"),
    ),
    "layers to compare that are not there": (
        FRESH + "  - distill: {student: {layers: 1}, losses: [hidden: {layers: {1: 0}}]}\n",
        "8:63",
        ("the student has no layer 1", "its layers are 0 to 0"),
    ),
    "student of all layers": (
        FRESH + "  - distill: {student: {layers: 2}}\n",
        "8:33",
        ("2 cuts nothing from a model of 2 layers", "take fewer"),
    ),
    "layer that is not there": (
        FRESH + "  - prune.structured: {layers: [0, 7]}\n",
        "8:32",
        ("[0, 7] does not fit a model of 2 layers, numbered from 0 to 1",),
    ),
    "all layers": (
        FRESH + "  - prune.structured: {layers: [0, 1]}\n",
        "8:32",
        ("removes nothing", "keep fewer"),
    ),
    "layers of a cut model": (
        FRESH
        + "  - distill: {student: {layers: 1}}\n  - prune.structured: {layers: 2, heads: 0.5}\n",
        "9:32",
        ("2 does not fit a model of 1 layer",),
    ),
    "layers that a family has by default": (
        FRESH.replace(", num_hidden_layers: 2", "") + "  - prune.structured: {layers: 12}\n",
        "8:32",
        ("removes nothing from a model of 12 layers",),
    ),
    "stack that is not there": (
        STACKS + "  - distill: {student: {layers: {encoder: 1, decodr: 1}}}\n",
        "8:46",
        ("the model has no stack 'decodr': it has encoder, decoder", "did you mean 'decoder'?"),
    ),
    "stack to prune that is not there": (
        STACKS + "  - prune.structured: {layers: {encodr: 1}}\n",
        "8:33",
        ("layers: the model has no stack 'encodr'", "did you mean 'encoder'?"),
    ),
    "layers of which stack": (
        STACKS + "  - distill: {student: {layers: 1}}\n",
        "8:33",
        ("1 does not say whose layers", "give {encoder: 1, decoder: 1}"),
    ),
    "layers that a stack does not have": (
        STACKS + "  - distill: {student: {layers: {decoder: [1, 3]}}}\n",
        "8:43",
        ("student.layers.decoder: [1, 3] does not fit a model of 3 layers, numbered from 0 to 2",),
    ),
    "all layers of all stacks": (
        STACKS + "  - prune.structured: {layers: {encoder: 2, decoder: 3}}\n",
        "8:32",
        ("removes nothing from a model of encoder: 2 layers, decoder: 3 layers",),
    ),
    "layers of a cut stack": (
        STACKS + "  - distill: {student: {layers: {decoder: 1}}}\n"
        "  - prune.structured: {layers: {decoder: 2}, heads: 0.5}\n",
        "9:42",
        ("layers.decoder: 2 does not fit a model of 1 layer",),
    ),
    "stacks of a model that has one": (
        FRESH + "  - distill: {student: {layers: {encoder: 1}}}\n",
        "8:33",
        ("a model of 2 layers has one stack of them", "give a number or a list"),
    ),
    "model folder that is not there": (
        HEAD.replace("owner/encoder", "./encoder") + FINETUNE,
        "2:8",
        ("no model folder './encoder'", "looked in"),
    ),
}


@pytest.mark.parametrize("kind", FIRST)
def test_command_tells_a_mistake_with_its_place_and_a_remedy(
    kind: str, command: Command, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    text, place, words = FIRST[kind]
    recipe = write_recipe(text)
    assert_mistakes(command("plan", recipe), recipe, [(place, words)])


@pytest.mark.parametrize("kind", MORE)
def test_plan_tells_a_mistake_with_its_place_and_a_remedy(
    kind: str,
    registry: Registry,
    families: Families,
    csv_data: Path,
    write_recipe: Callable[..., Path],
) -> None:
    text, place, words = MORE[kind]
    recipe = write_recipe(text)
    (csv_data / "loop").symlink_to(csv_data / "loop")
    with pytest.raises(UsageError) as caught:
        make_plan(read_recipe(recipe), registry, families)
    (mistake,) = caught.value.mistakes
    assert mistake.where == f"{recipe}:{place}"
    for word in words:
        assert word in str(mistake)


def mistakes_of(recipe: Path, registry: Registry, families: Families) -> list[str]:
    """The mistakes of a plan, without the recipe's path."""
    with pytest.raises(UsageError) as caught:
        make_plan(read_recipe(recipe), registry, families)
    return [str(mistake).removeprefix(f"{recipe}:") for mistake in caught.value.mistakes]


def test_many_steps_of_one_name_are_told_and_end_no_plan_in_a_loop(
    csv_data: Path, registry: Registry, families: Families, write_recipe: Callable[..., Path]
) -> None:
    """A step then stands after one of its own name."""
    told = mistakes_of(write_recipe(STEPS + "  - finetune\n" * 4), registry, families)
    assert [mistake.partition(": ")[0] for mistake in told] == ["6:5", "7:5", "8:5"]
    assert all("two steps are named 'finetune'" in mistake for mistake in told)


def test_each_place_of_a_misspelt_name_is_told_with_the_step_that_is_meant(
    registry: Registry, families: Families, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(
        STEPS
        + "  - finetune: {epoch: 3}\n    name: teacher\n"
        + "  - quantize.onnx: {}\n    from: techer\n"
        + "  - quantize.onnx: {}\n    name: again\n    from: techer\n"
    )
    first, *others = mistakes_of(recipe, registry, families)
    assert first.startswith("5:16: unknown option 'epoch'")
    assert others == [
        f"{line}:11: from: there is no earlier step 'techer' (did you mean 'teacher'?)"
        for line in (8, 11)
    ]


def test_names_of_several_lines_are_listed_in_one(
    registry: Registry, families: Families, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    step = '  - "a\\nb"\n  - finetune: {}\n    from: zzz\n'
    (csv_data / "test.csv").write_text('text,"la\nbel"\na,good\n', encoding="utf-8")
    for mistake in mistakes_of(write_recipe(STEPS + step), registry, families):
        assert len(mistake.splitlines()) == 1 and r"\n" in mistake


def test_a_file_that_is_not_there_is_not_taken_for_a_recipe(
    registry: Registry, families: Families, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(HEAD.replace("train.csv", "zzz.csv") + FINETUNE)
    (mistake,) = mistakes_of(recipe, registry, families)
    assert mistake == "3:15: train: there is no file 'zzz.csv' (known: test.csv, train.csv)"


@pytest.mark.parametrize("word", ["r" * 300, "loop.yaml", "r" * 300 + ".yaml"])
def test_a_recipe_that_cannot_be_reached_is_one_line(
    word: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    answer = command("plan", word)
    assert answer.code == 2 and len(answer.err.splitlines()) == 1, answer.err
    assert answer.err.startswith(f"error: {word[:40]}")


def test_a_recipe_that_never_ends_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="/dev/zero: holds more than 1,048,576 bytes"):
        read_recipe(Path("/dev/zero"))


def test_layers_of_a_model_folder_are_those_of_its_config(
    registry: Registry,
    families: Families,
    csv_data: Path,
    fake_model: Callable[..., Path],
    write_recipe: Callable[..., Path],
) -> None:
    fake_model(model_type="distilbert", n_layers=3)
    steps = "  - distill: {student: {layers: %s}}\n"

    def plan(steps: str) -> None:
        make_plan(
            read_recipe(write_recipe(STEPS.replace("owner/encoder", "./model") + steps)),
            registry,
            families,
        )

    for more in ("", "  - finetune\n"):
        with pytest.raises(UsageError, match="3 cuts nothing from a model of 3 layers"):
            plan(more + steps % 3)
        plan(more + steps % 2)
        plan(more + "  - prune.structured: {layers: 3, feed_forward: 0.5}\n")


def test_layers_are_not_judged_where_their_number_is_not_known(
    registry: Registry,
    families: Families,
    csv_data: Path,
    write_recipe: Callable[..., Path],
) -> None:
    text = STEPS + "  - finetune\n  - distill: {student: {layers: 99}}\n"
    make_plan(read_recipe(write_recipe(text)), registry, families)


def test_a_model_folder_of_a_family_without_an_architecture_is_not_cut(
    registry: Registry,
    families: Families,
    csv_data: Path,
    fake_model: Callable[..., Path],
    write_recipe: Callable[..., Path],
) -> None:
    fake_model(model_type="unheard-of")
    text = STEPS.replace("owner/encoder", "./model") + "  - finetune\n"
    make_plan(
        read_recipe(write_recipe(text + "  - distill: {teacher: ./model}\n")), registry, families
    )
    cut = write_recipe(text + "  - distill: {student: {layers: 1}}\n")
    with pytest.raises(UsageError, match="recipe.yaml:6:5: nothing can be cut from unheard-of"):
        make_plan(read_recipe(cut), registry, families)


def test_patience_is_right_with_validation_data(
    registry: Registry, families: Families, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    for given in ("0.2", "test.csv"):
        text = (
            HEAD.replace("test:", f"validation: {given}, test:")
            + "stages:\n  - finetune: {patience: 2}\n"
        )
        make_plan(read_recipe(write_recipe(text)), registry, families)


def test_a_recipe_that_is_not_utf8_is_told_with_the_place_of_the_byte(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes("task: ä\nmodel: ä".encode() + b"\xff")
    with pytest.raises(UsageError, match=r"recipe.yaml:2:9: is not UTF-8 text"):
        read_recipe(tmp_path / "recipe.yaml")


def test_a_file_without_the_byte_order_mark_that_its_encoding_needs_is_one_line(
    registry: Registry, families: Families, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(
            read_recipe(write_recipe(HEAD.replace("test:", "encoding: utf-16, test:") + FINETUNE)),
            registry,
            families,
        )
    assert (
        str(caught.value)
        .splitlines()[0]
        .startswith(f"{csv_data / 'train.csv'}:1: the file has no byte order mark")
    )


@pytest.mark.parametrize(
    ("teacher", "from_hub"), [("./teacher", False), ("teachers", False), ("acme/teacher", True)]
)
def test_a_teacher_from_outside_may_be_named_as_a_step_nearly_is(
    teacher: str,
    from_hub: bool,
    registry: Registry,
    families: Families,
    csv_data: Path,
    write_recipe: Callable[..., Path],
    fake_model: Callable[..., Path],
) -> None:
    if not from_hub:
        fake_model(Path(teacher).name)
    text = (
        STEPS
        + "  - finetune: {}\n    name: teacher\n"
        + f"  - distill: {{teacher: {teacher}, student: {{layers: 1}}}}\n"
    )
    plan = make_plan(read_recipe(write_recipe(text)), registry, families)
    assert [(i.name, i.from_hub) for i in plan.inputs] == [("model", True), (teacher, from_hub)]


def test_all_mistakes_are_told_in_one_pass_in_the_order_of_the_file(
    command: Command, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(STEPS + "  - finetune: {epochs: -1, warmup: 2}\n  - distil\nsede: 4\n")
    assert_mistakes(
        command("plan", recipe),
        recipe,
        [
            ("5:24", ["epochs: got -1"]),
            ("5:36", ["warmup: got 2"]),
            ("6:5", ["did you mean 'distill'?"]),
            ("7:1", ["did you mean 'seed'?"]),
        ],
    )


def test_csv_without_the_tasks_columns_is_refused_before_it_is_read(
    command: Command, tmp_path: Path, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    (tmp_path / "train.csv").write_text("sentence,category\ngood day,good\n", encoding="utf-8")
    recipe = write_recipe(STEPS + "  - finetune\n")
    answer = command("plan", recipe)
    assert_mistakes(
        answer, recipe, [("3:15", ["no column 'text'"]), ("3:15", ["no column 'label'"])]
    )


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"config.json": {"auto_map": {"AutoModel": "mine.Model"}}, "model.safetensors": {}},
            "runs code from the model folder",
        ),
        (
            {"config.json": {"model_type": "bert"}, "pytorch_model.bin": {}},
            "pytorch_model.bin is a pickle",
        ),
        ({"config.json": {"model_type": "bert"}}, "has no safetensors weights"),
        ({"notes.json": {}}, "it has no config.json"),
    ],
    ids=["auto_map", "pickle only", "no weights", "no config"],
)
def test_model_folder_that_would_not_open_is_refused_by_the_plan(
    files: dict[str, object],
    words: str,
    registry: Registry,
    families: Families,
    tmp_path: Path,
    csv_data: Path,
    write_recipe: Callable[..., Path],
) -> None:
    (tmp_path / "encoder").mkdir()
    for name, content in files.items():
        (tmp_path / "encoder" / name).write_text(json.dumps(content), encoding="utf-8")
    recipe = write_recipe(HEAD.replace("owner/encoder", "./encoder") + FINETUNE)
    with pytest.raises(UsageError) as caught:
        make_plan(read_recipe(recipe), registry, families)
    (mistake,) = caught.value.mistakes
    assert mistake.where == f"{recipe}:2:8" and words in mistake.message


def test_config_that_is_no_json_is_told(
    registry: Registry,
    families: Families,
    tmp_path: Path,
    csv_data: Path,
    write_recipe: Callable[..., Path],
) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text("{", encoding="utf-8")
    recipe = write_recipe(HEAD.replace("owner/encoder", "./encoder") + FINETUNE)
    with pytest.raises(UsageError, match="config.json cannot be read"):
        make_plan(read_recipe(recipe), registry, families)


def test_anchors_that_multiply_are_refused_without_being_expanded(
    write_recipe: Callable[..., Path],
) -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 30)]
    with pytest.raises(UsageError, match=r"\*l0 repeats a value"):
        read_recipe(write_recipe("\n".join(lines)))


def test_word_that_starts_as_an_alias_is_reported_as_yaml_does(
    write_recipe: Callable[..., Path],
) -> None:
    path = write_recipe(STEPS + "  - finetune: {epochs: *three}\n")
    with pytest.raises(UsageError) as caught:
        read_recipe(path)
    (mistake,) = caught.value.mistakes
    assert mistake.where == f"{path}:5:24"
    assert "undefined alias 'three'" in mistake.message


def test_run_refuses_what_plan_refuses_before_it_makes_anything(
    command: Command, tmp_path: Path, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(STEPS + "  - finetun\n")
    assert_mistakes(
        command("run", recipe, "--runs", "runs", "--store", "untouched"),
        recipe,
        [("5:5", ["did you mean 'finetune'?"])],
    )
    assert not (tmp_path / "runs").exists() and not (tmp_path / "untouched").exists()


def test_a_wrong_recipe_is_answered_within_a_second(
    command: Command, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    recipe = write_recipe(STEPS + "  - finetun\n")
    answers = [command("plan", recipe) for _ in range(2)]
    assert {answer.code for answer in answers} == {2}
    # On a machine that is busy with something else the clock is no measure, and CPU time is.
    assert min(min(answer.seconds, answer.cpu) for answer in answers) < 1.0


def test_recipe_that_is_not_there_is_told_with_the_shipped_ones_near(command: Command) -> None:
    answer = command("plan", "quikstart")
    assert answer.code == 2 and answer.heavy == ""
    assert (
        answer.err
        == "error: quikstart: there is no such recipe file (did you mean 'quickstart'?)\n"
    )
