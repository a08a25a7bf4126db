"""Whether what a run reads from outside is the same as before: its data, and its model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compress.artifact import JsonObject, sha256_file
from compress.errors import CompressError
from compress.planning import DataChoice, Input, Plan
from compress.pretrained.modelfolder import source_files


def contents_of(plan: Plan) -> dict[str, Any]:
    """JSON-ready values that change whenever the content of the plan's data or model folders
    changes. What cannot be read is None: the run itself says why."""
    data = [plan.data, *(step.data for step in plan.steps)]
    return {
        "data": [_identity(choice) for choice in data if choice],
        "models": [None if model.from_hub else _digests(model) for model in plan.inputs],
    }


def _identity(data: DataChoice) -> JsonObject | None:
    try:
        return dict(data.make().identity())
    except (CompressError, OSError):
        return None


def _digests(model: Input) -> JsonObject | None:
    folder = Path(model.source)
    try:
        files = sorted(source_files(folder))
        return {file.relative_to(folder).as_posix(): sha256_file(file) for file in files}
    except (CompressError, OSError):
        return None
