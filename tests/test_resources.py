"""How many processes do a step: what a recipe says, and what a plan makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compress.errors import UsageError
from compress.planning import Plan, make_plan
from compress.planning.sections import resources
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.store.keys import Given, step_ingredients
from compress.store.prepared import Prepared
from compress.workers.meeting import Identity

RECIPE = """\
task: text-classification
model: owner/encoder
data: {{train: train.csv, test: test.csv}}
{common}stages:
  - finetune: {{}}{own}
  - prune.structured: {{feed_forward: 0.5}}
  - prune.structured: {{feed_forward: 0.5, recover: {{epochs: 1}}}}
    name: recovered
  - quantize.onnx: {{}}{last}
"""
Planned = Callable[..., Plan]


@pytest.fixture
def planned(
    csv_data: Path, registry: Registry, families: Families, monkeypatch: pytest.MonkeyPatch
) -> Planned:
    """``planned(common=2, own=4)``: the plan of a recipe with these processes, on a machine of four
    cores and no GPU."""
    monkeypatch.setattr(resources, "cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(resources, "gpus", tuple)

    def plan(text: str = "", machines: int = 1, **given: object) -> Plan:
        path = csv_data / "recipe.yaml"
        words = {place: f"resources: {{processes: {count}}}" for place, count in given.items()}
        parts = {
            "common": f"{words['common']}\n" if "common" in words else "",
            "own": f"\n    {words['own']}" if "own" in words else "",
            "last": f"\n    {words['last']}" if "last" in words else "",
        }
        path.write_text(text or RECIPE.format(**parts), encoding="utf-8")
        return make_plan(read_recipe(path), registry, families, machines)

    return plan


def counts(plan: Plan) -> list[int]:
    return [step.processes for step in plan.steps]


def test_the_recipe_s_processes_do_the_steps_that_train_and_a_step_may_have_its_own(
    planned: Planned,
) -> None:
    assert counts(planned()) == [1, 1, 1, 1]
    assert counts(planned(common=2)) == [2, 1, 2, 1]
    assert counts(planned(common=2, own=4)) == [4, 1, 2, 1]
    assert counts(planned(common=2, own=1)) == [1, 1, 2, 1]
    assert counts(planned(own=3, last=1)) == [3, 1, 1, 1]


def test_the_key_of_a_step_has_its_processes_if_there_are_several(
    planned: Planned, registry: Registry
) -> None:
    def keys(plan: Plan) -> list[str]:
        return [
            step_ingredients(step, Given(None, data=Prepared(Path(), "b")), registry).key
            for step in plan.steps
        ]

    alone, one, two = keys(planned()), keys(planned(own=1)), keys(planned(common=2))
    assert alone == one
    assert [a == b for a, b in zip(alone, two, strict=True)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("place", "words", "given"),
    [
        ("4:24", "must be a whole number from 1, got 0", {"common": 0}),
        ("4:24", "must be a whole number from 1, got True", {"common": "true"}),
        ("4:24", "must be a whole number from 1, got 1.5", {"common": 1.5}),
        ("6:28", "must be a whole number from 1, got 'two'", {"own": "two"}),
        ("4:24", "got 5, and this machine has 4 cores (set at most 4)", {"common": 5}),
        ("6:28", "got 9, and this machine has 4 cores", {"own": 9}),
        ("10:28", "'quantize.onnx' trains nothing here, and one process does it", {"last": 2}),
    ],
)
def test_a_mistake_in_resources_has_its_place(
    place: str, words: str, given: dict[str, object], planned: Planned
) -> None:
    with pytest.raises(UsageError) as caught:
        planned(**given)
    (mistake,) = caught.value.mistakes
    assert mistake.where.endswith(place)
    assert words.partition(" (")[0] in mistake.message
    assert words.partition(" (")[2].rstrip(")") in mistake.hint


@pytest.mark.parametrize(
    ("resources_", "place", "words"),
    [
        ("{proceses: 2}", "4:13", "resources have no 'proceses'"),
        ("2", "4:12", "resources: got 2"),
        ("{}", "4:12", "resources: got {}"),
        ("{processes: 2}", "4:24", "got 2, and no step trains with more than one"),
    ],
)
def test_resources_that_nothing_uses_are_a_mistake(
    resources_: str, place: str, words: str, planned: Planned
) -> None:
    text = RECIPE.format(common=f"resources: {resources_}\n", own="", last="")
    no_training = text.replace("  - finetune: {}\n", "").replace(", recover: {epochs: 1}", "")
    with pytest.raises(UsageError) as caught:
        planned(text=no_training)
    assert [words in m.message and m.where.endswith(place) for m in caught.value.mistakes] == [True]


def test_several_machines_share_the_processes_evenly_and_each_has_room_for_its_own(
    planned: Planned,
) -> None:
    assert counts(planned(machines=2, common=8, own=2)) == [2, 1, 8, 1]
    for given, place, words in [
        ({"machines": 2, "common": 3}, "4:24", "got 3, which 2 machines cannot share evenly"),
        ({"machines": 2, "own": 10}, "6:28", "got 10, and each of 2 machines has 4 cores: one for"),
        ({"machines": 3}, "", "no step trains with several processes, and 3 machines run it"),
    ]:
        with pytest.raises(UsageError, match=words) as caught:
            planned(**given)
        assert caught.value.mistakes[0].where.endswith(place)


def test_machines_compare_what_their_shared_steps_leave_to_them(
    planned: Planned, registry: Registry
) -> None:
    facts = Identity.of(planned(machines=2, common=2), registry).facts
    left = [name for name in facts if name.startswith("what ")]
    assert left == [f"what {name} leaves to its machine" for name in ("finetune", "recovered")]
    assert "precision" in facts[left[0]] and {"python", "torch", "compress-toolkit"} <= set(facts)


def test_with_gpus_there_is_one_for_each_process(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "gpus", lambda: ("a", "b"))
    assert counts(planned(common=2)) == [2, 1, 2, 1]
    with pytest.raises(UsageError, match="got 4, and this machine has 2 GPUs"):
        planned(common=4)
