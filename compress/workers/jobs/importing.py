"""The job that makes an artifact of a model folder from outside."""

from __future__ import annotations

from compress.artifact import MANIFEST, with_files
from compress.pretrained.taking import take_in
from compress.registry.plugins import Registry
from compress.workers.channel import WorkerLine
from compress.workers.protocol import Finished, ImportModel


def run(job: ImportModel, line: WorkerLine, registry: Registry) -> Finished:
    """Write an artifact with the files of ``job.folder`` into ``job.output``."""
    manifest = take_in(
        job.folder, job.output, registry, step=job.step, source=job.source, tasks=job.tasks
    )
    is_whole = (job.folder / MANIFEST).is_file()
    (manifest if is_whole else with_files(manifest, job.output)).write(job.output)
    return Finished()
