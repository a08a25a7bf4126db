"""The job that opens an artifact in its engine and takes samples when it is told to."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import psutil

from compress.artifact import Artifact
from compress.channel import WorkerLine
from compress.engine import Engine, Placement, Session
from compress.errors import EnvironmentFailure
from compress.jobs.common import data_of, task_of
from compress.machine import forget_peak_memory
from compress.meter import Probe
from compress.plugins import Registry


def run(job: dict[str, Any], line: WorkerLine, registry: Registry) -> dict[str, Any]:
    """Samples on demand: ``{"meter": name, "do": "prepare" | "sample"}`` in, the sample out, until ``{"do": "end"}``."""
    probe = open_probe(job, registry)
    line.send({"ready": {"load_seconds": probe.load_seconds}})
    while True:
        asked = line.receive()
        if asked["do"] == "end":
            return {}
        meter = registry.meters[asked["meter"]].cls()
        if asked["do"] == "prepare":
            meter.prepare(probe)
            line.send({"prepared": asked["meter"]})
        else:
            line.send({"sample": meter.sample(probe)})


def engine_for(registry: Registry, artifact_format: str) -> Engine:
    """The engine that opens a format. Raises EnvironmentFailure where no installed plugin brings one."""
    for entry in registry.engines.values():
        if artifact_format in entry.cls.formats:
            engine: Engine = entry.cls()
            return engine
    raise EnvironmentFailure(f"no installed engine opens {artifact_format} models")


class Slowed:
    """A session each of whose calls takes ``share`` longer than the one it wraps, by waiting busily: what an instrument
    must find."""

    def __init__(self, session: Session, share: float) -> None:
        self.session, self.share, self.inputs = session, share, session.inputs

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the wrapped session gives, later."""
        start = time.perf_counter()
        outputs = self.session.run(batch)
        end = time.perf_counter()
        until = end + self.share * (end - start)
        while time.perf_counter() < until:
            pass
        return outputs


def open_probe(job: dict[str, Any], registry: Registry) -> Probe:
    """The job's artifact, verified and loaded in its engine, with the test split's features ready."""
    artifact, task, data = Artifact.open(job["artifact"]), task_of(job, registry), data_of(job)
    engine = engine_for(registry, artifact.traits.format)
    processor = task.processor(artifact.folder)
    rows = data.rows("test") if data else []
    features = task.features(rows, processor)
    device = job.get("device") or engine.devices()[0]
    placement = Placement(device, int(os.environ["OMP_NUM_THREADS"]))
    engine.start()
    forget_peak_memory()
    before, start = psutil.Process().memory_info().rss, time.perf_counter()
    session: Session = engine.open(artifact, placement, task)
    seconds = time.perf_counter() - start
    if job["slowdown"]:
        session = Slowed(session, job["slowdown"])
    memory = {"before_load": before, "after_load": psutil.Process().memory_info().rss}
    return Probe(artifact, engine.name, session, placement, task, processor, rows, artifact.manifest.labels, features,
                 memory, seconds, job["effort"], runtime=engine)
