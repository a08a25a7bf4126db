"""What a bundle's programs read: the settings of the tokenizer and the task, and examples with the
answers that must be given again."""

from __future__ import annotations

import importlib
from typing import Any

from compress.artifact import Artifact
from compress.bundling.files.predict import BUNDLE_VERSION
from compress.bundling.programs import Parts
from compress.errors import EnvironmentFailure, UsageError
from compress.machine import versions
from compress.predictor import Predictor
from compress.processor import TextProcessor
from compress.version import __version__

LIBRARIES = ("numpy", "tokenizers")
"""What the programs need besides the engine's own packages."""
SERVER = {"fastapi": "0.165.0", "uvicorn": "0.54.0"}
"""What serve.py needs besides, at the versions that it was tried with. A bundle may be made where
they are not installed."""
_BATCH = 8
"""Texts of near-equal length that are answered together, where that changes no answer."""
_TOLERANCE, _INT8_TOLERANCE = 1e-3, 0.1
"""By how much a number of an answer may differ on another machine. int8 is rounded otherwise with
other instructions: see quantize.onnx, reduce_range."""


def batch_size_of(artifact: Artifact) -> int:
    """How many texts are answered together: one where the answer to a text would change with the
    others, as with int8, whose activations have the scales of their batch."""
    return _BATCH if artifact.traits.precision == "float" else 1


def settings_of(predictor: Predictor, parts: Parts) -> dict[str, Any]:
    """The content of ``bundle.json``. Raises UsageError for a task whose processor is no
    tokenizer."""
    artifact, processor = predictor.artifact, predictor.processor
    if not isinstance(processor, TextProcessor):
        raise UsageError(f"{artifact.folder} does not read texts, so it cannot be bundled")
    files = parts.engine.model_files(artifact)
    return {
        "bundle_version": BUNDLE_VERSION,
        "compress_version": __version__,
        "name": artifact.manifest.step,
        "artifact": artifact.digest,
        "task": predictor.task.name,
        "options": predictor.task.options.model_dump(mode="json"),
        "labels": list(artifact.manifest.labels),
        "model": [file.relative_to(artifact.folder).as_posix() for file in files],
        "batch_size": batch_size_of(artifact),
        "tokenizer": {
            "pad_id": processor.pad_id,
            "cls_id": processor.token_id("cls"),
            "padding_side": "left" if processor.read_at.last_position else "right",
            "truncation_side": processor.cut_side,
            "token_types": processor.uses_token_types,
            "end_token": processor.read_at.end_token,
            "spaces_are_bytes": processor.spaces_are_bytes,
        },
    }


def examples_of(predictor: Predictor, parts: Parts) -> dict[str, Any]:
    """The content of ``examples.json``: requests of the task, each with the toolkit's answer."""
    requests = importlib.import_module(parts.task.bundled).EXAMPLES
    answers = predictor(requests)
    precision = predictor.artifact.traits.precision
    return {
        "tolerance": _TOLERANCE if precision == "float" else _INT8_TOLERANCE,
        "examples": [
            {"request": request, "answer": answer}
            for request, answer in zip(requests, answers, strict=True)
        ],
    }


def server_requirements() -> str:
    """The content of ``requirements-serve.txt``."""
    pins = "".join(f"{name}=={version}\n" for name, version in SERVER.items())
    return f"-r requirements.txt\n{pins}"


def requirements_of(parts: Parts) -> str:
    """The content of ``requirements.txt``: what the programs need, at the installed versions.

    Raises EnvironmentFailure for a distribution whose version is not known."""
    wanted = sorted({*LIBRARIES, *parts.engine.packages})
    installed = versions(wanted)
    missing = next((name for name in wanted if name not in installed), None)
    if missing:
        raise EnvironmentFailure(f"{missing} is not installed, so its version cannot be stated")
    return "".join(f"{name}=={installed[name]}\n" for name in wanted)
