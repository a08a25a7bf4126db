"""Starting workers and talking to them. Nothing here imports torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from compress.errors import CompressError
from compress.machine import threads
from compress.store.files import write_text
from compress.workers.channel import Line, Listener
from compress.workers.encoding import encode
from compress.workers.failures import describe, error_of
from compress.workers.forking import ForkedProcess, WorkerServer
from compress.workers.protocol import (
    Answer,
    Command,
    Failed,
    Finished,
    ForUser,
    Job,
    MakeChoice,
    MeasureCandidates,
    Message,
    Note,
    PredictCandidate,
    Progress,
    Question,
    Reply,
)

ShowUser = Callable[[ForUser], None]
AnswerQuestion = Callable[[Question], Answer]
R = TypeVar("R", bound=Reply)
_GRACE_SECONDS = 10
"""Seconds from the request to end until a worker is killed."""
_KEEPING_SECONDS = 60
"""The same for a worker that may have a training to keep: it ends its step and writes a
checkpoint."""


def worker_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a worker: this process's threads, no telemetry, no code from the hub."""
    return {
        **environ,
        "OMP_NUM_THREADS": str(threads(environ)),
        "TOKENIZERS_PARALLELISM": "false",
        "USE_HUB_KERNELS": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONUNBUFFERED": "1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }


@dataclass
class Worker:
    """A running worker; ``line`` is None if it ended before it opened its line. ``failure`` is what
    ended its job, if it told that."""

    process: subprocess.Popen[bytes] | ForkedProcess
    line: Line | None
    log: Path
    failure: Failed | None = None

    def messages(self) -> Iterator[Message]:
        """The worker's messages, until it ends."""
        return self.line.messages() if self.line else iter(())

    def ask(self, command: Command, reply: type[R]) -> R:
        """Send a command and wait for its reply. Raises the worker's error, or CompressError if the
        worker has ended."""
        assert self.line is not None  # ``reply`` was called before, and raises without a line
        try:
            self.line.send(command)
        except ConnectionError:
            raise self.ended() from None
        return self.reply(reply)

    def reply(self, expected: type[R]) -> R:
        """The next message that is neither progress nor a note. Raises as ``ask`` does."""
        for message in self.messages():
            if isinstance(message, Failed):
                raise error_of(message, self.log)
            if not isinstance(message, Progress | Note):
                assert isinstance(message, expected), message
                return message
        raise self.ended()

    def ended(self) -> CompressError:
        """The error of a worker that ended without a result. Waits for its end."""
        code = self.process.wait()
        if code >= 0:
            return CompressError(
                f"the worker ended with code {code} and no result; its output is in {self.log}"
            )
        name = signal.Signals(-code).name
        guess = " (out of memory?)" if -code == signal.SIGKILL else ""
        return CompressError(f"the worker was ended by {name}{guess}; its output is in {self.log}")

    def let_end(self, show_user: ShowUser) -> None:
        """Ask the process to end, and show the notes that it sends until it does. A training is
        kept; another job ends at once."""
        self.process.terminate()
        killing = threading.Timer(_KEEPING_SECONDS, self.process.kill)
        killing.start()
        try:
            for message in self.messages():
                if isinstance(message, Note):
                    show_user(message)
        finally:
            killing.cancel()

    def stop(self) -> None:
        """End the process and close the line."""
        if self.line:
            self.line.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


Watch = Callable[[Worker], AbstractContextManager[object]]


@contextmanager
def started(
    job: Job, job_file: Path, log: Path, server: WorkerServer | None = None
) -> Iterator[Worker]:
    """A worker on ``job``, stopped at the end of the block. Its output goes to ``log``.

    It starts from the ``server`` if that has what the job needs, else as a fresh process."""
    job_file.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    write_text(job_file, encode(job, indent=2))
    environment = worker_environment()
    with closing(Listener()) as listener:  # also if the wait for the server is interrupted
        forked = server.fork(job, job_file, listener.address, log, environment) if server else None
        process = forked or _fresh(job_file, listener.address, log, environment)
        worker = Worker(process, None, log)
        try:
            while worker.line is None and worker.process.poll() is None:
                worker.line = listener.accept(0.5)
            yield worker
        finally:
            worker.stop()


def _fresh(
    job_file: Path, address: str, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """A worker in a fresh process."""
    # -P: without it Python would import from the working directory, and run a file there that is
    # named like a module, such as evaluate.py.
    command = [sys.executable, "-P", "-m", "compress.workers.worker", str(job_file), address]
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )


def run_job(
    job: Job,
    job_file: Path,
    log: Path,
    show_user: ShowUser,
    answer: AnswerQuestion,
    server: WorkerServer | None = None,
    watch: Watch = nullcontext,
) -> Finished:
    """The result of a job done in a worker. ``show_user`` gets its progress and notes; ``answer``
    answers its questions. The worker may start from the ``server``. ``watch(worker)`` is entered
    when it has started, and left when it has done its job.

    Raises the worker's error, or CompressError if it was killed. When this process is interrupted,
    the worker may keep what it has done of a training."""
    with started(job, job_file, log, server) as worker, watch(worker):
        try:
            return _result(worker, show_user, answer)
        except KeyboardInterrupt:
            worker.let_end(show_user)
            raise


def _result(worker: Worker, show_user: ShowUser, answer: AnswerQuestion) -> Finished:
    """The worker's result, once it has sent it."""
    for message in worker.messages():
        match message:
            case Finished():
                worker.process.wait()
                return message
            case Failed():
                worker.failure = message
                raise error_of(message, worker.log)
            case MeasureCandidates() | PredictCandidate() | MakeChoice():
                _send(worker, _answered(message, answer))
            case Progress() | Note():
                show_user(message)
    raise worker.ended()


def _answered(question: Question, answer: AnswerQuestion) -> Answer | Failed:
    """The answer, or the error that the stage is to get in its place."""
    try:
        return answer(question)
    except CompressError as error:
        return describe(error)


def _send(worker: Worker, message: Answer | Failed) -> None:
    """Send an answer. If the worker has ended meanwhile, its messages end too, which is noticed
    there."""
    assert worker.line is not None  # the question came over it
    with suppress(ConnectionError):
        worker.line.send(message)
