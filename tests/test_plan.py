"""What a plan says of a right recipe: the graph, defaults, traits, references, the reference, and
what is measured too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from rich.console import Console

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.cli.planview import plan_json, print_plan, view_plan
from compress.errors import UsageError
from compress.planning import DataChoice, Plan, TaskChoice, load_plan, make_plan
from compress.planning.conversions import conversion_steps
from compress.planning.reference import with_model_traits
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry, load_plugins
from compress.store.keys import Given, data_ingredients, import_ingredients, step_ingredients
from compress.store.prepared import Prepared, prepare
from compress.store.runfolder import RunFolder
from compress.store.store import Store

HEAD = "task: text-classification\nmodel: owner/encoder\ndata: {train: train.csv, test: test.csv}\n"
CHAIN = (
    HEAD
    + """\
stages:
  - finetune: {epochs: 2}
    name: teacher
  - distill: {teacher: teacher, student: {layers: 1}}
  - prune.structured: {feed_forward: 0.5}
  - quantize.onnx
  - quantize.bitsandbytes: {}
    from: prune.structured
"""
)
SERVES = Traits(task="text-classification")


@pytest.fixture
def planned(
    csv_data: Path, write_recipe: Callable[..., Path], registry: Registry, families: Families
) -> Callable[[str], Plan]:
    """``planned(text)``: the plan of a recipe beside the csv data."""
    return lambda text: make_plan(read_recipe(write_recipe(text)), registry, families)


Planned = Callable[[str], Plan]


def test_steps_form_a_graph_in_which_from_defaults_to_the_step_before(planned: Planned) -> None:
    plan = planned(CHAIN)
    assert [(s.name, s.parent) for s in plan.steps] == [
        ("teacher", "model"),
        ("distill", "teacher"),
        ("prune.structured", "distill"),
        ("quantize.onnx", "prune.structured"),
        ("quantize.bitsandbytes", "prune.structured"),
    ]
    assert plan.steps[1].references == {"teacher": "teacher"}


def test_each_step_carries_the_traits_of_what_it_will_make(planned: Planned) -> None:
    traits = {
        s.name: (s.traits.format, s.traits.precision, s.traits.trainable)
        for s in planned(CHAIN).steps
    }
    assert traits["prune.structured"] == ("pytorch", "float", True)
    assert traits["quantize.onnx"] == ("onnx", "int8", False)
    assert traits["quantize.bitsandbytes"] == ("pytorch", "int8", False)


def test_task_data_and_seed_are_defaults_that_a_step_may_override(
    planned: Planned, tmp_path: Path
) -> None:
    (tmp_path / "plain.txt").write_text("good day\nbad day\n", encoding="utf-8")
    plan = planned(
        HEAD.replace("owner/encoder", "{type: bert, hidden_size: 16}")
        + """\
seed: 4
stages:
  - pretrain: {epochs: 1}
    task: {fill-mask: {max_length: 16}}
    data: {train: plain.txt, test: plain.txt}
    seed: 5
  - finetune
"""
    )
    first, second = plan.steps
    assert (first.task.name, first.seed, first.data and first.data.entry.name) == (
        "fill-mask",
        5,
        "text",
    )
    assert (second.task.name, second.seed, second.data and second.data.entry.name) == (
        "text-classification",
        4,
        "csv",
    )
    assert first.parent is None and plan.fresh == {"type": "bert", "hidden_size": 16}
    assert plan.reference == "finetune"  # the first artifact of the recipe's task


def test_options_left_out_have_their_defaults_and_paths_start_at_the_recipe(
    planned: Planned, tmp_path: Path
) -> None:
    plan = planned(HEAD + "stages:\n  - finetune\n")
    assert plan.steps[0].options == plan.steps[0].entry.cls.Options()
    assert plan.data is not None
    assert plan.data.as_dict()["options"]["train"] == str(tmp_path / "train.csv")


def test_task_is_found_by_its_synonym_and_planned_under_its_own_name(planned: Planned) -> None:
    assert (
        planned(
            HEAD.replace("text-classification", "sentiment-analysis") + "stages:\n  - finetune\n"
        ).task.name
        == "text-classification"
    )


def test_hub_id_is_planned_without_being_fetched_and_its_head_is_unknown(planned: Planned) -> None:
    plan = planned(CHAIN)
    (model,) = plan.inputs
    assert (model.name, model.source, model.from_hub, model.traits) == (
        "model",
        "owner/encoder",
        True,
        None,
    )
    assert plan.reference is None


def test_reference_follows_from_what_the_hub_model_turns_out_to_be(planned: Planned) -> None:
    plan = planned(CHAIN)
    assert with_model_traits(plan, {"model": Traits()}).reference == "teacher"
    assert with_model_traits(plan, {"model": SERVES}).reference == "model"


def test_input_model_that_serves_the_task_is_the_reference(
    planned: Planned, fake_model: Callable[..., Path]
) -> None:
    folder = fake_model()
    plan = planned(HEAD.replace("owner/encoder", "./model") + "stages:\n  - quantize.onnx\n")
    assert plan.reference == "model"
    assert (plan.inputs[0].source, plan.inputs[0].from_hub) == (str(folder), False)
    assert plan.inputs[0].traits == SERVES


def test_bare_encoder_is_not_the_reference_and_must_be_fine_tuned_first(
    planned: Planned, fake_model: Callable[..., Path]
) -> None:
    fake_model(architecture="BertModel", labels=())
    head = HEAD.replace("owner/encoder", "./model")
    assert planned(head + "stages:\n  - finetune\n  - quantize.onnx\n").reference == "finetune"
    with pytest.raises(UsageError, match="'model' has no task head.*fine-tune it first"):
        planned(head + "stages:\n  - quantize.onnx\n")


def test_int8_model_folder_is_neither_trained_nor_quantized_again(
    planned: Planned, fake_model: Callable[..., Path]
) -> None:
    fake_model(quantization_config={"load_in_8bit": True})
    for stage in ("finetune", "quantize.onnx"):
        with pytest.raises(UsageError, match="takes float models, and 'model' is int8"):
            planned(HEAD.replace("owner/encoder", "./model") + f"stages:\n  - {stage}\n")


def test_model_folder_with_a_manifest_has_the_traits_of_its_manifest(
    planned: Planned, tmp_path: Path
) -> None:
    traits = Traits(format="onnx", trainable=False, task="text-classification")
    (tmp_path / "made").mkdir()
    Manifest(traits, {}, step="export.onnx", stage="export.onnx").write(tmp_path / "made")
    plan = planned(HEAD.replace("owner/encoder", "./made") + "stages:\n  - quantize.onnx\n")
    assert plan.inputs[0].traits == traits


def test_reference_may_be_named(planned: Planned) -> None:
    assert planned(CHAIN + "reference: distill\n").reference == "distill"
    assert planned(CHAIN + "reference: model\n").reference == "model"


@pytest.mark.parametrize(("teacher", "from_hub"), [("./model", False), ("owner/teacher", True)])
def test_teacher_from_outside_becomes_an_input(
    teacher: str, from_hub: bool, planned: Planned, fake_model: Callable[..., Path]
) -> None:
    fake_model()
    plan = planned(
        HEAD
        + f"stages:\n  - finetune\n  - distill: {{teacher: {teacher}, student: {{layers: 1}}}}\n"
    )
    assert [(i.name, i.from_hub) for i in plan.inputs] == [("model", True), (teacher, from_hub)]
    assert plan.steps[1].references == {"teacher": teacher}


def test_one_teacher_named_twice_is_one_input(planned: Planned) -> None:
    distill = "{teacher: owner/teacher, student: {layers: 1}}"
    plan = planned(
        HEAD + "stages:\n  - finetune\n"
        f"  - distill: {distill}\n  - distill: {distill}\n    name: again\n"
    )
    assert len(plan.inputs) == 2


def test_reserved_keys_are_no_options_and_model_names_the_input(planned: Planned) -> None:
    first, second = (
        "  - finetune: {}\n    name: a\n    seed: 1\n",
        "  - finetune: {}\n    name: b\n    from: model\n",
    )
    plan = planned(HEAD + "stages:\n" + first + second)
    assert [(s.name, s.parent, s.seed) for s in plan.steps] == [
        ("a", "model", 1),
        ("b", "model", 0),
    ]
    with pytest.raises(UsageError, match="unknown option 'name'"):
        planned(HEAD + "stages:\n  - finetune: {name: a}\n")


@pytest.mark.parametrize("name", ["model", "teacher@onnxruntime", "a/b", "''"])
def test_word_with_a_meaning_of_its_own_is_no_name_of_a_step(name: str, planned: Planned) -> None:
    with pytest.raises(UsageError, match="a step cannot be named"):
        planned(HEAD + f"stages:\n  - finetune: {{}}\n    name: {name}\n")


def test_reference_is_measured_in_each_engine_that_converts(
    planned: Planned, registry: Registry
) -> None:
    plan = with_model_traits(planned(CHAIN), {"model": Traits()})
    steps = conversion_steps(plan, registry)
    assert [s.name for s in steps] == ["teacher@onnxruntime", "teacher@onnxruntime-fused"]
    assert {(s.entry.name, s.parent, s.traits.format) for s in steps} == {
        ("export.onnx", "teacher", "onnx")
    }
    assert [s.options.model_dump()["fusions"] for s in steps] == [False, True]
    assert conversion_steps(replace(plan, reference="quantize.onnx"), registry) == []


def test_the_reference_in_another_engine_answers_what_the_reference_does(
    planned: Planned, registry: Registry
) -> None:
    task = "    task: {text-classification: {max_length: 16}}\n"
    plan = with_model_traits(
        planned(HEAD + "stages:\n  - finetune: {}\n" + task), {"model": Traits()}
    )
    step = conversion_steps(plan, registry)[0]
    assert step.task.options.max_length == 16 != plan.task.options.max_length


def test_plan_command_prints_the_plan_as_json(
    command: Command,
    csv_data: Path,
    write_recipe: Callable[..., Path],
    fake_model: Callable[..., Path],
) -> None:
    fake_model()
    answer = command("plan", write_recipe(CHAIN.replace("owner/encoder", "./model")), "--json")
    assert answer.code == 0, answer.err
    assert answer.heavy == ""
    value = answer.value
    assert (value["name"], value["reference"]) == ("recipe", "model")
    assert value["also_measured"] == ["model@onnxruntime", "model@onnxruntime-fused"]
    assert value["measuring"] == (
        "8 models at effort standard, timings of up to 14 s each, and all answers to the test split"
    )
    assert [step["from"] for step in value["steps"]] == [
        "model",
        "teacher",
        "distill",
        *["prune.structured"] * 2,
    ]
    assert {step["state"] for step in value["steps"]} <= {"to do", "after its input"}
    assert value["steps"][0]["traits"] == asdict(SERVES)


def test_plan_command_prints_a_table_and_touches_nothing(
    command: Command, tmp_path: Path, csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    answer = command("plan", write_recipe(CHAIN), "--store", "untouched")
    assert (answer.code, answer.err) == (0, "")
    for word in (
        "teacher",
        "distill",
        "prune.structured",
        "quantize.onnx",
        "quantize.bitsandbytes",
        "onnx int8",
    ):
        assert word in answer.out
    assert not (tmp_path / "untouched").exists() and not (tmp_path / "runs").exists()


def test_a_plan_of_hub_data_needs_no_network(
    command: Command, tmp_path: Path, write_recipe: Callable[..., Path]
) -> None:
    head = HEAD.replace("owner/encoder", "{type: bert}").replace(
        "train: train.csv, test: test.csv", "hub: a/b"
    )
    recipe = write_recipe(head + "stages:\n  - pretrain: {}\n    task: fill-mask\n  - finetune\n")
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": ""}
    assert {
        step["state"] for step in command("plan", recipe, "--json", environ=nowhere).value["steps"]
    } == {"to do", "after its input"}  # an empty store has nothing, whatever the hub says
    (tmp_path / "store" / "products" / "data").mkdir(parents=True)
    answer = command("plan", recipe, environ=nowhere)
    assert (answer.code, answer.heavy) == (0, ""), answer.err
    assert (
        "not known: the hub cannot be asked for a/b: " in answer.out
        and "after its input" in answer.out
    )
    steps = command("plan", recipe, "--json", environ=nowhere).value["steps"]
    assert [step["state"] for step in steps] == ["not known", "after its input"]
    assert (
        steps[0]["why"].startswith("the hub cannot be asked for a/b: ") and steps[1]["why"] is None
    )


def test_steps_behind_a_model_folder_are_there_once_they_are_made(
    planned: Planned,
    tmp_path: Path,
    registry: Registry,
    fake_model: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, store = fake_model(), Store(tmp_path / "store")
    plan = planned(HEAD.replace("owner/encoder", "./model") + "stages: [finetune, quantize.onnx]\n")
    first = plan.steps[0]
    assert plan.data is not None

    def fill(content: Path, work: Path) -> float:
        (content / "data").write_text("x", encoding="utf-8")
        Manifest(SERVES, digest_files(content), step="s", stage="s").write(content)
        return 0.0

    def fill_data(content: Path, work: Path) -> float:
        assert plan.data is not None
        prepare(plan.data.entry.cls(plan.data.options), plan.task.make(), content)
        return 0.0

    def shown() -> dict[str, Any]:
        return plan_json(view_plan(plan, registry, store))

    def states() -> list[str]:
        return [step["state"] for step in shown()["steps"]]

    assert states() == ["after its input"] * 2
    model, _ = store.make(import_ingredients(plan.inputs[0], folder, registry), fill)
    assert states() == ["to do", "after its input"]
    assert shown()["data_summaries"] == {}
    data, _ = store.make(data_ingredients(plan.data, plan.task), fill_data)
    rows = len((tmp_path / "train.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert shown()["data_summaries"]["data"]["splits"]["train"]["rows"] == rows
    print_plan(view_plan(plan, registry, store), Console(width=200))
    assert f"  data: train: {rows} rows; bad: " in capsys.readouterr().out
    taken = Artifact.open(model.folder)
    store.make(
        step_ingredients(first, Given(taken, data=Prepared(data.folder, data.digest)), registry),
        fill,
    )
    assert states() == ["there", "to do"]
    (folder / "config.json").write_text(
        '{"model_type": "bert", "architectures": []}', encoding="utf-8"
    )
    assert states() == ["after its input"] * 2, "another model is not imported yet"


def test_python_interface_gives_the_same_plan(
    csv_data: Path, write_recipe: Callable[..., Path]
) -> None:
    import compress

    plan = compress.plan(write_recipe(CHAIN), ["seed=3"])
    assert [step.seed for step in plan.steps] == [3] * 5
    assert plan.overrides == ("seed=3",) and plan.recipe_text == CHAIN
    json.dumps(
        [step.options.model_dump(mode="json") for step in plan.steps]
    )  # what a worker's job is written as


def test_a_teacher_that_cannot_be_asked_is_refused_in_the_plan(
    tmp_path: Path, fake_model: Callable[..., Path], families: Families
) -> None:
    fake_model("tagger", architecture="BertForTokenClassification")
    (tmp_path / "data.csv").write_text("text,label\na b,x\nc d,y\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "task: text-classification\nmodel: {type: bert}\ndata: {train: data.csv, test: "
        "data.csv}\nstages:\n"
        "  - pretrain: {}\n    task: fill-mask\n  - finetune: {}\n  - distill: {teacher: "
        "./tagger}\n"
    )
    with pytest.raises(
        UsageError,
        match=r"recipe.yaml:8:\d+: teacher: 'distill' takes a model for text-classification, and "
        r"'./tagger' serves token-classification",
    ):
        make_plan(read_recipe(recipe), load_plugins(), families)


def test_a_data_set_that_the_hub_has_not_is_told_at_its_place_by_plan_too(
    planned: Planned, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(data: DataChoice, task: TaskChoice) -> dict[str, str]:
        raise UsageError("the hub has no data set owner/typo")

    monkeypatch.setattr("compress.cli.planstate.data_ingredients", none)
    monkeypatch.setattr(Store, "holds", lambda self, kind: kind == "data")
    fresh = HEAD.replace("owner/encoder", "{type: bert}").replace(
        "{train: train.csv, test: test.csv}", "{hub: owner/typo}"
    )
    plan = planned(fresh + "stages:\n  - pretrain: {}\n    task: fill-mask\n  - finetune\n")
    with pytest.raises(UsageError, match=r"recipe.yaml:3:13: the hub has no data set owner/typo"):
        view_plan(plan, registry, Store(tmp_path / "store"))


def test_recipes_of_one_text_that_name_other_files_have_folders_of_their_own(
    tmp_path: Path, csv_data: Path, families: Families
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for file in ("train.csv", "test.csv"):
            shutil.copy(tmp_path / file, tmp_path / name / file)
        (tmp_path / name / "recipe.yaml").write_text(CHAIN, encoding="utf-8")
    first, second, again = (
        RunFolder.of(
            load_plan(str(tmp_path / name / "recipe.yaml"), (), load_plugins(), families), tmp_path
        ).root
        for name in ("a", "b", "a")
    )
    assert first == again != second


def test_a_run_on_changed_data_or_another_model_has_a_folder_of_its_own(
    tmp_path: Path, csv_data: Path, families: Families, fake_model: Callable[..., Path]
) -> None:
    model = fake_model()
    recipe = tmp_path / "recipe.yaml"
    text = HEAD.replace("owner/encoder", "./model") + "stages: [finetune]\n"
    recipe.write_text(text, encoding="utf-8")

    def prepared() -> RunFolder:
        plan = load_plan(str(recipe), (), load_plugins(), families)
        folder = RunFolder.of(plan, tmp_path / "runs")
        folder.prepare(plan)
        return folder

    old = (tmp_path / "train.csv").read_text(encoding="utf-8")
    first = prepared()
    assert first.run_before() is None and prepared() == first
    first.report.write_text("{}", encoding="utf-8")
    (tmp_path / "train.csv").write_text(old + "a new day,good\n", encoding="utf-8")
    second = prepared()
    assert second != first and second.run_before() == first.root
    (tmp_path / "train.csv").write_text(old, encoding="utf-8")
    assert prepared() == first and first.run_before() is None
    (model / "config.json").write_text(
        (model / "config.json").read_text(encoding="utf-8") + "\n", encoding="utf-8"
    )
    assert prepared() not in (first, second)


# several artifacts of one option, and data without targets

TEACHERS = (
    HEAD
    + """\
stages:
  - finetune: {epochs: 2}
    name: one
  - finetune: {epochs: 3}
    name: two
    from: model
  - distill: {teacher: %s, student: {layers: 1}}
"""
)


@pytest.mark.parametrize("teacher", ["[one, two]", "{one: 1, two: 1}"])
def test_an_option_may_name_several_artifacts(teacher: str, planned: Planned) -> None:
    step = planned(TEACHERS % teacher).steps[-1]
    assert step.references == {"teacher.0": "one", "teacher.1": "two"}


def test_each_of_several_artifacts_is_checked_at_its_place(planned: Planned) -> None:
    with pytest.raises(UsageError) as caught:
        planned(TEACHERS % "[one, tow]")
    (mistake,) = caught.value.mistakes
    assert mistake.where.endswith(":10:30") and "there is no earlier step 'tow'" in mistake.message


def test_the_names_of_artifacts_do_not_count_and_their_weights_do(
    planned: Planned, registry: Registry
) -> None:
    def options(teacher: str) -> Any:
        step = planned(TEACHERS % teacher).steps[-1]
        return step_ingredients(step, Given(None), registry).values["options"]

    assert options("[one, two]") == options("[two, one]")
    assert options("{one: 2, two: 1}")["teacher"] == [2.0, 1.0]


UNLABELLED = (
    HEAD
    + """\
stages:
  - finetune
  - distill:
      student: {layers: 1}
      unlabelled: %s
"""
)


def test_rows_without_targets_are_a_source_of_the_step(planned: Planned) -> None:
    step = planned(UNLABELLED % "{train: train.csv, rows: 3}").steps[-1]
    choice = step.unlabelled["unlabelled"]
    assert choice.entry.name == "csv" and Path(choice.options.train).is_absolute()


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ("{test: train.csv}", "there is no train split"),
        ("{train: none.csv}", "train: there is no file 'none.csv'"),
        ("{train: train.csv, columns: {label: x}}", "has no column 'label'"),
        ("{trian: train.csv}", "data does not say what kind of source it is"),
    ],
)
def test_rows_without_targets_that_cannot_be_read_are_mistakes(
    described: str, message: str, planned: Planned
) -> None:
    with pytest.raises(UsageError) as caught:
        planned(UNLABELLED % described)
    assert [message in mistake.message for mistake in caught.value.mistakes] == [True]
