"""A stranger's engine with an export of its own: the packages of the toolkit and OpenVINO."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from installing import install
from running import GIVEN, run, write_place
from tiny import make_artifact, read, save_bert, sentences, task_named
from torch import Tensor, nn

from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import PackageMissing
from compress.exportable import Exportable
from compress.exporting import PartSession, checked_parts, export
from compress.models import open_model
from compress.registry.plugins import Registry, engine_for, explain_missing_package, load_plugins
from compress.sessions import TorchSession

NAME = "compress-openvino"
TASK = task_named("text-classification")
ROWS = {split: sentences(count, count) for split, count in (("train", 6), ("test", 12))}
needs_openvino = pytest.mark.skipif(
    find_spec("openvino") is None, reason="openvino is not installed: pip install openvino"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that the plugin is installed in, on the path of this process."""
    folder = tmp_path_factory.mktemp("plugin") / "site"
    install(folder, NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def registry(site: Path) -> Registry:
    return load_plugins()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save_bert(tmp_path_factory.mktemp("bert"), TASK)


@pytest.fixture(scope="module")
def exported(bert: Artifact, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Made by a trace, which takes a tenth of the seconds; the run captures it."""
    own = import_module("compress_openvino.exporting")

    def traced(*given: Any) -> list[Any]:
        return [(replace(part, traced=True), checks) for part, checks in checked_parts(*given)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, "checked_parts", traced)
        folder = tmp_path_factory.mktemp("exported") / "step"
        return make_artifact(folder, "export.openvino", TASK, ROWS, input=bert)


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


class Recurrent(nn.Module):
    """What an export can only trace."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, numbers: Tensor) -> dict[str, Tensor]:
        states, _ = self.lstm(numbers)
        return {"last": states[:, -1], "unread": states}


@needs_openvino
def test_a_part_that_is_traced_is_exported_too(site: Path, tmp_path: Path) -> None:
    own = import_module("compress_openvino.exporting")
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
    exported: Artifact, site: Path, tmp_path: Path
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
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path, "HOME": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0
    assert list(tmp_path.iterdir()) == [], "its telemetry keeps a number of the user in the home"


def test_where_openvino_is_missing_one_line_says_what_to_install(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "compress_openvino.session", raising=False)
    wanted = r"^openvino needs the package 'openvino': install compress-openvino\[openvino\]$"
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
    done = run(place, "recipe.yaml", environ=install(tmp_path / "site", NAME, without="onnx"))
    step = done.step("export.openvino")
    assert step["measurements"]["latency_p50"]["value"] > 0
    traits = json.loads((done.artifact(step["name"]) / "compress.json").read_text())["traits"]
    assert (traits["format"], traits["precision"]) == ("openvino", "float")
    compared = step["against_reference"]["comparisons"]
    assert compared["flips"]["value"] == 0 and compared["speedup"]["value"] > 0
