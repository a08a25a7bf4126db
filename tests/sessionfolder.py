"""One folder of a test session. With pytest-xdist, its processes share what one of them made."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from functools import cache
from pathlib import Path
from subprocess import Popen
from threading import Thread
from uuid import uuid4


class SessionFolder:
    """``path`` is the same in all processes of a session, and the last one that leaves removes
    it."""

    def __init__(self) -> None:
        session = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid4().hex)
        self.path = Path(tempfile.gettempdir()) / f"compress-tests-{session}"
        self.path.mkdir(exist_ok=True)
        self._held = (self.path / "held").open("a")
        flock(self._held, LOCK_SH)
        self._started: list[tuple[Popen[str], Thread]] = []

    def start_once(self, name: str, start: Callable[[Path], Popen[str]]) -> None:
        """Call ``start`` with the folder ``name``, unless a process of the session did that."""
        folder = self.path / name
        try:
            folder.mkdir()
        except FileExistsError:
            return
        process = start(folder)
        watch = Thread(target=self._keep_code, args=(name, process), daemon=True)
        watch.start()
        self._started.append((process, watch))

    def _keep_code(self, name: str, process: Popen[str]) -> None:
        code = process.wait()
        written = self.path / f"{name}.written"
        written.write_text(str(code), encoding="ascii")
        written.rename(self._code_file(name))

    def _code_file(self, name: str) -> Path:
        return self.path / f"{name}.code"

    def exit_code(self, name: str) -> int | None:
        """How the process of ``start_once(name, ...)`` ended, whoever started it; None before."""
        file = self._code_file(name)
        return int(file.read_text(encoding="ascii")) if file.exists() else None

    def leave(self) -> None:
        """Remove the folder, or leave it to those that still need it, after the end of what was
        started here."""
        while not self._is_last():
            if not any(watch.is_alive() for _, watch in self._started):
                return
            time.sleep(0.1)
        for process, watch in self._started:
            process.kill()
            watch.join()
        shutil.rmtree(self.path, ignore_errors=True)

    def _is_last(self) -> bool:
        """The own hold is given up before those of others are looked at: so one of several that
        leave at once is the last."""
        try:
            flock(self._held, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True


@cache
def session_folder() -> SessionFolder:
    """This session's folder, which is made when it is first asked for."""
    return SessionFolder()


def leave_session_folder() -> None:
    """What a process does at the end of the session."""
    if session_folder.cache_info().currsize:
        session_folder().leave()
