"""The stages and the engine of OpenVINO, on tiny models."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundles import in_bare_process
from running import GIVEN, run, write_place
from tiny import make_artifact, read, save_bert, sentences, task_named
from torch import Tensor, nn

from compress.artifact import Artifact
from compress.bundling.making import make_bundle
from compress.engine import Placement
from compress.errors import IntegrityError, PackageMissing
from compress.exportable import Exportable
from compress.exporting import PartSession, checked_parts, export
from compress.models import open_model
from compress.registry.plugins import Registry, engine_for, explain_missing_package, load_plugins
from compress.serving import open_predictor
from compress.sessions import TorchSession

TASK = task_named("text-classification")
ROWS = {split: sentences(count, count) for split, count in (("train", 6), ("test", 12))}
needs_openvino = pytest.mark.skipif(
    find_spec("openvino") is None, reason="openvino is not installed: pip install openvino"
)
needs_nncf = pytest.mark.skipif(
    find_spec("nncf") is None, reason="nncf is not installed: pip install nncf"
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_plugins()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save_bert(tmp_path_factory.mktemp("bert"), TASK)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all artifacts of this module, which have one store."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="module")
def exported(bert: Artifact, place: Path) -> Artifact:
    """Made by a trace, which takes a tenth of the seconds; a run captures it."""
    from compress_openvino import exporting

    def traced(*given: Any) -> list[Any]:
        return [(replace(part, traced=True), checks) for part, checks in checked_parts(*given)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "checked_parts", traced)
        return make_artifact(place / "fp32", "export.openvino", TASK, ROWS, input=bert)


@pytest.fixture(scope="module")
def quantized(bert: Artifact, exported: Artifact, place: Path) -> Artifact:
    """From the float model that ``exported`` left in the store."""
    return make_artifact(place / "int8", "quantize.openvino", TASK, ROWS, input=bert, samples=4)


def logits(session: Any, artifact: Artifact, batch_size: int) -> np.ndarray:
    """The answers to the test rows, in batches."""
    processor = TASK.processor(artifact.folder)
    features = TASK.features(read(ROWS["test"], TASK), processor)
    batches = [features[i : i + batch_size] for i in range(0, len(features), batch_size)]
    return np.vstack([session.run(TASK.collate(b, processor))["logits"] for b in batches])


@needs_openvino
def test_its_logits_are_those_of_pytorch_alone_and_in_batches(
    bert: Artifact, exported: Artifact, registry: Registry
) -> None:
    assert exported.traits.format == "openvino" and not exported.traits.trainable
    assert sys.modules["openvino_telemetry"] is None, "an export reports to nobody"
    want = logits(TorchSession(open_model(bert, TASK), "cpu"), bert, 1)
    session = engine_for(registry, "openvino").open(exported, Placement("cpu", 1), TASK)
    for batch_size in (1, 5):
        got = logits(session, exported, batch_size)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, atol=1e-3)


def size_of(artifact: Artifact) -> int:
    return (artifact.folder / "openvino_model.bin").stat().st_size


@needs_openvino
def test_weights_in_half_precision_take_half_the_bytes_and_answer_nearly_the_same(
    bert: Artifact, exported: Artifact, registry: Registry, place: Path
) -> None:
    half = make_artifact(place / "fp16", "export.openvino", TASK, ROWS, input=bert, weights="fp16")
    assert half.traits.precision == "float" and size_of(half) < 0.55 * size_of(exported)
    engine = engine_for(registry, "openvino")
    want, got = (
        logits(engine.open(one, Placement("cpu", 1), TASK), one, 1) for one in (exported, half)
    )
    np.testing.assert_allclose(got, want, atol=2e-3)


@needs_openvino
@needs_nncf
def test_an_int8_model_is_smaller_answers_nearly_the_same_and_states_its_calibration(
    exported: Artifact, quantized: Artifact, registry: Registry
) -> None:
    assert quantized.traits.precision == "int8" and size_of(quantized) < 0.6 * size_of(exported)
    notes = quantized.manifest.notes
    assert notes["rows"] == 4 and notes["int8_ranges"] >= 8
    engine = engine_for(registry, "openvino")
    want, got = (
        logits(engine.open(one, Placement("cpu", 1), TASK), one, 1) for one in (exported, quantized)
    )
    assert not np.array_equal(got, want)
    np.testing.assert_allclose(got, want, atol=0.05)


@needs_openvino
@needs_nncf
def test_a_float_openvino_model_is_quantized_to_the_same_bytes_as_the_model_it_was_made_of(
    exported: Artifact, quantized: Artifact, place: Path
) -> None:
    again = make_artifact(
        place / "again", "quantize.openvino", TASK, ROWS, input=exported, samples=4
    )
    names = ("openvino_model.xml", "openvino_model.bin")
    assert [again.manifest.files[name] for name in names] == [
        quantized.manifest.files[name] for name in names
    ]


@needs_openvino
@needs_nncf
def test_each_option_changes_the_model(bert: Artifact, quantized: Artifact, place: Path) -> None:
    def weights(number: int, **options: Any) -> str:
        made = make_artifact(
            place / f"option-{number}", "quantize.openvino", TASK, ROWS, input=bert, **options
        )
        return made.manifest.files["openvino_model.bin"]

    reduced = not quantized.manifest.notes["reduce_range"]
    found = [
        weights(0, samples=4, smooth_quant=None),
        weights(1, samples=4, reduce_range=reduced),
    ]
    assert len({*found, quantized.manifest.files["openvino_model.bin"]}) == 3


@needs_openvino
def test_a_file_that_was_changed_is_refused(exported: Artifact, tmp_path: Path) -> None:
    shutil.copytree(exported.folder, tmp_path / "copy")
    with (tmp_path / "copy" / "openvino_model.bin").open("r+b") as stream:
        stream.write(b"0123")
    with pytest.raises(IntegrityError, match="openvino_model.bin"):
        Artifact.open(tmp_path / "copy").verify()


def test_a_task_that_generates_is_refused_when_it_is_planned(registry: Registry) -> None:
    stage = registry.stages["quantize.openvino"].cls
    assert "generates" in (stage.task_misfit(registry.tasks["text-generation"].cls) or "")
    assert stage.task_misfit(registry.tasks["fill-mask"].cls) is None


class Recurrent(nn.Module):
    """What an export can only trace."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, numbers: Tensor) -> dict[str, Tensor]:
        states, _ = self.lstm(numbers)
        return {"last": states[:, -1], "unread": states}


@needs_openvino
def test_a_part_that_is_traced_is_exported_too(tmp_path: Path) -> None:
    from compress_openvino import exporting as own

    torch.manual_seed(0)
    examples = {"numbers": np.ones((2, 5, 3), dtype=np.float32)}
    axes = {"numbers": ("batch_size", "sequence_length")}
    part = Exportable("model", Recurrent(), examples, axes, ("last",), traced=True)
    program = export(part, own.OpenVINOExporter, own._trace)
    own.openvino.save_model(program, tmp_path / "m.xml", compress_to_fp16=False)
    session = own.OpenVinoSession(tmp_path / "m.xml", Placement("cpu", 1))
    batch = {"numbers": np.random.default_rng(0).normal(size=(1, 7, 3)).astype(np.float32)}
    want, got = PartSession(part).run(batch), session.run(batch)
    assert list(got) == ["last"]
    np.testing.assert_allclose(got["last"], want["last"], atol=1e-5)


@needs_openvino
def test_its_process_imports_no_torch_and_reports_to_nobody(
    exported: Artifact, tmp_path: Path
) -> None:
    code = f"""
import sys
from pathlib import Path
import numpy as np
from compress_openvino import OpenVino
from compress.artifact import Artifact
from compress.engine import Placement
session = OpenVino().open(Artifact.open(Path({str(exported.folder)!r})), Placement("cpu", 1), None)
ids = np.ones((1, 3), dtype=np.int64)
assert session.run(dict.fromkeys(session.inputs, ids))["logits"].shape == (1, 2)
assert sys.modules["openvino_telemetry"] is None
sys.exit("torch" in sys.modules or "transformers" in sys.modules)
"""
    environ = {**os.environ, "HOME": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0
    assert list(tmp_path.iterdir()) == [], "its telemetry keeps a number of the user in the home"


def test_where_openvino_is_missing_one_line_says_what_to_install(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    for name in ("opening", "session"):
        monkeypatch.delitem(sys.modules, f"compress_openvino.{name}", raising=False)
    wanted = r"^openvino needs the package 'openvino': install compress-toolkit\[openvino\]$"
    with (
        pytest.raises(PackageMissing, match=wanted),
        explain_missing_package(registry.engines["openvino"]),
    ):
        engine_for(registry, "openvino").start()


@pytest.mark.slow
@needs_openvino
def test_a_run_exports_measures_and_compares_it(tmp_path: Path) -> None:
    recipe = GIVEN.partition("stages:")[0] + "stages:\n  - export.openvino\n"
    place = write_place(tmp_path / "place", recipe=recipe)
    save_bert(place / "model", TASK)
    (place / "model" / "compress.json").unlink()
    done = run(place, "recipe.yaml", environ={"COMPRESS_DISABLE_PLUGINS": "onnx"})
    step = done.step("export.openvino")
    assert step["measurements"]["latency_p50"]["value"] > 0
    traits = json.loads((done.artifact(step["name"]) / "compress.json").read_text())["traits"]
    assert (traits["format"], traits["precision"]) == ("openvino", "float")
    compared = step["against_reference"]["comparisons"]
    assert compared["flips"]["value"] == 0 and compared["speedup"]["value"] > 0


@needs_openvino
def test_a_bundle_answers_as_the_toolkit_without_it(
    exported: Artifact, tmp_path: Path, registry: Registry
) -> None:
    bundle = make_bundle(exported.folder, tmp_path / "bundle", registry).folder
    lines = (bundle / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition("==")[0] for line in lines] == ["numpy", "openvino", "tokenizers"]
    code = (
        "from predict import Model\nprint(json.dumps(Model(sys.argv[1])(json.loads(sys.argv[2]))))"
    )
    texts = ["good w1", "w1 w2 w3 bad", "good " * 40]
    answers = in_bare_process(code, bundle, json.dumps(texts))
    wanted = open_predictor(exported.folder, registry)(texts)
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in wanted]
    scores = [[answer["score"] for answer in some] for some in (answers, wanted)]
    np.testing.assert_allclose(*scores, atol=1e-5)
