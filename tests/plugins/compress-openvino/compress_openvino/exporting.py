"""From a PyTorch model to the files of OpenVINO."""

# ruff: noqa: I001 - the session comes first: it switches the telemetry off for all that follows

from __future__ import annotations

import shutil

from compress_openvino.session import OpenVinoSession

import openvino
from torch import Tensor, nn
from transformers.exporters.exporter_openvino import OpenVINOExporter

from compress.engine import Placement
from compress.exportable import Exportable
from compress.exportchecks import refuse_difference
from compress.exporting import PartSession, called, checked_parts, export
from compress.options import Options
from compress.stage import Context, Made


def export_artifact(context: Context[Options]) -> Made:
    """Write the parts of the input's model, with its config and its tokenizer.

    Raises ModelRefused for a model that cannot be exported, or that answers otherwise."""
    source = context.input
    assert source is not None, "a plan gives this stage an input"
    for part, batches in checked_parts(source, context.task, context.architectures):
        file = context.output / f"openvino_{part.name}.xml"
        program = _kept(export(part, OpenVINOExporter, _trace, stateful=False), part)
        openvino.save_model(program, file, compress_to_fp16=False)
        session = OpenVinoSession(file, Placement("cpu", 1))
        refuse_difference(PartSession(part), session, batches, f"{called(part)} in PyTorch")
    shutil.copyfile(source.folder / "config.json", context.output / "config.json")
    context.task.processor(source.folder).save(context.output)
    return Made(parameters=source.manifest.parameters)


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
