"""Model cards: which artifacts have one, front matter that any YAML reader takes, and code that
loads what it says."""

from __future__ import annotations

import ast
import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE, poisoned
from reports import as_report, held_report, rich_report, step_named
from ruamel.yaml import YAML
from tiny import TAGS, make_artifact, save_bert, sentences, tagged, task_named

from compress.artifact import Traits
from compress.engine import Engine, Loading
from compress.measurement import Measurement
from compress.planning import TaskChoice
from compress.registry.plugins import Registered, Registry, load_plugins
from compress.report.usage import usage
from compress.report.views import card as cards
from compress.report.views import frontmatter
from compress.report.views.card import deployable
from compress.report.views.writing import write_report, write_views
from compress.results.step import Usage
from compress.store.runfolder import RunFolder
from compress.task import CardInfo, Task

ROWS = {
    "text-classification": sentences(8, 1),
    "token-classification": tagged(8, 1),
    "fill-mask": sentences(8, 1),
}


@pytest.fixture
def report() -> dict[str, Any]:
    return rich_report()


def parsed(text: str) -> Any:
    start, front, body = text.split("---\n", 2)
    assert start == "" and body
    return YAML(typ="safe", pure=True).load(front)


def fences(text: str) -> int:
    """How many lines open or close the block of code that the card ends with."""
    loading = text.split("## Loading it\n")[1].splitlines()
    return len([line for line in loading if line.startswith("```")])


def used(
    task: str,
    traits: Traits,
    folder: str = "steps/01-x",
    needs: Sequence[str] = (),
    registry: Registry | None = None,
) -> Usage:
    """What a report says of how an artifact is used."""
    registry = registry or load_plugins()
    entry = registry.tasks[task]
    return usage(
        traits, needs, folder, TaskChoice(entry, entry.cls.Options(max_length=16)), registry
    )


def card(name: str, report: dict[str, Any]) -> str:
    """The card of a step."""
    made = as_report(report)
    return cards.card(step_named(made, name), made)


def front_matter(name: str, report: dict[str, Any]) -> dict[str, Any]:
    """The front matter of a step's card."""
    made = as_report(report)
    return frontmatter.front_matter(step_named(made, name), made)


def with_card(report: dict[str, Any]) -> list[str]:
    """The names of the steps that have a card."""
    return [step.name for step in deployable(as_report(report))]


def step_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in report["steps"] if s["name"] == name)
    return found


def test_final_steps_have_a_card_and_conversions_and_steps_between_have_none(
    report: dict[str, Any],
) -> None:
    assert with_card(report) == ["small", "free"]
    report["budget"] = {**held_report()["budget"], "best": "student"}
    assert with_card(report) == ["student", "small", "free"]
    report["steps"] = report["steps"][:2]
    assert with_card(report) == ["teacher"], "its conversion is no step made from it"


def test_the_front_matter_says_what_the_hub_reads(report: dict[str, Any]) -> None:
    found = parsed(card("small", report))
    assert found["base_model"] == "someone/encoder" and found["library_name"] == "onnxruntime"
    assert found["pipeline_tag"] == "text-classification" and found["tags"] == [
        "compress-toolkit",
        "onnx",
        "int8",
        "quantize.onnx",
    ]
    (index,) = found["model-index"]
    (result,) = index["results"]
    assert result["task"] == {"type": "text-classification"} and result["dataset"] == {
        "type": "reviews",
        "name": "reviews",
    }
    assert result["metrics"][0] == {"type": "accuracy", "name": "accuracy", "value": 0.88}
    assert parsed(card("free", report))["library_name"] == "transformers"


def test_the_hub_reads_the_front_matter(report: dict[str, Any]) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard(card("small", report)).data
    assert data.base_model == "someone/encoder" and data.eval_results[0].metric_value == 0.88


def test_what_is_not_known_is_left_out(report: dict[str, Any]) -> None:
    step = step_of(report, "small")
    step.update(base="model", task="parity", usage={**step["usage"], "pipeline_tag": None})
    report["data"] = None
    assert not {"base_model", "pipeline_tag", "model-index"} & front_matter("small", report).keys()


def test_no_card_names_a_folder_of_this_machine(report: dict[str, Any]) -> None:
    report["data"]["name"] = "/home/someone/reviews"
    step_of(report, "small")["options"]["words"] = "/home/someone/words.txt"
    text = card("small", report)
    assert "/home" not in text and "words.txt" in text and "name: reviews" in text


def test_limits_name_findings_absences_and_the_data(report: dict[str, Any]) -> None:
    text = card("free", report).split("## Limits")[1]
    for text_of_limit in (
        "free is slower than small",
        "one data set (reviews)",
        "one machine: cpu",
        "plain from\\_pretrained cannot",
        "Not measured: memory gpu, the model ran on the cpu",
    ):
        assert text_of_limit in text, text_of_limit
    assert "int8" in card("small", report).split("## Limits")[1]


@pytest.mark.parametrize(
    ("share", "largest", "equal", "words"),
    [
        (0.0057, 0.19, False, "of a call: 0.6 % of the decisions, and scores by up to 0.190, in"),
        (None, 0.19, False, "of a call: scores by up to 0.190, in batches of 32"),
        (0.0, 0.00001, True, ""),
    ],
)
def test_a_card_says_whether_answers_depend_on_their_company(
    share: float | None, largest: float, equal: bool, words: str, report: dict[str, Any]
) -> None:
    small = next(step for step in report["steps"] if step["name"] == "small")
    for m in (
        Measurement("batched_changes", share, "share", "lower", conditions={"batch": 32}),
        Measurement(
            "batched_difference",
            largest,
            "",
            "lower",
            conditions={"batch": 32},
            detail={"equal": equal},
        ),
    ):
        small["measurements"][m.name] = m.as_dict()
    limits = card("small", report).split("## Limits")[1]
    assert ("other texts of a call" in limits) == bool(words) and words in limits


def test_a_card_tells_what_compression_gained_apart_from_the_engine(report: dict[str, Any]) -> None:
    numbers = card("small", report).split("## Limits")[0]
    alone, in_engine = numbers.split("Against teacher, the reference:")[1].split(
        "Against teacher@onnxruntime, the reference in its fastest float engine:"
    )
    assert "| speedup | 12.0x" in alone and "| speedup | 5.00x" in in_engine
    step_of(report, "small")["against_fastest"] = step_of(report, "small")["against_reference"]
    assert "fastest float engine" not in card("small", report), (
        "where the reference is its own fastest"
    )


def test_no_card_tells_of_a_quality_that_was_not_measured(report: dict[str, Any]) -> None:
    step_of(report, "free")["measurements"]["quality"].update(
        value=None, absent="there is no test split for this task"
    )
    limits = card("free", report).split("## Limits")[1]
    assert (
        "Quality was measured" not in limits
        and "Not measured: quality, there is no test split" in limits
    )


def test_a_score_of_other_examples_is_no_result_on_the_runs_data(report: dict[str, Any]) -> None:
    step = step_of(report, "small")
    step["test"] = "f" * 64
    text = card("small", report)
    assert (
        "model-index" not in front_matter("small", report) and "one data set (reviews)" not in text
    )
    assert "on other test examples than the reference's" in text


def test_each_step_of_the_chain_is_shown_with_its_options_and_its_seed(
    report: dict[str, Any],
) -> None:
    step_of(report, "student")["seed"] = 7
    step_of(report, "teacher").update(stage="import", seed=None)
    chain = card("small", report).split("## How it was made\n\n")[1].splitlines()
    assert chain[:3] == [
        "1. teacher (import): epochs 2, student.layers 1",
        "2. student (distill): epochs 2, student.layers 1, seed 7",
        "3. small (quantize.onnx): epochs 2, student.layers 1, seed 1",
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_in_the_front_matter_and_in_the_code(
    report: dict[str, Any], text: str
) -> None:
    hostile = poisoned(report, text)
    harmless = poisoned(report, "harmless")
    names = with_card(hostile)
    assert len(names) == len(with_card(harmless)) == 2
    for name, as_harmless in zip(names, with_card(harmless), strict=True):
        made = card(name, hostile)
        front = parsed(made)
        assert (
            set(front) == set(front_matter(name, hostile))
            and front["model-index"][0]["results"][0]["metrics"]
        )
        assert made.split("---\n")[1].isascii()
        assert fences(made) == fences(card(as_harmless, harmless))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("format", ["pytorch", "onnx", "none"])
def test_hostile_names_of_folders_are_text_in_the_code(format: str, text: str) -> None:
    tree = ast.parse(
        used("text-classification", Traits(format, task="text-classification"), text).code
    )
    assert text in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_a_strangers_engine_and_task_say_themselves_how_their_models_are_loaded() -> None:
    class Rows(Engine):
        name, summary, formats, packages, library = "rows", "Rows.", ("rows",), (), "rowlib"

        @classmethod
        def loading(cls, traits: Traits, task: type[Task[Any]]) -> Loading:
            return Loading(("rowlib",), "import rowlib\n", "logits = rowlib.read(folder)(text)\n")

    class Parity(load_plugins().tasks["text-classification"].cls):  # type: ignore[misc]
        name, kind = "parity", "text-ranking"
        card = CardInfo(example="Is 3 even?", reading="print(logits % 2)\n")

    registry = Registry(
        engines={"rows": Registered("rows", Rows, "d", "1")},
        tasks={"parity": Registered("parity", Parity, "d", "1")},
    )
    found = used("parity", Traits("rows", task="parity"), "a/b", registry=registry)
    assert found == Usage(
        library="rowlib",
        pipeline_tag="text-ranking",
        packages=("rowlib",),
        code=(
            "import rowlib\n\nfolder = 'a/b'\ntext = 'Is 3 even?'\nmax_length = 16\nlogits = "
            "rowlib.read(folder)(text)\n"
            "print(logits % 2)\n"
        ),
    )
    for traits, needs in (
        (Traits("rows", shape="free", task="parity"), []),
        (Traits("rows", task="parity"), ["acme"]),
        (Traits("rows", task="other"), []),
        (Traits("counts", task="parity"), []),
    ):
        own = used("parity", traits, "a/b", needs, registry)
        assert (
            own.packages == tuple(needs or ["compress-toolkit"])
            and "compress.load('a/b')" in own.code
        )
    Parity.card = CardInfo()
    assert "compress.load" in used("parity", Traits("rows", task="parity"), registry=registry).code


def test_cards_are_written_beside_the_other_views_and_never_outside(
    report: dict[str, Any], tmp_path: Path
) -> None:
    step_of(report, "free")["name"] = "../../outside"
    write_views(as_report(report), RunFolder(tmp_path / "run"))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")) == [
        "run/cards/_.._outside-84b29bbd.md",
        "run/cards/small.md",
        "run/report.md",
    ]


@pytest.mark.parametrize(
    ("task", "format"),
    [
        *((task, format) for task in ROWS for format in ("pytorch", "own")),
        ("text-classification", "onnx"),
        pytest.param("token-classification", "onnx", marks=pytest.mark.slow),
        pytest.param("fill-mask", "onnx", marks=pytest.mark.slow),
    ],
)
def test_the_code_of_a_card_loads_the_artifact_and_answers(
    task: str, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = task_named(task)
    labels = {"token-classification": TAGS, "fill-mask": ()}.get(task, ("bad", "good"))
    model = tmp_path / "model"
    model.mkdir()
    artifact = save_bert(model, made, labels)
    if format == "onnx":
        artifact = make_artifact(
            tmp_path / "made",
            "export.onnx",
            made,
            {"train": ROWS[task], "test": ROWS[task]},
            input=artifact,
        )
    found = used(
        task,
        artifact.traits,
        artifact.folder.relative_to(tmp_path).as_posix(),
        ["compress-toolkit"] if format == "own" else [],
    )
    packages, code = found.packages, found.code
    assert ("compress" in code) == (format == "own") and ("transformers" in packages) == (
        format == "pytorch"
    )
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code.replace("A text to try", "good w1"), "card", "exec"), {})
    assert found.pipeline_tag == task and found.library == (
        "onnxruntime" if format == "onnx" else "transformers"
    )
    assert out.getvalue().strip()
    if task == "text-classification" and format != "own":
        assert "'bad'" in out.getvalue() and "'good'" in out.getvalue()


def test_a_step_that_others_were_made_from_has_no_card_left_of_when_it_stood_last(
    report: dict[str, Any], tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    first = next(s for s in report["steps"] if s["role"] == "reference")
    write_report(as_report({**report, "steps": [first], "budget": None}), folder)
    assert [path.stem for path in (tmp_path / "cards").iterdir()] == [first["name"]]
    write_report(as_report(report), folder)
    assert sorted((tmp_path / "cards").iterdir()) == sorted(map(folder.card, with_card(report)))
    assert folder.card(first["name"]) not in (tmp_path / "cards").iterdir()
