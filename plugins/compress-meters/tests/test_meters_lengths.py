"""Which lengths the curve over lengths has, by the positions that a model's config tells."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compress_meters.curves import LatencyByLength
from compress_meters.stretched import stretched, stretched_row
from tiny import task_named, word_processor

from compress.artifact import Artifact, Manifest, Traits
from compress.task import Task as AnyTask
from compress.task import TextTaskOptions


class Task:
    options = TextTaskOptions()
    prompts = AnyTask.prompts

    def length(self, features: dict[str, Any]) -> int:
        return len(features["input_ids"])

    def collate(self, features: list[dict[str, Any]], processor: Any) -> dict[str, Any]:
        return {"input_ids": [f["input_ids"] for f in features]}


def probe(folder: Path, **config: Any) -> Any:
    """A probe of a model with such a config; ``lengths`` are those that its session ran."""
    (folder / "config.json").write_text(json.dumps(config))
    lengths: list[int] = []
    session = SimpleNamespace(run=lambda batch: lengths.append(len(batch["input_ids"][0])))
    return SimpleNamespace(
        artifact=Artifact(folder, Manifest(Traits(), {}, "step", "stage")),
        session=session,
        task=Task(),
        processor=None,
        features=[{"input_ids": [1, 2, 3]}],
        state={},
        lengths=lengths,
        engine="toy",
        placement=SimpleNamespace(device="cpu", threads=1),
        effort="thorough",
        seed=0,
    )


@pytest.mark.parametrize(("family", "longest"), [("bert", 128), ("roberta", 64)])
def test_the_curve_has_no_length_that_the_model_has_no_positions_for(
    family: str, longest: int, tmp_path: Path
) -> None:
    on = probe(tmp_path, model_type=family, max_position_embeddings=128, pad_token_id=1)
    LatencyByLength().prepare(on)
    assert max(on.lengths) == longest


@pytest.mark.parametrize("length", [4, 16, 60])
def test_an_example_whose_masks_are_drawn_can_be_of_any_length(length: int) -> None:
    """Its features hold positions, which those of a shorter one may not have."""
    task, processor = task_named("fill-mask"), word_processor()
    features = task.features([{"text": "w1 w2 " * 15, "id": "test-0"}], processor)[0]
    short = stretched(SimpleNamespace(task=task, features=[features]), length)  # type: ignore[arg-type]
    batch = task.collate([short], processor)
    assert batch["input_ids"].shape == (1, length) and max(short["maskable"]) < length
    assert (batch["labels"] >= 0).any()
    assert short["input_ids"][-1] == features["input_ids"][-1], "some heads read the end token"


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("text-classification", {"text": "w1 w2 w3", "label": 1}),
        ("text-classification", {"text": "w1 w2", "text_pair": "w3", "label": 0}),
        ("token-classification", {"tokens": ["w1", "w2"], "tags": [0, 1]}),
        ("fill-mask", {"text": "w1 w2 w3 w4"}),
        ("text-classification", {"text": "w1 w2 " * 300, "label": 1}),
        ("token-classification", {"tokens": ["w1", "w2"] * 300, "tags": [0, 1] * 300}),
    ],
)
@pytest.mark.parametrize("length", [16, 64])
def test_a_text_can_be_of_any_length_in_tokens(name: str, row: dict[str, Any], length: int) -> None:
    task, processor = task_named(name), word_processor()
    features = task.features([{**row, "id": "test-0"}], processor)
    on: Any = SimpleNamespace(
        task=task, rows=[{**row, "id": "test-0"}], features=features, processor=processor
    )
    long, fitting = stretched_row(on, length)
    assert task.length(fitting.features([long], processor)[0]) == length and long["id"] == "test-0"
    assert (fitting.options.max_length, task.options.max_length) == (length, 16)
    whole = max(len(value) for value in long.values() if isinstance(value, (str, list)))
    assert whole <= 3 * length, "what is longer is cut before it is tokenized"


def test_the_curve_is_absent_with_its_reason_where_no_length_fits(tmp_path: Path) -> None:
    on, meter = probe(tmp_path, model_type="roberta", max_position_embeddings=17), LatencyByLength()
    meter.prepare(on)
    (found,) = meter.summarise([{**meter.sample(on), "block": 0}])
    assert found.value is None
    assert found.absent == "the model has 15 positions, and the shortest length is 16"
    assert on.lengths == []
