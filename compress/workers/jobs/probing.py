"""The job that opens an artifact in its engine and takes samples when it is told to."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import psutil

from compress.artifact import Artifact
from compress.engine import Engine, Placement, Session
from compress.machine import forget_peak_memory, peak_memory, stay_on_cores, threads
from compress.meter import Probe
from compress.registry.plugins import Registry, engine_for, naming_what_is_missing
from compress.task import Task, meant_labels
from compress.workers.channel import WorkerLine
from compress.workers.jobs.common import data_of, task_of

_REST_SECONDS = 0.01
_REST_STEPS = 50
"""Steps waited for the threads at most: a plugin's own may never rest."""


def run(job: dict[str, Any], line: WorkerLine, registry: Registry) -> dict[str, Any]:
    """Samples on demand: ``{"meter": name, "do": "prepare" | "sample"}`` in, the sample out, until
    ``{"do": "end"}``.

    Everything but the artifact itself is loaded before it is asked for (``{"do": "open"}``), so
    that sides can start together and still load one at a time: their seconds are measured."""

    def await_turn() -> None:
        gc.freeze()  # else each reopening would search all that was imported for garbage: 0.2 of its 0.25 seconds
        line.send({"started": True})
        line.receive()

    probe = open_probe(job, registry, await_turn)
    line.send({"opened": True})
    while True:
        asked = line.receive()
        if asked["do"] == "end":
            return {}
        if asked["do"] == "reopen":
            reopen(probe, job["slowdown"])
            line.send({"reopened": True})
            continue
        meter = registry.meters[asked["meter"]].cls()
        if asked["do"] == "prepare":
            meter.prepare(probe)
            come_to_rest()
            line.send({"prepared": asked["meter"]})
        else:
            sample = meter.sample(probe)
            come_to_rest()
            line.send({"sample": sample})


def come_to_rest() -> None:
    """Return when this process's threads do nothing any more, for the next turn is another's.

    A pool's threads go on spinning after the work: those of ONNX Runtime 1.32 for about 35 ms,
    libgomp's for 6."""
    before = time.process_time()
    for _ in range(_REST_STEPS):
        time.sleep(_REST_SECONDS)
        now = time.process_time()
        if now - before < 0.1 * _REST_SECONDS:
            return
        before = now


class Slowed:
    """A session each of whose calls takes ``share`` longer than the one it wraps, by waiting
    busily: what an instrument must find."""

    def __init__(self, session: Session, share: float) -> None:
        self.session, self.share, self.inputs = session, share, session.inputs
        if hasattr(session, "elapsed"):
            self.elapsed = self._elapsed

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the wrapped session gives, later."""
        start = time.perf_counter()
        outputs = self.session.run(batch)
        end = time.perf_counter()
        until = end + self.share * (end - start)
        while time.perf_counter() < until:
            pass
        return outputs

    def _elapsed(self, batch: Mapping[str, np.ndarray]) -> float | None:
        """Milliseconds by the device's own events, prolonged as if the device had waited: the
        host's waiting is not in them."""
        milliseconds: float | None = self.session.elapsed(batch)  # type: ignore[attr-defined]
        return None if milliseconds is None else milliseconds * (1 + self.share)


def reopen(probe: Probe, slowdown: float) -> None:
    """Load the probe's artifact anew: its weights then lie elsewhere in memory, which makes up to a
    percent of its speed."""
    assert probe.runtime is not None  # open_probe set it
    probe.state.clear()
    del probe.session  # two at once might not fit
    gc.collect()
    probe.session = _opened(probe.runtime, probe.artifact, probe.placement, probe.task, slowdown)


def _opened(
    engine: Engine, artifact: Artifact, placement: Placement, task: Task[Any], slowdown: float
) -> Session:
    session: Session = engine.open(artifact, placement, task)
    return Slowed(session, slowdown) if slowdown else session


def open_probe(
    job: dict[str, Any], registry: Registry, await_turn: Callable[[], None] = lambda: None
) -> Probe:
    """The job's artifact, verified and loaded in its engine, with the test split's features ready.
    It is loaded last of all, when ``await_turn`` has returned."""
    artifact, task, data = Artifact.open(job["artifact"]), task_of(job, registry), data_of(job)
    engine = engine_for(registry, artifact.traits.format)
    processor = task.processor(artifact.folder)
    rows = data.rows("test") if data else []
    features = task.features(rows, processor)
    with naming_what_is_missing(engine.name, engine.extra):
        placement = Placement(engine.devices()[0], threads())
        engine.start()
    stay_on_cores(
        placement.threads
    )  # the engine's threads, which opening a model starts, inherit it
    await_turn()
    forget_peak_memory()
    memory = {"before_load": psutil.Process().memory_info().rss, "peak_before_load": peak_memory()}
    start = time.perf_counter()
    session = _opened(engine, artifact, placement, task, job["slowdown"])
    seconds = time.perf_counter() - start
    labels = meant_labels(artifact.manifest.labels, data.labels if data else ())
    return Probe(
        artifact,
        engine.name,
        session,
        placement,
        task,
        processor,
        rows,
        labels,
        features,
        memory,
        seconds,
        job["effort"],
        runtime=engine,
    )
