"""The float graphs of an artifact: one product of the store, which every stage here starts from. So
they are exported and checked once, whatever is made of them. No torch, unless they are exported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from compress.artifact import Artifact
from compress.engine import Placement
from compress.exportable import Exportable
from compress.exportchecks import refuse_difference
from compress.machine import versions
from compress.stage import Context
from compress.task import Batch
from compress_onnx.graph import write_graph
from compress_onnx.names import LIBRARIES

KIND = "onnx-graph"
_EXAMPLES = ".safetensors"


def float_graphs(context: Context[Any], artifact: Artifact) -> list[Path]:
    """The files with the float graphs of a PyTorch ``artifact``, from the store, or exported now:
    ``NAME.onnx`` for each part of the model that is exported. Weights of more than 2 GB are in a
    file beside them.

    Raises ModelRefused for a model that cannot be exported, or whose graph gives other outputs than
    the model."""
    ingredients = {
        "input": artifact.digest,
        "task": context.task.name,
        "task_options": context.task.options.model_dump(mode="json"),
        "libraries": versions(("compress-toolkit", *LIBRARIES, *artifact.manifest.needs)),
    }
    folder = context.product(KIND, ingredients, lambda out: _export(context, artifact, out))
    return sorted(folder.glob("*.onnx"))


def _export(context: Context[Any], artifact: Artifact, folder: Path) -> None:
    from compress.exporting import checked_parts

    write_checked(checked_parts(artifact, context.task, context.architectures), folder)


def write_checked(parts: Iterable[tuple[Exportable, Sequence[Batch]]], folder: Path) -> list[Path]:
    """The files ``NAME.onnx`` with the graphs of the ``parts``, and beside each the inputs that it
    was checked with. Raises ModelRefused as ``float_graphs`` does."""
    # First: it switches ONNX Runtime's telemetry off before anything else imports it.
    from compress_onnx.session import FAILURES, OnnxSession  # isort: skip

    from compress.exporting import PartSession, called
    from compress_onnx.exporting import export_graph

    files = []
    for part, examples in parts:
        files.append(folder / f"{part.name}.onnx")
        write_graph(export_graph(part), files[-1])
        made = OnnxSession(files[-1], Placement("cpu", 1))
        of = f"the PyTorch version of {called(part)}"
        refuse_difference(PartSession(part), made, examples, of, FAILURES)
        _write_examples(files[-1], examples)
    return files


def examples_of(graph: Path) -> list[Batch]:
    """The inputs that the float graph in ``graph`` was checked with."""
    arrays = load_file(graph.with_suffix(_EXAMPLES))
    batches: dict[int, Batch] = defaultdict(dict)
    for key, array in arrays.items():
        number, _, name = key.partition(".")
        batches[int(number)][name] = array
    return [batches[number] for number in sorted(batches)]


def _write_examples(graph: Path, batches: Sequence[Batch]) -> None:
    arrays = {}
    for number, batch in enumerate(batches):
        for name, array in batch.items():
            arrays[f"{number}.{name}"] = np.ascontiguousarray(array)
    save_file(arrays, graph.with_suffix(_EXAMPLES))
