"""Strangers' plugins: a copied folder of plugins/ with names of its own, and one whose models are
no networks at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command
from installing import first_on_path, install

ROOT = Path(__file__).parent.parent
NAMES = {
    "compress_prune": "acme_shrink",
    "compress-prune": "acme-shrink",
    "prune.structured": "shrink.acme",
    "prune.vocabulary": "shrink.words",
    "prune.unstructured": "shrink.zeros",
    "prune.layers": "shrink.layers",
    "prune.embeddings": "shrink.embeddings",
    "prune.zeros": "acme.zeros",
    "prune.targets": "acme.targets",
    '\nprune = "': '\nacme = "',
}
RECIPE = """\
task: {text-classification: {max_length: 16}}
model: ./model
data: {train: train.csv, test: test.csv}
stages:
  - shrink.acme: {feed_forward: 0.5, importance_examples: 4}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the stranger's distribution into."""
    folder = tmp_path_factory.mktemp("acme")
    shutil.copytree(
        ROOT / "plugins" / "compress-prune",
        folder / "acme-shrink",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (folder / "acme-shrink" / "compress_prune").rename(folder / "acme-shrink" / "acme_shrink")
    files = [
        path
        for path in (folder / "acme-shrink").rglob("*")
        if path.suffix in (".py", ".toml", ".md")
    ]
    assert len(files) > 5
    for path in files:
        text = path.read_text(encoding="utf-8")
        for old, new in NAMES.items():
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    words = [
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--disable-pip-version-check",
        "--target",
        str(folder / "site"),
        str(folder / "acme-shrink"),
    ]
    answer = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return folder / "site"


@pytest.fixture
def with_plugin(installed: Path) -> dict[str, str]:
    """The environment of somebody who installed it."""
    return {"PYTHONPATH": first_on_path(installed)}


def test_pip_installs_the_package_alone(installed: Path) -> None:
    assert sorted(path.name for path in installed.iterdir()) == [
        "acme_shrink",
        "acme_shrink-0.1.0.dist-info",
    ]


def test_its_stage_is_listed_beside_the_others_and_gone_without_it(
    command: Command, with_plugin: dict[str, str]
) -> None:
    answer = command("stages", "--json", environ=with_plugin)
    assert answer.err == "" and answer.heavy == ""
    origins = {stage["name"]: stage["plugin"] for stage in answer.value}
    assert origins["shrink.acme"] == "acme-shrink 0.1.0"
    assert origins["prune.structured"].startswith("compress-toolkit ")
    assert "shrink.acme" not in command("stages", "--json").out
    assert (
        "shrink.acme"
        not in command(
            "stages", "--json", environ={**with_plugin, "COMPRESS_DISABLE_PLUGINS": "acme"}
        ).out
    )


def test_recipe_that_uses_its_stage_is_planned_with_its_options_checked(
    command: Command,
    with_plugin: dict[str, str],
    csv_data: Path,
    write_recipe: Callable[..., Path],
    fake_model: Callable[..., Path],
) -> None:
    fake_model()
    recipe = write_recipe(RECIPE)
    answer = command("plan", recipe, "--json", environ=with_plugin)
    assert answer.code == 0, answer.err
    (step,) = answer.value["steps"]
    assert (step["stage"], step["plugin"], step["options"]["feed_forward"]) == (
        "shrink.acme",
        "acme-shrink 0.1.0",
        0.5,
    )
    wrong = command(
        "plan", recipe, "--set", "stages.shrink.acme.feed_forwrad=0.5", environ=with_plugin
    )
    assert wrong.code == 2 and "did you mean 'feed_forward'?" in wrong.err
    missing = command("plan", recipe)
    assert missing.code == 2 and f"{recipe}:5:5: there is no stage 'shrink.acme'" in missing.err


@pytest.fixture
def with_counting(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who installed the counting plugin."""
    # Without the toolkit's meters, so that the stranger's alone measures.
    return install(tmp_path / "site", "compress-counting", without="meters")


def test_strangers_stage_engine_and_meter_work_in_a_run_like_any_other(
    command: Command,
    with_counting: dict[str, str],
    tmp_path: Path,
    write_recipe: Callable[..., Path],
) -> None:
    (tmp_path / "rows.csv").write_text(
        "text,label\na,bad\nb,good\nc,good\nd,good\n", encoding="utf-8"
    )
    recipe = write_recipe(
        "task: text-classification\nmodel: {type: counts}\ndata: {train: rows.csv, test: "
        "rows.csv}\n"
        "stages:\n  - count.labels\n"
    )
    answer = command("run", recipe, "--json", environ=with_counting)
    assert answer.code == 0, answer.err
    (step,) = answer.value["steps"]
    assert {name: m["value"] for name, m in step["measurements"].items()} == {"right": 3}
    folder = tmp_path / answer.value["folder"] / "steps" / "01-count.labels"
    assert command("verify", folder).code == 0
    served = command("predict", folder, "anything", "--json", environ=with_counting)
    assert served.value[0]["label"] == "good" and served.heavy == ""
    again = command("run", recipe, environ=with_counting)
    assert again.code == 0 and "reused" in again.err


def save_weights(folder: Path) -> None:
    """Give a fake model's folder the weights of a real BERT of one layer."""
    from transformers import BertConfig, BertForSequenceClassification

    labels = {0: "bad", 1: "good"}
    config = BertConfig(
        vocab_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        id2label=labels,
        label2id={name: i for i, name in labels.items()},
    )
    BertForSequenceClassification(config).save_pretrained(folder)


@pytest.mark.slow
def test_recipe_that_uses_its_stage_runs_to_a_measured_artifact(
    command: Command,
    with_plugin: dict[str, str],
    tmp_path: Path,
    csv_data: Path,
    write_recipe: Callable[..., Path],
    fake_model: Callable[..., Path],
) -> None:
    save_weights(fake_model())
    # Without the engine that the reference would be converted for: this is about the stage.
    answer = command(
        "run",
        write_recipe(RECIPE),
        "--json",
        environ={**with_plugin, "COMPRESS_DISABLE_PLUGINS": "onnx"},
    )
    assert answer.code == 0, answer.err
    assert answer.heavy == ""
    report = answer.value
    made = next(step for step in report["steps"] if step["name"] == "shrink.acme")
    assert made["measurements"]["quality"]["value"] is not None
    folder = tmp_path / report["folder"] / "steps" / "01-shrink.acme"
    manifest = json.loads((folder / "compress.json").read_text(encoding="utf-8"))
    assert manifest["stage"] == "shrink.acme" and manifest["versions"]["acme-shrink"] == "0.1.0"
    assert (
        json.loads((folder / "config.json").read_text(encoding="utf-8"))["intermediate_size"] == 8
    )
