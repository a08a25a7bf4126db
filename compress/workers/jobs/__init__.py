"""What a worker can be asked to do, by the job's ``kind``. Each takes (job, line, registry) and
gives its result back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compress.registry.plugins import Registry
from compress.workers.channel import WorkerLine
from compress.workers.jobs import (
    configuring,
    download,
    families,
    importing,
    preparing,
    probing,
    staging,
)

Job = dict[str, Any]

JOBS: dict[str, Callable[[Job, WorkerLine, Registry], dict[str, Any]]] = {
    "prepare": preparing.run,
    "download": download.run,
    "import": importing.run,
    "families": families.run,
    "configure": configuring.run,
    "stage": staging.run,
    "probe": probing.run,
}
