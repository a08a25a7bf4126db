"""Workers that start from a process with torch in memory: they are as fresh processes are."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from running import wait_for
from tiny import LABELS, MemorySource, save_bert, sentences, task_named

from compress.artifact import Artifact, Manifest, Traits, sha256_file
from compress.errors import CompressError, UsageError
from compress.measure import Subject, measure
from compress.registry.plugins import Registry
from compress.store.prepared import Prepared, prepare
from compress.store.store import Store
from compress.workers.forking import ForkedProcess, WorkerServer
from compress.workers.protocol import (
    ApplyStage,
    Chosen,
    ConfigureModel,
    Finished,
    Job,
    ProbeArtifact,
    Started,
)
from compress.workers.supervisor import run_job, started, worker_environment

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not Path("/proc/self/pagemap").exists(),
    reason="elsewhere every worker is a fresh process",
)
TASK = Chosen("text-classification", {"max_length": 16})


@pytest.fixture(scope="module", autouse=True)
def environ() -> Iterator[dict[str, str]]:
    """The environment of all workers here, which pytest would change for each test. With one
    thread, equal trainings end in equal bits."""
    with pytest.MonkeyPatch.context() as patch:
        fixed = worker_environment({**os.environ, "OMP_NUM_THREADS": "1"})
        patch.setattr("compress.workers.supervisor.worker_environment", lambda: dict(fixed))
        yield fixed


@pytest.fixture(scope="module")
def server(registry: Registry) -> Iterator[WorkerServer]:
    """One server for all tests here."""
    with WorkerServer(registry) as server:
        yield server


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny model."""
    folder = tmp_path_factory.mktemp("models") / "model"
    return save_bert(folder, task_named("text-classification"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Rows for training and test."""
    folder = tmp_path_factory.mktemp("data")
    splits = {"train": sentences(26, 0), "test": sentences(9, 3)}
    prepare(MemorySource(splits), task_named("text-classification"), folder)
    return Prepared(folder, sha256_file(folder / "train.arrow"))


def done(job: Job, folder: Path, server: WorkerServer | None) -> Finished:
    return run_job(job, folder / "job.json", folder / "log", print, pytest.fail, server)


def configure(folder: Path, **config: Any) -> ConfigureModel:
    fresh = {"type": "bert", "hidden_size": 8, "num_attention_heads": 2, **config}
    return ConfigureModel(fresh, TASK, LABELS, folder)


def training(model: Artifact, data: Prepared, folder: Path, registry: Registry) -> ApplyStage:
    options = registry.stages["finetune"].cls.Options(epochs=2, batch_size=4, precision="fp32")
    (folder / "output").mkdir(parents=True)
    (folder / "work").mkdir()
    return ApplyStage(
        stage="finetune",
        step="finetune",
        seed=7,
        options=options.model_dump(mode="json"),
        task=TASK,
        traits=Traits(task=TASK.name),
        store=Store(folder / "store"),
        input=model.folder,
        fresh=None,
        references={},
        data=data,
        output=folder / "output",
        work=folder / "work",
    )


@pytest.mark.slow
def test_a_training_ends_in_the_same_weights_as_in_a_fresh_process(
    model: Artifact, data: Prepared, server: WorkerServer, registry: Registry, tmp_path: Path
) -> None:
    digests = []
    for name, used in (("forked", server), ("fresh", None)):
        done(training(model, data, tmp_path / name, registry), tmp_path / name, used)
        digests.append(Manifest.read(tmp_path / name / "output").files["model.safetensors"])
    assert digests[0] == digests[1] != model.manifest.files["model.safetensors"]


def test_a_forked_worker_has_its_own_session_log_and_folder(
    model: Artifact, server: WorkerServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    probe = ProbeArtifact(Subject("model", model.folder, TASK, None), "quick")
    with started(probe, tmp_path / "job.json", tmp_path / "log", server) as worker:
        assert isinstance(worker.process, ForkedProcess)
        worker.reply(Started)
        process = psutil.Process(worker.process.pid)
        assert os.getsid(process.pid) == process.pid
        assert process.cwd() == str(tmp_path)
        outputs = {Path(f"/proc/{process.pid}/fd/{n}").readlink() for n in (1, 2)}
        assert outputs == {tmp_path / "log"}
        assert worker.process.poll() is None
    wait_for(lambda: not psutil.pid_exists(process.pid))


def test_an_error_of_a_forked_worker_is_raised_again_and_a_bug_is_in_its_log(
    server: WorkerServer, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no bert model can be built"):
        done(configure(tmp_path, hidden_act="gelo"), tmp_path, server)
    with pytest.raises(CompressError, match="KeyError: 'type' .traceback in"):
        done(ConfigureModel({}, TASK, LABELS, tmp_path), tmp_path, server)
    assert "Traceback" in (tmp_path / "log").read_text()


def test_a_forked_worker_that_is_killed_is_told_by_its_signal(
    model: Artifact, server: WorkerServer, tmp_path: Path
) -> None:
    probe = ProbeArtifact(Subject("model", model.folder, TASK, None), "quick")
    with started(probe, tmp_path / "job.json", tmp_path / "log", server) as worker:
        worker.reply(Started)
        os.kill(worker.process.pid, signal.SIGKILL)
        with pytest.raises(CompressError, match="ended by SIGKILL"):
            worker.reply(Started)


def test_memory_and_loading_are_those_of_a_fresh_process(
    model: Artifact, data: Prepared, server: WorkerServer, registry: Registry, tmp_path: Path
) -> None:
    """A forked process would count the pages of libraries that its model touches first, about 20 MB
    more, if it had not mapped them before."""
    subject = Subject("model", model.folder, TASK, data)
    memory = replace(registry, meters={"memory": registry.meters["memory"]})
    forked, fresh = (
        measure([subject], [], memory, tmp_path, "quick", server=used)["model"].measurements[
            "memory"
        ]
        for used in (server, None)
    )
    assert forked.value is not None and fresh.value is not None
    assert abs(forked.value - fresh.value) < 6e6  # 2e6 measured: modules that only loading imports


def test_a_job_that_needs_no_torch_and_a_thorough_measurement_have_fresh_processes(
    model: Artifact, server: WorkerServer, tmp_path: Path
) -> None:
    subject = Subject("model", model.folder, TASK, None)
    thorough = ProbeArtifact(subject, "thorough")
    for job in (thorough, ProbeArtifact(replace(subject, folder=tmp_path), "quick")):
        with started(job, tmp_path / "job.json", tmp_path / "log", server) as worker:
            assert isinstance(worker.process, subprocess.Popen)


def test_a_job_of_another_environment_has_a_fresh_process(
    server: WorkerServer,
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done(configure(tmp_path), tmp_path, server)
    monkeypatch.setitem(environ, "COLUMNS", "81")
    with started(configure(tmp_path), tmp_path / "job.json", tmp_path / "log", server) as worker:
        assert isinstance(worker.process, subprocess.Popen)


@pytest.mark.parametrize("why", ["a GPU", "it has ended"])
def test_what_the_server_cannot_do_a_fresh_process_does(
    why: str,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with WorkerServer(registry) as server:
        if why == "a GPU":
            monkeypatch.setattr("compress.workers.forking.gpus", lambda environ: ("a GPU",))
        else:
            monkeypatch.setattr("compress.workers.forking.SERVER", "compress.version")
        with started(
            configure(tmp_path), tmp_path / "job.json", tmp_path / "log", server
        ) as worker:
            assert isinstance(worker.process, subprocess.Popen)


def test_nothing_is_left_when_the_server_is_killed(
    model: Artifact, registry: Registry, tmp_path: Path
) -> None:
    probe = ProbeArtifact(Subject("model", model.folder, TASK, None), "quick")
    with (
        WorkerServer(registry) as server,
        started(probe, tmp_path / "job.json", tmp_path / "log", server) as worker,
    ):
        worker.reply(Started)
        forked = psutil.Process(worker.process.pid)
        forked.parent().kill()
        with pytest.raises(CompressError, match="ended by SIGKILL"):
            worker.reply(Started)
        wait_for(lambda: not psutil.pid_exists(forked.pid), 10)


def test_an_interrupt_while_the_server_imports_leaves_no_socket(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(server: WorkerServer, job: Job) -> bool:
        raise KeyboardInterrupt

    sockets = tmp_path / "sockets"
    sockets.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(sockets))
    monkeypatch.setattr(WorkerServer, "_is_ready", interrupt)
    with WorkerServer(registry) as server, pytest.raises(KeyboardInterrupt):
        done(configure(tmp_path), tmp_path, server)
    assert list(sockets.iterdir()) == []
