"""Writing a model of OpenVINO, equal models to equal bytes."""

# ruff: noqa: I001 - the session comes first: it switches the telemetry off for all that follows

from __future__ import annotations

import re
from pathlib import Path

import compress_openvino.session  # noqa: F401

import openvino


def write_model(model: openvino.Model, file: Path, *, halved: bool = False) -> None:
    """Write ``model`` as ``file`` and the ``.bin`` beside it; ``halved``: weights in float16.

    OpenVINO counts the nodes that a process has made, and names those without a name by that
    number. Here their name is their place in the model."""
    for place, node in enumerate(model.get_ordered_ops()):
        kind = node.get_type_name()
        if re.fullmatch(rf"{kind}_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{kind}_{place}")
    openvino.save_model(model, file, compress_to_fp16=halved)
