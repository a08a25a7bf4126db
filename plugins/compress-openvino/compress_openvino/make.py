"""The work of the stages: from an artifact to the files of an OpenVINO artifact. No torch, unless a
model is exported."""

# ruff: noqa: I001 - the writing comes first: it switches the telemetry off for all that follows

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from compress_openvino.writing import write_model

import openvino

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.stage import Context, Made
from compress_openvino.floatmodel import float_models

if TYPE_CHECKING:
    from compress_openvino import ExportOptions


def export_artifact(context: Context[ExportOptions]) -> Made:
    """Write the float models of the input, with its config and its processor.

    Raises ModelRefused for a model that cannot be exported, or that answers otherwise."""
    source = input_of(context)
    halved = context.options.weights == "fp16"
    for file in float_models(context, source):
        model = openvino.Core().read_model(file)
        write_model(model, context.output / file.name, halved=halved)
    write_companions(context, source)
    return Made(parameters=source.manifest.parameters)


def input_of(context: Context[Any]) -> Artifact:
    """The artifact that a stage works on."""
    if context.input is None:
        raise UsageError("a stage that makes OpenVINO models needs a model before it")
    return context.input


def write_companions(context: Context[Any], source: Artifact) -> None:
    """Write the config and the processor beside a model."""
    shutil.copyfile(source.folder / "config.json", context.output / "config.json")
    context.task.processor(source.folder).save(context.output)
