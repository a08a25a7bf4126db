"""From a PyTorch model to the files of OpenVINO."""

# ruff: noqa: I001 - the session comes first: it switches the telemetry off for all that follows

from __future__ import annotations

from pathlib import Path
from typing import Any

from compress_openvino.session import OpenVinoSession

import openvino
from torch import Tensor, nn
from transformers.exporters.exporter_openvino import OpenVINOExporter

from compress.artifact import Artifact
from compress.engine import Placement
from compress.exportable import Exportable
from compress.exportchecks import refuse_difference
from compress.exporting import PartSession, called, checked_parts, export
from compress.stage import Context
from compress_openvino import BEGINNING
from compress_openvino.writing import write_model

_ANY = -1
"""OpenVINO's word for an axis of any size."""


def export_parts(context: Context[Any], source: Artifact, folder: Path) -> None:
    """Write the parts of the source's model into ``folder``, in float32.

    Raises ModelRefused for a model that cannot be exported, or that answers otherwise."""
    for part, batches in checked_parts(source, context.task, context.architectures):
        file = folder / f"{BEGINNING}{part.name}.xml"
        program = _kept(export(part, OpenVINOExporter, _trace, stateful=False), part)
        _size(program, part)
        write_model(program, file)
        session = OpenVinoSession(file, Placement("cpu", 1))
        refuse_difference(PartSession(part), session, batches, f"{called(part)} in PyTorch")


def _trace(module: nn.Module, tensors: tuple[Tensor, ...], part: Exportable) -> openvino.Model:
    """The model of one run of ``module``."""
    program = openvino.convert_model(module, example_input=tensors)
    for ports, names in ((program.inputs, part.inputs), (program.outputs, part.outputs)):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    return program


def _kept(program: openvino.Model, part: Exportable) -> openvino.Model:
    """``program`` with the outputs of ``part`` alone."""
    kept = [port.node for port in program.outputs if port.any_name in part.outputs]
    return openvino.Model(kept, program.get_parameters())


def _size(program: openvino.Model, part: Exportable) -> None:
    """Give the inputs of ``program`` the sizes that are fixed: a converter may take all for any,
    and who makes keys and values needs their number of heads and their width."""
    sizes = {name: _sizes(part, name) for name in part.inputs}
    fixed = {name: shape for name, shape in sizes.items() if set(shape) != {_ANY}}
    if fixed:
        program.reshape(fixed)


def _sizes(part: Exportable, name: str) -> list[int]:
    named = part.named_axes(name)
    shape = part.inputs[name].shape
    return [_ANY if place in named else size for place, size in enumerate(shape)]
