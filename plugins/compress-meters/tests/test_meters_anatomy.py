"""Size, loading and what a model is made of, over a session and an engine whose answers are
known."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from compress_meters.anatomy import Anatomy
from compress_meters.loading import Loading
from compress_meters.size import Size
from compress_meters.stored import Stored

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.engine import Counts, Engine, Placement
from compress.measurement import Measurement
from compress.meter import Probe

COUNTS = Counts({"embeddings": 100, "layers": 140, "head": 10}, 5000, 64)
TASK = SimpleNamespace(
    prompts=lambda features, processor: None,
    length=lambda f: len(f["input_ids"]),
    collate=lambda fs, processor: {"input_ids": np.array([f["input_ids"] for f in fs])},
)


class Session:
    """Notes the shape of each call."""

    inputs = ("input_ids",)

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.shapes.append(batch["input_ids"].shape)
        return {}


class Opener(Engine):
    """An engine that tells given counts, and given weights or those of safetensors."""

    name, summary, formats, packages = "opener", "", ("pytorch",), ()

    def __init__(
        self, counts: Counts | None = COUNTS, weights: Mapping[str, np.ndarray] | None = None
    ) -> None:
        self.given, self.stored = counts, weights

    def open(self, *arguments: Any) -> Any:
        raise NotImplementedError

    def counts(self, *arguments: Any) -> Counts | None:
        return self.given

    def weights(self, artifact: Artifact) -> Iterator[tuple[str, np.ndarray]]:
        return iter(self.stored.items()) if self.stored is not None else super().weights(artifact)


def probe(folder: Path, engine: Engine | None = None, *, features: bool = True) -> Probe:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    (folder / "onnx").mkdir(exist_ok=True)
    (folder / "onnx" / "model.onnx").write_bytes(b"y" * 24)
    manifest = Manifest(Traits(), digest_files(folder), "step", "stage", parameters=250)
    manifest.write(folder)
    examples = [{"input_ids": [1] * n} for n in (3, 5, 8)] if features else []
    return Probe(
        Artifact(folder, manifest),
        "opener",
        Session(),
        Placement("cpu", 2),
        TASK,
        None,
        [{}] * len(examples),
        [],
        examples,
        {"before_load": 0, "peak_before_load": 0},
        0.25,
        runtime=engine or Opener(weights={}),
    )


def measured(meter: Any, on: Probe) -> dict[str, Measurement]:
    sample = json.loads(json.dumps(meter.sample(on), allow_nan=False))
    return {m.name: m for m in meter.summarise([sample])}


def test_size_is_the_sum_of_every_file_but_the_manifest_and_lists_each(tmp_path: Path) -> None:
    on = probe(tmp_path)
    found = measured(Size(), on)
    table = found["size"].detail["tables"]["bytes by file"]
    assert table == {"model.safetensors": {"bytes": 1000}, "onnx/model.onnx": {"bytes": 24}}
    files = [str(tmp_path / name) for name in table]
    total = subprocess.run(
        ["du", "-bc", *files], check=True, capture_output=True, text=True
    ).stdout.split()[-2]
    assert found["size"].value == int(total) == 1024
    assert (found["parameters"].value, found["parameters"].unit) == (250, "parameters")


def test_parameters_that_nobody_counted_are_absent_and_not_zero(tmp_path: Path) -> None:
    on = probe(tmp_path)
    on.artifact = Artifact(tmp_path, replace(on.artifact.manifest, parameters=None))
    parameters = measured(Size(), on)["parameters"]
    assert parameters.value is None and "does not count" in parameters.absent


def test_loading_tells_the_seconds_it_took_and_the_first_call_of_one_example_alone(
    tmp_path: Path,
) -> None:
    on = probe(tmp_path)
    found = measured(Loading(), on)
    assert (found["load_seconds"].value, found["load_seconds"].unit) == (0.25, "s")
    assert found["first_call"].value > 0 and found["first_call"].unit == "ms"
    assert len(on.session.shapes) == 1 and on.session.shapes[0][0] == 1  # type: ignore[attr-defined]
    assert found["first_call"].conditions["batch"] == 1


def test_without_examples_loading_is_timed_all_the_same(tmp_path: Path) -> None:
    found = measured(Loading(), probe(tmp_path, features=False))
    assert found["load_seconds"].value == 0.25
    assert (found["first_call"].value, found["first_call"].absent) == (
        None,
        "there is no test split for this task",
    )


def test_what_the_engine_counts_is_measured_with_the_length_it_was_counted_at(
    tmp_path: Path,
) -> None:
    found = measured(Anatomy(), probe(tmp_path))
    assert [found[f"parameters_{p}"].value for p in ("embeddings", "layers", "head")] == [
        100,
        140,
        10,
    ]
    macs = found["macs"]
    assert (macs.value, macs.unit, macs.direction, macs.title) == (5000, "MACs", "lower", "")
    assert macs.conditions == {"length": 64, "batch": 1, "counted": "eager attention"}


def test_what_is_stored_is_listed_by_dtype(tmp_path: Path) -> None:
    weights = {
        "a": np.ones((2, 3), np.float32),
        "b": np.ones(4, np.int8),
        "c": np.ones(5, np.float32),
        "ids": np.arange(7),
    }
    everything = measured(Anatomy(), probe(tmp_path, Opener(weights=weights)))["stored_elements"]
    assert everything.value == 22
    assert everything.detail["tables"]["stored by dtype"] == {
        "float32": {"elements": 11, "bytes": 44},
        "int8": {"elements": 4, "bytes": 4},
        "int64": {"elements": 7, "bytes": 56},
    }


def share(**tensors: np.ndarray) -> float | None:
    stored = Stored()
    for name, values in tensors.items():
        stored.add(name, values)
    return stored.share()


def test_of_a_model_whose_weights_are_half_zero_half_is_not_zero(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    on = probe(tmp_path, Opener())
    half = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    half[::2] = 0
    save_file(
        {"weight": half, "position_ids": np.zeros(100, np.int64)}, tmp_path / "model.safetensors"
    )
    assert measured(Anatomy(), on)["nonzero"].value == 0.5


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_zeros_are_found_in_floats_of_every_width_and_sign(dtype: Any) -> None:
    assert share(w=np.array([0.0, -0.0, 1.0, -2.0]).astype(dtype)) == 0.5


def test_zero_in_an_integer_weight_is_its_zero_point_wherever_that_stands() -> None:
    weight, point = np.array([82, 82, 0, 5], np.uint8), np.array(82, np.uint8)
    assert (
        share(w_quantized=weight, w_zero_point=point)
        == share(w_zero_point=point, w_quantized=weight)
        == 0.5
    )
    signed = np.array([-3, -3, 0, 1], np.int8)
    assert share(w_quantized=signed, w_zero_point=np.array([-3, -3], np.int8)) == 0.5
    assert share(w=signed) == 0.75


def test_several_zero_points_of_one_weight_are_said_instead_of_guessed(tmp_path: Path) -> None:
    weights = {
        "w_quantized": np.array([[0, 1], [2, 0]], np.int8),
        "w_zero_point": np.array([1, 2], np.int8),
    }
    nonzero = measured(Anatomy(), probe(tmp_path, Opener(weights=weights)))["nonzero"]
    assert nonzero.value == 0.5
    assert (
        nonzero.conditions["zero of 8-bit integers"]
        == "their zero point; 0 in 1 tensors with several zero points"
    )


def test_no_weights_are_no_share_of_zero(tmp_path: Path) -> None:
    found = measured(Anatomy(), probe(tmp_path))
    assert found["nonzero"].value is None and found["stored_elements"].value == 0


def test_a_large_integer_weight_is_counted_whole() -> None:
    weight = np.zeros(5_000_000, np.int8)
    weight[4_500_000:] = 1
    assert share(w=weight) == pytest.approx(0.1)


def inherited(
    own: dict[str, Measurement], parent: dict[str, Measurement], name: str
) -> dict[str, Measurement]:
    return {m.name: m for m in Anatomy().inherit(list(own.values()), parent, name)}


def both(folder: Path, counts: Counts | None) -> dict[str, Measurement]:
    on = probe(folder, Opener(counts, {"w": np.ones(3, np.float32)}))
    return measured(Size(), on) | measured(Anatomy(), on)


def test_what_an_engine_cannot_count_is_taken_from_the_model_it_was_made_from_and_says_so(
    tmp_path: Path,
) -> None:
    own, parent = both(tmp_path / "own", None), both(tmp_path / "parent", COUNTS)
    assert own["macs"].value is None and "does not count" in own["macs"].absent
    found = inherited(own, parent, "prune")
    assert found["macs"].value == 5000 and found["macs"].absent == ""
    assert found["macs"].conditions == {**parent["macs"].conditions, "inherited from": "prune"}
    assert found["parameters_head"].value == 10
    assert found["nonzero"] == own["nonzero"] and found["size"] == own["size"]
    # A child of the child names the model whose engine counted.
    assert inherited(own, found, "quantize")["macs"].conditions["inherited from"] == "prune"


def test_nothing_is_taken_from_a_parent_of_another_size_or_over_an_own_count(
    tmp_path: Path,
) -> None:
    own, parent = both(tmp_path / "own", None), both(tmp_path / "parent", COUNTS)
    larger = {**parent, "parameters": replace(parent["parameters"], value=251)}
    assert inherited(own, larger, "prune") == own
    assert inherited(own, {}, "prune") == own
    counted = both(tmp_path / "counted", replace(COUNTS, macs=7))
    assert inherited(counted, parent, "prune") == counted


def test_the_cold_call_comes_first_and_the_anatomy_last_and_not_in_a_quick_run() -> None:
    from compress_meters import compress_meters

    order = sorted((meter() for meter in compress_meters()), key=lambda m: m.order)
    assert (order[0].name, order[-1].name) == ("loading", "anatomy")
    assert "quick" not in Anatomy.efforts and {"standard", "thorough"} <= set(Anatomy.efforts)
