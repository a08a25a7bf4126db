"""The job that reads a source and writes prepared data."""

from __future__ import annotations

from compress.registry.plugins import Registry
from compress.store.prepared import prepare
from compress.store.unlabelled import prepare_unlabelled
from compress.workers.channel import WorkerLine
from compress.workers.jobs.common import source_of, task_of
from compress.workers.protocol import Finished, PrepareData


def run(job: PrepareData, line: WorkerLine, registry: Registry) -> Finished:
    """Write the prepared data into ``job.output``."""
    source, task = source_of(job.source, registry), task_of(job.task, registry)
    write = prepare if job.targets else prepare_unlabelled
    write(source, task, job.output, job.seed)
    return Finished()
