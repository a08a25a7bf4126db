"""Starting workers and listening to them. Nothing here imports torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from compress import errors
from compress.errors import CompressError, Mistake, UsageError
from compress.machine import threads
from compress.workers.channel import Line, Listener, Message

OnMessage = Callable[[Message], None]
OnQuestion = Callable[[Message], Message]
_GRACE_SECONDS = 10


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
    """A running worker; ``messages`` ends when it does."""

    process: subprocess.Popen[bytes]
    line: Line | None
    log: Path

    def messages(self) -> Iterator[Message]:
        """What the worker says."""
        return self.line.messages() if self.line else iter(())

    def ask(self, message: Message) -> Message:
        """Send a message and wait for the answer. Raises the worker's error, or CompressError where
        it ended."""
        assert self.line is not None
        try:
            self.line.send(message)
        except ConnectionError:
            raise_ended(self)
        return self.answer()

    def answer(self) -> Message:
        """The next message that is neither progress nor a note. Raises as ``ask`` does."""
        for message in self.messages():
            if "error" in message:
                raise_error(message["error"], self.log)
            if "progress" not in message and "note" not in message:
                return message
        raise_ended(self)

    def stop(self) -> None:
        """End the process and hang up."""
        if self.line:
            self.line.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def started(job: Mapping[str, Any], job_file: Path, log: Path) -> Iterator[Worker]:
    """A worker on ``job``, stopped at the end of the block. Its output goes to ``log``."""
    listener = Listener()
    job_file.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    job_file.write_text(json.dumps({**job, "line": listener.address}, indent=2), encoding="utf-8")
    # -P: the working directory must not be a place to import from, or a file named evaluate.py
    # there would run.
    command = [sys.executable, "-P", "-m", "compress.workers.worker", str(job_file)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=worker_environment(),
            start_new_session=True,
        )
    worker = Worker(process, None, log)
    try:
        while worker.line is None and process.poll() is None:
            worker.line = listener.accept(0.5)
        yield worker
    finally:
        listener.close()
        worker.stop()


def run_job(
    job: Mapping[str, Any],
    job_file: Path,
    log: Path,
    on_message: OnMessage,
    on_question: OnQuestion,
) -> Message:
    """The result of a job done in a worker; ``on_question`` answers what the worker asks meanwhile.

    Raises the worker's error; CompressError where it was killed."""
    with started(job, job_file, log) as worker:
        for message in worker.messages():
            if "result" in message:
                result: Message = message["result"]
                worker.process.wait()
                return result
            if "error" in message:
                raise_error(message["error"], log)
            if "question" in message and worker.line:
                answer = on_question(message["question"])
                with suppress(ConnectionError):  # it has ended meanwhile, which is told below
                    worker.line.send(answer)
            else:
                on_message(message)
        raise_ended(worker)


def raise_error(described: Mapping[str, Any], log: Path) -> NoReturn:
    """Raise the error that a worker described."""
    kind = described["kind"]
    if kind == "bug":
        raise CompressError(f"{described['text']} (traceback in {log})")
    if described.get("mistakes"):
        raise UsageError([Mistake(**m) for m in described["mistakes"]])
    cls = getattr(errors, kind, CompressError)
    if isinstance(cls, type) and issubclass(cls, CompressError):
        raise cls(described["text"])
    raise CompressError(described["text"])


def raise_ended(worker: Worker) -> NoReturn:
    """Raise what the end of a worker that said nothing means."""
    code = worker.process.wait()
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        raise CompressError(f"the worker was ended by {name}{hint}; its output is in {worker.log}")
    raise CompressError(
        f"the worker ended with code {code} and no result; its output is in {worker.log}"
    )
