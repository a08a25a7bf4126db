"""Targets in place of shares: what is counted is reached exactly, and what is timed by a table and
by timing what was cut."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compress_prune import StructuredPruning
from compress_prune.costs import Cost, Curve, ties_of, within
from compress_prune.latencytable import _together
from compress_prune.options import StructuredOptions
from compress_prune.target import Target
from compress_prune.targetsview import TargetsView
from pydantic import ValidationError
from tiny import LABELS, make_artifact, save_bert, sentences, task_named

from compress.artifact import Artifact, Traits
from compress.errors import UsageError
from compress.measurement import Measured, Measurement
from compress.models import count_parameters, open_model
from compress.quantities import LATENCY, SPEEDUP
from compress.workers.protocol import (
    Answer,
    CandidatesMeasured,
    ChoiceMade,
    Failed,
    MakeChoice,
    MeasureCandidates,
    Question,
)

TASK = task_named("text-classification")
ROWS = {"train": sentences(40, seed=0)}
SHAPE = {"num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save_bert(tmp_path_factory.mktemp("target") / "bert", TASK, LABELS, **SHAPE)


def cut(bert: Artifact, folder: Path, **options: Any) -> Artifact:
    return make_artifact(folder, "prune.structured", TASK, ROWS, input=bert, **options)


@pytest.mark.parametrize("shape", ["stock", "free"])
@pytest.mark.parametrize("layers", [None, 2])
def test_a_share_of_the_parameters_is_kept(
    bert: Artifact, tmp_path: Path, shape: str, layers: int | None
) -> None:
    options = {"target": {"parameters": 0.6}, "shape": shape, "layers": layers}
    made = cut(bert, tmp_path / "cut", **options)
    whole = count_parameters(open_model(bert, TASK))
    left = made.manifest.parameters
    # One neuron more of each layer would be too much, or a multiple of 8 of one of them.
    step = 8 * 33 * (1 if shape == "free" else layers or 3)
    assert left is not None and 0.6 * whole - step < left <= 0.6 * whole
    widths = made.manifest.notes["feed_forward"]
    assert made.traits.shape == shape
    assert (len(set(widths)) == 1 and made.manifest.notes["heads"][0] == 4) == (shape == "stock")
    told = made.manifest.notes["target"]
    assert told == {"asked": "parameters: 0.6", "before": whole, "left": left}


def test_the_weights_on_disk_have_the_size(bert: Artifact, tmp_path: Path) -> None:
    made = cut(bert, tmp_path / "cut", target={"size": "40 kB"})
    size = (made.folder / "model.safetensors").stat().st_size
    assert 40_000 - 3 * 8 * 33 * 4 < size <= 40_000
    assert abs(made.manifest.notes["target"]["left"] - size) < 100


def test_what_cannot_be_reached_is_refused_with_the_nearest_that_can(
    bert: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"nearest that can is parameters: (0\.\d+)") as error:
        cut(bert, tmp_path / "cut", target={"parameters": 0.1})
    assert "shape: free" in str(error.value)
    share = float(str(error.value).split("parameters: ")[1][:5])
    made = cut(bert, tmp_path / "nearest", target={"parameters": share})
    assert made.manifest.notes["feed_forward"] == [8, 8, 8]
    with pytest.raises(UsageError, match=r"nearest that can is size: 0\.0\d+ MB"):
        cut(bert, tmp_path / "small", target={"size": "1 kB"})


def test_a_target_that_the_model_has_already_changes_nothing(
    bert: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match="size: 1 GB removes nothing"):
        cut(bert, tmp_path / "cut", target={"size": "1 GB"})


# Latency, on a machine whose times are stated: in PyTorch 1 ms for what is not in the layers, and
# for each layer 1 ms of heads and 2 ms of neurons.

FLOAT, INT8 = Traits("onnx", "float"), Traits("onnx", "int8")
CHOICES = {"quick": FLOAT, "slow": FLOAT, "refused": FLOAT, "int8": INT8}
SPEED = {"quick": 2.0, "slow": 0.5, "int8": 8.0}


class Machine:
    """Answers what a stage asks. Neurons cost their share to the ``power``, and the model that was
    cut takes ``more`` times what its widths say. ``asked`` has the names of what was measured
    together."""

    def __init__(self, bert: Artifact, power: float = 1.0, more: float = 1.0) -> None:
        self.bert, self.power, self.more = bert, power, more
        self.asked: list[list[str]] = []
        self._forms: dict[Path, str] = {bert.folder: ""}

    def answer(self, question: Question) -> Answer | Failed:
        if isinstance(question, MakeChoice):
            return self._made(question)
        assert isinstance(question, MeasureCandidates) and question.meters == ("latency",)
        assert (question.split, question.rows) == ("train", 256)
        self.asked.append(list(question.folders))
        times = {name: self._time(name, folder) for name, folder in question.folders.items()}
        base = next(iter(times.values()))
        return CandidatesMeasured({name: measured(t, base / t) for name, t in times.items()})

    def _made(self, question: MakeChoice) -> Answer | Failed:
        if question.name == "refused":
            return Failed("no such operator", "ModelRefused")
        source = question.of or self.bert.folder
        folder = (question.into or source.parent) / question.name
        shutil.copytree(source, folder)
        self._forms[folder] = question.name
        return ChoiceMade(folder)

    def _time(self, name: str, folder: Path) -> float:
        artifact = Artifact.open(folder)
        total = 1.0
        for block in open_model(artifact, TASK).bert.encoder.layer:
            width = block.intermediate.dense.out_features
            total += block.attention.self.query.out_features / 16 + 2 * (width / 128) ** self.power
        more = self.more if name == "the cut model" else 1.0
        return more * total / SPEED.get(self._forms.get(folder, ""), 1.0)


def measured(time: float, faster: float) -> Measured:
    stated = {"engine": "stated"}
    latency = Measurement(LATENCY, time, "ms", "lower", conditions=stated)
    speedup = Measurement(SPEEDUP, faster, "x", "higher", 0.99 * faster, 1.01 * faster)
    return Measured({LATENCY: latency}, {"input": {SPEEDUP: speedup}})


@pytest.fixture
def timed(tmp_path: Path) -> Callable[..., Any]:
    """Cuts a model of its own to a latency on a machine of its own."""

    def run(power: float = 1.0, more: float = 1.0, **options: Any) -> Any:
        number = len(list(tmp_path.iterdir()))
        place = tmp_path / str(number)
        bert = save_bert(place / "bert", TASK, LABELS, **SHAPE)
        machine = Machine(bert, power, more)
        listed = options.get("serve", CHOICES)
        said = {"choices": {name: CHOICES[name] for name in listed}, "answer": machine.answer}
        notes: list[str] = []
        made = cut(bert, place / "cut", said=notes, **said, **options)
        left = sorted(path.name for path in (place / "cut" / "work").iterdir())
        return SimpleNamespace(
            notes=made.manifest.notes,
            told=made.manifest.notes["target"],
            asked=machine.asked,
            said=notes,
            left=left,
            made=made,
        )

    return run


def test_one_width_for_all_layers_reaches_a_latency(timed: Callable[..., Any]) -> None:
    done = timed(target={"latency": "1.5x"})
    # 10 ms in PyTorch; 6.67 are left by neurons that take 2.67 of their 6.
    assert done.notes["feed_forward"] == [32] * 3 and done.made.traits.shape == "stock"
    assert (done.told["form"], done.told["engine"]) == ("quick", "stated")
    assert done.told["predicted"] == pytest.approx(10 / 5.5)
    assert done.told["measured"] == pytest.approx(done.told["predicted"])
    assert done.left == []
    assert done.said[-1].startswith(
        "latency: 1.5x asked, 1.82x predicted, 1.82x [1.80, 1.84] measured in stated"
    )


def test_a_table_is_made_once_for_a_task_and_anew_for_texts_of_another_length(
    tmp_path: Path,
) -> None:
    bert = save_bert(tmp_path / "bert", TASK, LABELS, **SHAPE)
    asked = []
    for number, length in enumerate((16, 16, 12)):
        machine = Machine(bert)
        task = task_named("text-classification", max_length=length)
        said = {"choices": {}, "answer": machine.answer, "target": {"latency": "1.5x"}}
        make_artifact(
            tmp_path / str(number), "prune.structured", task, ROWS, input=bert, serve=[], **said
        )
        asked.append(machine.asked)
    first, again, other = asked
    assert again == first[-1:], "the cut model alone is timed"
    assert other == first


def test_the_fastest_float_form_serves_and_cut_models_take_turns_with_it(
    timed: Callable[..., Any],
) -> None:
    done = timed(target={"latency": "1.5x"}, shape="free")
    assert done.asked[:2] == [["input", "quick"], ["input", "slow"]]
    assert all(names[0] == "input" for names in done.asked)
    names = [name for names in done.asked[2:-1] for name in names if name != "input"]
    assert names == [
        *(f"feed_forward of layers: {width}" for width in (32, 64, 96)),
        *(f"heads of attention.output.dense of layers: {heads}" for heads in (1, 2, 3)),
        "the fewest units of all kinds",
    ]


def test_heads_go_too_where_layers_may_have_widths_of_their_own(timed: Callable[..., Any]) -> None:
    done = timed(target={"latency": "2x"}, shape="free")
    assert done.told["measured"] >= 2 / 1.0001 and done.made.traits.shape == "free"
    assert done.told["predicted"] == pytest.approx(done.told["measured"])
    assert sum(done.notes["heads"]) < 12 and sum(done.notes["feed_forward"]) < 3 * 128


def test_what_serves_can_be_said(timed: Callable[..., Any]) -> None:
    done = timed(target={"latency": "1.5x"}, serve=["int8"])
    assert done.told["form"] == "int8" and done.asked[0][:2] != ["input", "quick"]


def test_a_time_that_is_not_linear_in_the_width_is_followed(timed: Callable[..., Any]) -> None:
    done = timed(power=3.0, target={"latency": "1.5x"}, shape="free")
    assert done.told["predicted"] == pytest.approx(done.told["measured"], rel=0.02)
    assert done.told["measured"] >= 1.49


def test_widths_are_chosen_again_where_the_cut_model_takes_longer(
    timed: Callable[..., Any],
) -> None:
    done = timed(more=1.1, target={"latency": "1.8x"}, shape="free")
    first, *_, last = done.told["tries"]
    assert first["measured"] == pytest.approx(first["predicted"] / 1.1)
    assert last["predicted"] == pytest.approx(last["measured"])
    assert done.told["measured"] > first["measured"]


def test_fewer_layers_count_for_the_target(timed: Callable[..., Any]) -> None:
    done = timed(target={"latency": "2x"}, layers=2, shape="free")
    # 7 of 10 ms are left by two layers.
    assert done.told["measured"] >= 2 / 1.0001 and len(done.notes["layers"]) == 2


def test_a_latency_out_of_reach_is_refused_with_the_nearest_in_the_engine(
    timed: Callable[..., Any],
) -> None:
    with pytest.raises(UsageError, match=r"nearest that can is latency: 1.81x in stated"):
        timed(target={"latency": "3x"})
    with pytest.raises(UsageError, match=r"3.07x in stated \(ask for that, or keep fewer"):
        timed(target={"latency": "9x"}, shape="free")


def test_another_target_of_the_same_model_finds_the_table(bert: Artifact, tmp_path: Path) -> None:
    machine = Machine(bert)
    asked = {"choices": {"int8": INT8}, "answer": machine.answer, "serve": ["int8"]}
    first = cut(bert, tmp_path / "one", target={"latency": "1.2x"}, **asked)
    measured_for_one = len(machine.asked)
    shutil.rmtree(bert.folder.parent / "int8")
    second = cut(bert, tmp_path / "two", target={"latency": "1.5x"}, **asked)
    assert [names for names in machine.asked[measured_for_one:]] == [["input", "the cut model"]]
    assert first.manifest.notes["feed_forward"] > second.manifest.notes["feed_forward"]


# Options

ASKED: dict[str, Any] = {"latency": "2x", "parameters": 0.5}


def mistakes(**options: Any) -> list[tuple[str, str]]:
    chosen = StructuredOptions.model_validate(options)
    return [(one.option, one.message) for one in StructuredPruning.check(chosen)]


def test_targets_that_say_nothing_or_too_much_are_mistakes() -> None:
    assert mistakes(target={"latency": "2x"}) == []
    assert mistakes(target={"latency": "2x"}, serve=["export.onnx"], shape="free", tune=True) == []
    for wrong, option in (
        ({"target": {}}, "target"),
        ({"target": {"latency": "2x", "parameters": 0.5}}, "target"),
        ({"target": {"parameters": 0.5}, "feed_forward": 0.5}, "feed_forward"),
        ({"target": {"parameters": 0.5}, "heads": 0.5}, "heads"),
        ({"target": {"latency": "1x"}}, "target.latency"),
        ({"target": {"parameters": 0.5}, "serve": ["export.onnx"]}, "serve"),
        ({"feed_forward": 0.5, "serve": ["export.onnx"]}, "serve"),
    ):
        assert [name for name, _ in mistakes(**wrong)] == [option], wrong
    for latency in ("2", "x", "-1x", "2 ms"):
        with pytest.raises(ValidationError):
            Target(latency=latency)
    with pytest.raises(ValidationError):
        Target(size="20 MiB")


def test_a_latency_of_answers_that_are_generated_is_a_mistake() -> None:
    class Writing(type(TASK)):  # type: ignore[misc]
        prompts = None

    timed, counted = (StructuredOptions(target=Target(**{k: v})) for k, v in ASKED.items())
    (found,) = StructuredPruning.check_task(timed, Writing)
    assert found.option == "target.latency" and "are generated" in found.message
    assert StructuredPruning.check_task(timed, type(TASK)) == []
    assert StructuredPruning.check_task(counted, Writing) == []


def test_a_plan_expects_a_free_shape_of_a_free_target_alone() -> None:
    for shape in ("stock", "free"):
        chosen = StructuredOptions(target=Target(parameters=0.5), shape=shape)
        assert StructuredPruning.produces(Traits(), chosen, TASK.name).shape == shape


def test_a_further_try_asks_for_half_of_the_gain() -> None:
    def less(**target: Any) -> Target | None:
        found = StructuredPruning.back_off(StructuredOptions(target=Target(**target)))
        return found and found.target

    assert less(latency="2x") == Target(latency="1.5x")
    assert less(parameters=0.4) == Target(parameters=0.7)
    assert less(latency="1.02x") is None and less(size="20 MB") is None


def test_the_machine_is_part_of_the_key_where_a_latency_is_asked_for() -> None:
    machine = StructuredOptions(target=Target(latency="2x")).left_to_machine()
    assert set(machine) == {"processor", "threads", "gpus"}
    assert StructuredOptions(target=Target(parameters=0.5)).left_to_machine() == {}


def test_what_kinds_save_together_is_what_the_narrowest_model_saves() -> None:
    curves = [Curve([0.0, 0.5, 1.0], [0.8, 0.4, 0.0]), Curve([0.0, 1.0], [0.4, 0.0])]
    together = _together(1.0, curves, 0.1)  # alone they would save 1.2 of 1
    assert [curve.saved[0] for curve in together] == pytest.approx([0.6, 0.3])
    assert together[0].at(0.75) == pytest.approx(0.15)
    # Where nothing is saved, there is nothing to stretch.
    assert _together(1.0, [Curve([0.0, 1.0], [0.0, 0.0])], 1.0)[0].saved == [0.0, 0.0]


# Choosing


class Blocks:
    """Units of blocks without a model."""

    def __init__(self, units: list[int], step: int, is_free: bool = True) -> None:
        self.gated = [SimpleNamespace(units=count) for count in units]
        self.step, self.is_free, self.stated_by = step, is_free, ""

    def judged(self, scores: Any) -> Any:
        return scores


@pytest.mark.parametrize("is_free", [True, False])
def test_the_widths_cost_no_more_than_the_budget_and_lose_the_least(is_free: bool) -> None:
    draws = np.random.default_rng(0)
    units: Any = [Blocks([16, 16], 4), Blocks([4, 4], 1, is_free=False)]
    cost = Cost(10.0, [Curve([0.25, 0.5, 1.0], [4.0, 3.5, 0.0]), Curve([0.0, 1.0], [2.0, 0.0])])
    if not is_free:  # heads go in free shapes alone
        units, cost = units[:1], Cost(10.0, cost.curves[:1])
    scores = [[draws.random(each.units) for each in unit.gated] for unit in units]
    ties = ties_of(units, is_free)
    assert len(ties) == (3 if is_free else 1)
    for budget in (6.1, 6.3, 8.0, 10.0):
        kept = within(units, scores, cost, budget, ties)
        assert kept is not None and cost.of(units, kept) <= budget + 1e-9
        assert kept[-1][0] == kept[-1][1]
    assert within(units, scores, cost, 10.0, ties) == [[16, 16], [4, 4]][: len(units)]
    assert within(units, scores, cost, 4.4, ties) is None


def test_a_report_says_what_was_predicted_and_measured() -> None:
    told = {"asked": "latency: 2x", "form": "export.onnx", "engine": "onnxruntime"}
    numbers = {"predicted": 2.04, "measured": 1.98, "low": 1.95, "high": None}
    counted = {"asked": "parameters: 0.4", "before": 1000, "left": 399}
    steps = [
        {"name": "cut", "stage": "prune.structured", "notes": {"target": {**told, **numbers}}},
        {"name": "small", "stage": "prune.structured", "notes": {"target": counted}},
        {"name": "other", "stage": "finetune", "notes": {}},
    ]
    section = TargetsView().section({"steps": steps})
    assert section is not None
    (table,) = section.tables
    assert table.rows == [
        ["cut", "latency: 2x", "export.onnx (onnxruntime)", "2.04x", "1.98x"],
        ["small", "parameters: 0.4", "", "399 of 1,000", "counted"],
    ]
    assert TargetsView().section({"steps": steps[2:]}) is None
