"""The distribution as a whole: light to import, in agreement with optimum, leaving nothing
behind."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import compress_tasks
import pytest
from optimum.exporters.tasks import TasksManager

from compress.errors import UsageError
from compress.heads import has_head
from compress.task import Task

TASKS = compress_tasks.compress_tasks()
# Models that transformers lists for masked language modelling though their head is made for
# something else as well.
OTHER_HEADS = {
    "BartForConditionalGeneration",
    "MBartForConditionalGeneration",
    "MvpForConditionalGeneration",
    "FlaubertWithLMHeadModel",
    "XLMWithLMHeadModel",
}


def test_names_and_synonyms_are_distinct() -> None:
    names = [name for task in TASKS for name in (task.name, *task.synonyms)]
    assert sorted(names) == [
        "bert-pretraining",
        "fill-mask",
        "masked-lm",
        "mlm",
        "ner",
        "next-sentence",
        "nsp",
        "qa",
        "question-answering",
        "sentiment-analysis",
        "text-classification",
        "token-classification",
    ]


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    code = (
        "import sys, compress_tasks; compress_tasks.compress_tasks(); "
        "print(sorted({'torch', 'transformers', 'sklearn', 'scipy', 'evaluate', 'seqeval', "
        "'datasets', 'pandas'} "
        "& set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize("task", [t for t in TASKS if t.kind], ids=lambda t: t.name)
def test_optimum_resolves_the_task_to_classes_with_its_head(task: type[Task]) -> None:
    auto = TasksManager.get_model_class_for_task(task.kind)
    assert auto.__name__ == task.model_class({})
    mapped = auto._model_mapping._model_mapping.values()
    classes = {
        name for names in mapped for name in ([names] if isinstance(names, str) else names)
    } - OTHER_HEADS
    assert len(classes) > 40
    assert [
        name for name in classes if not has_head({"architectures": [name]}, auto.__name__)
    ] == []


@pytest.mark.parametrize("synonym", ["masked-lm"])
def test_synonyms_that_optimum_knows_mean_the_same_task(synonym: str) -> None:
    owner = next(task for task in TASKS if synonym in task.synonyms)
    assert TasksManager.map_from_synonym(synonym) == owner.kind


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_every_option_is_described_and_texts_must_not_be_empty(task: type[Task]) -> None:
    assert all(field.description for field in task.Options.model_fields.values())
    asked = ["good", "  "] if len(task.columns) < 2 else []
    if task.name in ("question-answering", "next-sentence"):
        asked = [("good", "good"), ("good", "  ")]
    with pytest.raises(UsageError, match="text 2: (it|context|text_pair) is empty"):
        task(task.Options()).request(asked or ["good", "  "])


def test_scoring_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    task = compress_tasks.TextClassification(compress_tasks.TextClassification.Options())
    assert task.score([{"label": 0}], [{"label": 0}], ["a", "b"], None).metrics["accuracy"] == 1.0
    assert [p.name for p in tmp_path.rglob("*")] == ["tmp"]


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_scoring_nothing_is_a_usage_error(task: type[Task]) -> None:
    with pytest.raises(UsageError, match="there are no examples to score"):
        task(task.Options()).score([], [], ["O", "B-X"], None)


def test_the_distribution_declares_what_it_imports() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["compress"] == {"tasks": "compress_tasks"}
    needs = {line.split(">")[0] for line in project["dependencies"]}
    assert needs >= {
        "compress-toolkit",
        "evaluate",
        "seqeval",
        "scikit-learn",
        "scipy",
        "datasets",
        "numpy",
        "pydantic",
    }
