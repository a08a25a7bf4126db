"""The jobs that a worker can do: a function for each type. It gets the job, the line to the
supervisor and the installed plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compress.registry.plugins import Registry
from compress.workers.channel import WorkerLine
from compress.workers.jobs import (
    configuring,
    download,
    families,
    importing,
    opening,
    preparing,
    probing,
    staging,
)
from compress.workers.protocol import (
    ApplyStage,
    AskFamilies,
    ConfigureModel,
    DownloadModel,
    Finished,
    ImportModel,
    Job,
    OpenArtifact,
    PrepareData,
    ProbeArtifact,
)

JOBS: Mapping[type[Job], Callable[[Any, WorkerLine, Registry], Finished]] = {
    PrepareData: preparing.run,
    DownloadModel: download.run,
    ImportModel: importing.run,
    AskFamilies: families.run,
    ConfigureModel: configuring.run,
    ApplyStage: staging.run,
    OpenArtifact: opening.run,
    ProbeArtifact: probing.run,
}
