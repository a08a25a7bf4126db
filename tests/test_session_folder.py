"""The folder that the processes of a test session share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from subprocess import Popen

import pytest
from running import wait_for
from sessionfolder import SessionFolder


@pytest.fixture
def one_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "one")
    return tmp_path / "compress-tests-one"


def test_what_one_process_started_is_known_to_the_other_and_the_last_removes_it(
    one_session: Path,
) -> None:
    first, second = SessionFolder(), SessionFolder()
    started: list[Path] = []

    def start(folder: Path) -> Popen[str]:
        started.append(folder)
        code = "import sys; sys.stdin.read(); sys.exit(3)"
        return Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)

    second.start_once("run", start)
    first.start_once("run", start)
    assert started == [one_session / "run"] and first.exit_code("run") is None
    first.leave()
    assert one_session.is_dir()
    ((process, _),) = second._started
    assert process.stdin is not None
    process.stdin.close()
    wait_for(lambda: second.exit_code("run") is not None)
    third = SessionFolder()
    assert third.exit_code("run") == 3
    second.leave()
    assert one_session.is_dir()
    third.leave()
    assert not one_session.exists()


def test_the_last_ends_what_it_started(one_session: Path) -> None:
    only = SessionFolder()
    only.start_once(
        "run", lambda _: Popen([sys.executable, "-c", "import time; time.sleep(600)"], text=True)
    )
    ((process, _),) = only._started
    only.leave()
    assert process.returncode == -9 and not one_session.exists()
