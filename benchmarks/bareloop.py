"""Programs that answer lines of JSON, each in a process of its own; bare.py is one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from compress.errors import CompressError
from compress.workers.supervisor import worker_environment

_REST_SECONDS = 0.1
"""What the threads of a process are given to stop spinning before others are timed."""


class Talk:
    """A process that answers each line with one."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    def ask(self, message: Mapping[str, Any]) -> Any:
        """The answer. Raises CompressError, which names the log, where the process ended."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            words = " ".join(map(str, process.args))  # type: ignore[arg-type]
            last = self._log.read_text(encoding="utf-8").strip().rpartition("\n")[2]
            raise CompressError(f"{words} ended: {last}")
        return json.loads(answer)

    def ask_and_rest(self, message: Mapping[str, Any]) -> Any:
        """The answer, once the process is quiet."""
        answer = self.ask(message)
        time.sleep(_REST_SECONDS)
        return answer


@contextmanager
def talk(command: Sequence[object], log: Path, **environ: str) -> Iterator[Talk]:
    """A process with as many threads as a worker has, and a session of its own as a worker has:
    Linux shares a busy processor between sessions, not processes (``man 7 sched``, autogroup).
    What it complains about is written to ``log``."""
    with (
        log.open("w") as complaints,
        subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env={**worker_environment(), **environ},
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Talk(process, log)
        finally:
            process.terminate()
            with suppress(BrokenPipeError):  # what it was asked last, and never read
                process.stdin.close()  # type: ignore[union-attr]


class BareLoop:
    """A model that bare.py has loaded."""

    def __init__(self, process: Talk) -> None:
        self._process = process

    def score(self) -> dict[str, Any]:
        """The scores on the whole test file by name, and ``parameters`` (None: not counted)."""
        scores: dict[str, Any] = self._process.ask({"do": "score"})
        return scores

    def prepare(self, places: Sequence[int]) -> None:
        """Take the examples at these places of the test file for the rounds."""
        self._process.ask({"do": "prepare", "places": list(places)})

    def round(self) -> list[int]:
        """Nanoseconds of each example, one at a time."""
        taken: list[int] = self._process.ask_and_rest({"do": "round"})
        return taken


@contextmanager
def bare_loop(
    folder: Path,
    test: str | Path,
    log: Path,
    *,
    max_length: int = 128,
    tokenizer: Path | None = None,
) -> Iterator[BareLoop]:
    """bare.py on the model in ``folder``; ``tokenizer`` is the folder with the tokenizer and the
    names of the labels, where that is another one."""
    words = [sys.executable, Path(__file__).with_name("bare.py"), folder, "--test", test]
    words += ["--max-length", max_length, "--tokenizer", tokenizer or folder]
    with talk(words, log) as process:
        yield BareLoop(process)
