"""``--set a.b=c``: which places a key leads to, what a value is, and how a mistake in one is
told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from commands import Command

from compress.errors import UsageError
from compress.planning import Plan, make_plan
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry

RECIPE = """\
task: text-classification
model: owner/encoder
data: {train: train.csv, test: test.csv}
stages:
  - finetune: {epochs: 3}
    name: teacher
  - prune.structured: {feed_forward: 0.5, recover: }
  - quantize.onnx
"""
Planned = Callable[..., Plan]


@pytest.fixture
def planned(
    csv_data: Path, write_recipe: Callable[..., Path], registry: Registry, families: Families
) -> Planned:
    """``planned("seed=3")``: the plan of ``RECIPE`` with these overrides."""

    def plan(*overrides: str, text: str = RECIPE) -> Plan:
        return make_plan(read_recipe(write_recipe(text), overrides), registry, families)

    return plan


def options_of(plan: Plan, step: str) -> dict[str, object]:
    found = plan.step(step)
    assert found is not None
    return found.options.model_dump()


@pytest.mark.parametrize(
    "key", ["stages.teacher.epochs", "stages.0.epochs", "stages.teacher.finetune.epochs"]
)
def test_option_is_set_by_the_steps_name_its_number_or_with_the_stage_written_out(
    key: str, planned: Planned
) -> None:
    assert options_of(planned(), "teacher")["epochs"] == 3
    assert options_of(planned(f"{key}=5"), "teacher")["epochs"] == 5


@pytest.mark.parametrize(
    "key", ["stages.prune.structured", "stages.1", "stages.1.prune.structured"]
)
def test_stage_with_a_dot_in_its_name_is_found(key: str, planned: Planned) -> None:
    assert (
        options_of(planned(f"{key}.feed_forward=0.25"), "prune.structured")["feed_forward"] == 0.25
    )


def test_step_that_was_written_as_one_word_gets_options_and_keys(planned: Planned) -> None:
    plan = planned("stages.quantize.onnx.per_channel=true", "stages.2.from=teacher")
    assert options_of(plan, "quantize.onnx")["per_channel"] is True
    assert plan.steps[2].parent == "teacher"


def test_nested_option_is_made_where_the_recipe_has_none(planned: Planned) -> None:
    recover = options_of(planned("stages.prune.structured.recover.epochs=2"), "prune.structured")[
        "recover"
    ]
    assert isinstance(recover, dict) and recover["epochs"] == 2


def test_longest_step_name_that_fits_is_meant(planned: Planned) -> None:
    text = RECIPE.replace("name: teacher", "name: quantize")
    plan = planned("stages.quantize.onnx.per_channel=true", "stages.quantize.epochs=7", text=text)
    assert options_of(plan, "quantize")["epochs"] == 7
    assert options_of(plan, "quantize.onnx")["per_channel"] is True


def test_top_keys_and_reserved_keys_of_a_step_are_set(planned: Planned) -> None:
    plan = planned(
        "seed=7",
        "stages.teacher.seed=9",
        "stages.teacher.name=big",
        "reference=big",
        "task={text-classification: {max_length: 16}}",
    )
    assert (plan.seed, plan.steps[0].seed, plan.steps[1].seed) == (7, 9, 7)
    assert plan.reference == "big" and plan.steps[1].parent == "big"
    assert plan.task.options.max_length == 16


def test_later_override_of_the_same_key_wins(planned: Planned) -> None:
    assert planned("seed=1", "seed=2").seed == 2


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("2.5", 2.5), ("4", 4.0)])
def test_value_is_yaml(text: str, value: float, planned: Planned) -> None:
    assert options_of(planned(f"stages.teacher.epochs={text}"), "teacher")["epochs"] == value


def test_value_may_hold_equals_signs_and_be_nothing(planned: Planned, tmp_path: Path) -> None:
    (tmp_path / "a=b.csv").write_text("text,label\ngood day,good\n", encoding="utf-8")
    plan = planned(f"data.test={tmp_path}/a=b.csv", "data.validation=")
    assert plan.data is not None
    assert plan.data.as_dict()["options"]["test"] == str(tmp_path / "a=b.csv")
    assert plan.data.as_dict()["options"]["validation"] is None


def test_paths_of_a_recipe_start_at_its_file_and_paths_of_overrides_at_the_working_directory(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "other.csv").write_text("text,label\ngood day,good\n", encoding="utf-8")
    monkeypatch.chdir(elsewhere)
    plan = planned("data.test=other.csv")
    assert plan.data is not None
    options = plan.data.as_dict()["options"]
    assert options["train"] == str(tmp_path / "train.csv")
    assert options["test"] == str(elsewhere / "other.csv")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed", ["is not of the form key=value"]),
        ("=3", ["is not of the form key=value"]),
        ("sead=3", ["unknown key 'sead'", "did you mean 'seed'?"]),
        ("a.b.c=3", ["unknown key 'a'"]),
        ("teacher.epochs=3", ["unknown key 'teacher'", "is set by --set stages.teacher..."]),
        ("prune.structured.heads=3", ["unknown key 'prune'", "is set by --set stages.prune..."]),
        ("seed=three", ["whole number from 0", "'three'"]),
        ("seed=[", ["is not YAML"]),
        ("budget.quality=>= 99%", ["is not YAML", """--set 'budget.quality=">= 99%"'"""]),
        ("seed=!!python/name:os 3", ["plain data"]),
        (
            "stages.techer.epochs=1",
            ["no step is named by 'techer.epochs'", "did you mean 'teacher'?"],
        ),
        (
            "stages.7.epochs=1",
            ["no step is named by '7.epochs'", "known: prune.structured, quantize.onnx, teacher"],
        ),
        ("stages.teacher=1", ["does not lead to a key of a mapping"]),
        ("stages.teacher.epohcs=1", ["unknown option 'epohcs'", "did you mean 'epochs'?"]),
        ("stages.teacher.epochs=-1", ["got -1", "greater than 0"]),
        ("stages=[]", ["at least one stage"]),
        ("task.text-classification.max_length=9", ["does not lead to a key of a mapping"]),
        ("data.train.x=1", ["does not lead to a key of a mapping"]),
        ("data.test=missing.csv", ["there is no file 'missing.csv'"]),
        ("model=./nowhere", ["there is no model folder './nowhere'"]),
    ],
)
def test_mistake_in_an_override_names_the_override(
    override: str, words: Sequence[str], planned: Planned
) -> None:
    with pytest.raises(UsageError) as caught:
        planned(override)
    (mistake,) = caught.value.mistakes
    assert mistake.where.startswith(f"--set {override}")
    for word in words:
        assert word in str(mistake)


def test_wrong_overrides_are_reported_in_the_order_in_which_they_are_given(
    planned: Planned,
) -> None:
    with pytest.raises(UsageError) as caught:
        planned("zoo", "stages.techer.epochs=1", "apes")
    where = [mistake.where for mistake in caught.value.mistakes]
    assert where == ["--set zoo", "--set stages.techer.epochs=1", "--set apes"]


def test_mistakes_in_one_budget_are_reported_in_the_order_of_reading(planned: Planned) -> None:
    with pytest.raises(UsageError) as caught:
        planned("budget={quality: most, on_miss: cry, decide: dice}")
    first_words = [mistake.message.partition(":")[0] for mistake in caught.value.mistakes]
    assert first_words == ["on_miss", "decide", "quality"]


def test_override_that_repairs_the_recipe_leaves_nothing_to_complain_of(planned: Planned) -> None:
    wrong = RECIPE.replace("epochs: 3", "epochs: three")
    with pytest.raises(UsageError, match="got 'three'"):
        planned(text=wrong)
    assert options_of(planned("stages.teacher.epochs=3", text=wrong), "teacher")["epochs"] == 3


def test_stages_that_are_no_list_are_told_as_such(planned: Planned) -> None:
    with pytest.raises(UsageError, match="no step is named by 'finetune.epochs'"):
        planned(
            "stages.finetune.epochs=1", text=RECIPE.split("stages:")[0] + "stages: {finetune: {}}\n"
        )


def test_command_line_takes_several_overrides(
    command: Command, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    answer = command(
        "plan",
        write_recipe(RECIPE),
        "--set",
        "stages.teacher.epochs=2",
        "--set",
        "seed=5",
        "--json",
    )
    assert answer.code == 0, answer.err
    first = answer.value["steps"][0]
    assert (first["options"]["epochs"], first["seed"]) == (2.0, 5)
