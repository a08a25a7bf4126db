"""Models that generate, in OpenVINO: the tokens of PyTorch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny import make_artifact, task_named
from writers import is_pair, rows_for, save_writer

from compress.engine import Placement
from compress.generation import Limits
from compress.models import open_model
from compress.registry.plugins import engine_for, load_plugins
from compress.session import generate
from compress.sessions import TorchSession

ONE = Placement("cpu", 1)


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("openvino") is None, reason="openvino is not installed: pip install openvino"
)
@pytest.mark.parametrize("family", ["llama", "t5"])
def test_an_exported_model_writes_the_tokens_of_pytorch(family: str, tmp_path: Path) -> None:
    task = task_named("text2text-generation" if is_pair(family) else "text-generation")
    source = save_writer(tmp_path / "model", family, task)
    rows = {split: rows_for(family, 4, 1) for split in ("train", "test")}
    made = make_artifact(tmp_path / "step", "export.openvino", task, rows, input=source)
    session = engine_for(load_plugins(), "openvino").open(made, ONE, task)
    processor = task.processor(source.folder)
    features = task.features(task.samples(), processor)
    batch = task.prompts(features, processor)
    assert batch is not None
    limits = Limits(max_new_tokens=6)
    want = generate(TorchSession(open_model(source, task), "cpu"), batch, limits)
    assert generate(session, batch, limits) == want
