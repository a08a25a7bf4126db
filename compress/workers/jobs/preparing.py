"""The job that reads a source and writes prepared data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compress.registry.plugins import Registry
from compress.store.prepared import prepare
from compress.workers.channel import WorkerLine
from compress.workers.jobs.common import source_of, task_of


def run(job: dict[str, Any], line: WorkerLine, registry: Registry) -> dict[str, Any]:
    """Prepared data in ``job["output"]``."""
    prepare(source_of(job, registry), task_of(job, registry), Path(job["output"]))
    return {}
