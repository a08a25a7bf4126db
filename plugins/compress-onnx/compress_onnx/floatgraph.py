"""The float graph of an artifact: one product of the store, which every stage here starts from. So
it is exported and checked once, whatever is made of it. No torch, unless it is exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compress.artifact import Artifact
from compress.engine import Placement
from compress.machine import versions
from compress.stage import Context
from compress_onnx import LIBRARIES
from compress_onnx.checking import checked_batches, refuse_difference, traced_batch
from compress_onnx.graph import write_graph

KIND = "onnx-graph"
_FILE = "model.onnx"


def float_graph(context: Context[Any], artifact: Artifact) -> Path:
    """The file with the float graph of a PyTorch ``artifact``, from the store, or exported now.
    Weights of more than 2 GB are in a file beside it.

    Raises ModelRefused for a model that cannot be exported, or whose graph gives other outputs than
    the model."""
    ingredients = {
        "input": artifact.digest,
        "task": context.task.name,
        "task_options": context.task.options.model_dump(mode="json"),
        "libraries": versions(("compress-toolkit", *LIBRARIES)),
    }
    folder = context.product(KIND, ingredients, lambda out: _export(context, artifact, out / _FILE))
    return folder / _FILE


def _export(context: Context[Any], artifact: Artifact, file: Path) -> None:
    from compress_onnx.session import OnnxSession  # isort: skip - before what imports ONNX Runtime
    from compress.models import open_model
    from compress.sessions import TorchSession
    from compress_onnx.exporting import export_graph

    batch = traced_batch(context, artifact)
    session = TorchSession(open_model(artifact, context.task), "cpu")
    read = {name: array for name, array in batch.items() if name in session.inputs}
    write_graph(export_graph(session.model, read, tuple(session.run(batch))), file)
    made = OnnxSession(file, Placement("cpu", 1))
    of = f"the PyTorch {session.model.config.model_type} model"
    refuse_difference(session, made, checked_batches(context, artifact), of)
