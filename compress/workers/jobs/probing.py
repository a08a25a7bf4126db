"""The job that opens an artifact in its engine and takes samples on command."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Sequence

import numpy as np
import psutil

from compress.activity import clock_mhz
from compress.artifact import Artifact
from compress.engine import Placement
from compress.errors import ModelRefused
from compress.featurising import FeatureRows
from compress.heads import meant_labels
from compress.machine import forget_peak_memory, peak_memory, stay_on_cores, threads
from compress.meter import Meter, Probe, Sample
from compress.predict import predict
from compress.pretrained.modelfolder import model_types
from compress.registry.models import needs_torch, register_models
from compress.registry.plugins import Registered, Registry, engine_for, explain_missing_package
from compress.rows import Picked, Row
from compress.task import Prediction
from compress.workers.channel import WorkerLine
from compress.workers.encoding import encode
from compress.workers.failures import why_no_figure
from compress.workers.jobs.common import task_of
from compress.workers.jobs.loads import Loads, opened
from compress.workers.protocol import (
    End,
    Finished,
    LoadUsed,
    Message,
    MeterPrepared,
    Open,
    Opened,
    Predict,
    Predicted,
    PrepareMeter,
    ProbeArtifact,
    Sampled,
    Started,
    TakeSample,
    UseLoad,
)

_REST_SECONDS = 0.01
"""Seconds between two looks at the process's CPU time."""
_REST_STEPS = 50
"""Looks at most: a thread of a plugin may never rest."""
_AT_REST = 0.1
"""The share of a core below which the process's threads count as resting."""


def run(job: ProbeArtifact, line: WorkerLine, registry: Registry) -> Finished:
    """Load the artifact when ``Open`` comes, then obey commands until ``End``.

    Everything but the artifact is loaded before ``Open``. So several workers can start together and
    still load one at a time: the seconds of a load are measured."""

    def await_turn() -> None:
        # Without this each reopening would search all imported modules for garbage: 0.2 of its
        # 0.25 seconds.
        gc.freeze()
        line.send(Started())
        command = line.receive()
        assert isinstance(command, Open), command

    probe = open_probe(job, registry, await_turn)
    line.send(Opened())
    loads = Loads(probe, job.subject.slowdown)
    while not isinstance(command := line.receive(), End):
        line.send(_obey(command, probe, loads, registry))
    return Finished()


def _obey(command: Message, probe: Probe, loads: Loads, registry: Registry) -> Message:
    """Do what a command says. The reply comes back."""
    match command:
        case UseLoad(number):
            loads.use(number)
            return LoadUsed()
        case PrepareMeter(name):
            return _prepared(registry.meters[name], probe)
        case TakeSample(name):
            return _sampled(registry.meters[name], probe)
        case Predict():
            return Predicted(_alone(probe))
    raise TypeError(f"{command} is not a command for a probe")


def _alone(probe: Probe) -> list[Prediction]:
    """The answer to each row, each computed alone, as quality is measured."""
    return predict(probe.session, probe.task, probe.processor, probe.rows, probe.features, 1)


def _prepared(meter: Registered[Meter], probe: Probe) -> MeterPrepared:
    failure = ""
    try:
        meter.cls().prepare(probe)
    except Exception as error:
        failure = _failure(meter, "prepare", error)
    come_to_rest()
    return MeterPrepared(failure)


def _sampled(meter: Registered[Meter], probe: Probe) -> Sampled:
    sample: Sample = {}
    failure, clock = "", None
    try:
        sample = meter.cls().sample(probe)
        clock = clock_mhz()  # before the rest, in which it sinks
        if not isinstance(sample, dict):
            raise TypeError(f"it returned {type(sample).__name__}, not a dict")
        encode(Sampled(sample))  # raises for what JSON cannot hold
    except Exception as error:
        sample, failure = {}, _failure(meter, "sample", error)
    come_to_rest()
    return Sampled(sample, clock, failure)


def _failure(meter: Registered[Meter], method: str, error: Exception) -> str:
    """Why a meter has no sample. The log gets the traceback. Raises the error of an engine that
    refuses the model: that is no failure of the meter."""
    if isinstance(error, ModelRefused):
        raise error
    traceback.print_exc()
    return why_no_figure(meter, method, error)


def come_to_rest() -> None:
    """Wait until this process's threads rest, because the next turn is another process's.

    A pool's threads go on spinning after the work: those of ONNX Runtime 1.32 for about 35 ms,
    libgomp's for 6. They would slow the other side, and only when it follows this one."""
    before = time.process_time()
    for _ in range(_REST_STEPS):
        time.sleep(_REST_SECONDS)
        now = time.process_time()
        if now - before < _AT_REST * _REST_SECONDS:
            return
        before = now


def _some(rows: Sequence[Row], count: int | None) -> Sequence[Row]:
    """``count`` rows, evenly from all of them: rows may be sorted. All, for None."""
    if count is None or count >= len(rows):
        return rows
    return Picked(rows, np.arange(count) * len(rows) // count)


def open_probe(
    job: ProbeArtifact, registry: Registry, await_turn: Callable[[], None] = lambda: None
) -> Probe:
    """The job's artifact, verified and loaded in its engine, with the features of the test split.

    The artifact is loaded last of all, after ``await_turn`` returned."""
    subject = job.subject
    artifact, task = Artifact.open(subject.folder), task_of(subject.task, registry)
    engine = engine_for(registry, artifact.traits.format)
    processor = task.processor(artifact.folder)
    rows = _some(subject.data.rows(subject.split) if subject.data else [], subject.rows)
    features = FeatureRows(task, rows, processor)
    with explain_missing_package(registry.engines[engine.name]):
        placement = Placement(engine.devices()[0], threads())
        engine.start()
        if needs_torch(engine.packages):
            register_models(registry, model_types([artifact.folder]))
    # Before the model is opened: that starts the engine's threads, which inherit the cores.
    stay_on_cores(placement.threads)
    await_turn()
    forget_peak_memory()
    memory = {"before_load": psutil.Process().memory_info().rss, "peak_before_load": peak_memory()}
    start = time.perf_counter()
    session = opened(engine, artifact, placement, task, subject.slowdown)
    seconds = time.perf_counter() - start
    labels = meant_labels(artifact.manifest.labels, subject.data.labels if subject.data else ())
    return Probe(
        artifact=artifact,
        engine=engine.name,
        session=session,
        placement=placement,
        task=task,
        processor=processor,
        rows=rows,
        labels=labels,
        features=features,
        host_memory=memory,
        load_seconds=seconds,
        effort=job.effort,
        runtime=engine,
        split=subject.split,
    )
