"""The job that builds a fresh model without memory: whether its configuration is one, before hours
are spent."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from compress.errors import CompressError, UsageError
from compress.registry.plugins import Registry
from compress.workers.channel import WorkerLine
from compress.workers.jobs.common import task_of


def run(job: dict[str, Any], line: WorkerLine, registry: Registry) -> dict[str, Any]:
    """The whole config of the fresh model in ``job["output"]``.

    Raises UsageError where the family takes no such configuration, or builds no model of it."""
    import torch

    from compress.models import fresh_model

    fresh = job["fresh"]
    try:
        with torch.device("meta"):
            model = fresh_model(fresh, task_of(job, registry), job["labels"])
    except CompressError:
        raise
    except Exception as error:  # a family's code raises what it happens to when it is given values that it cannot use
        traceback.print_exc()
        raise UsageError(
            f"no {fresh['type']} model can be built of this configuration: {_said(error)}"
        ) from error
    model.config.to_json_file(Path(job["output"]) / "config.json", use_diff=False)
    return {}


def _said(error: Exception) -> str:
    """The line of an error that says what is wrong, with its type where the text alone may say
    little (``'gelo'``)."""
    from huggingface_hub.errors import StrictDataclassError

    lines = str(error).splitlines() or [""]
    if isinstance(error, StrictDataclassError):
        return lines[-1].strip().removeprefix("TypeError: ")  # the first names the field alone
    return lines[0] if isinstance(error, ValueError) else f"{type(error).__name__}: {lines[0]}"
