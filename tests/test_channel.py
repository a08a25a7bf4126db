"""The line between the supervisor and a worker."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from compress.workers.channel import Listener, sweep_lines


@pytest.mark.parametrize("depth", [1, 200])
def test_a_line_is_opened_however_deep_the_folder_for_temporary_files_is(
    depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * depth)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    listener = Listener()
    assert Path(listener.address).is_socket() and len(listener.address) < 108
    listener.close()
    assert not Path(listener.address).parent.exists()


def test_the_folder_of_a_socket_whose_owner_was_killed_is_swept_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os; from compress.workers.channel import Listener\n"
        "mine = Listener(); print(mine.address, flush=True); os.kill(os.getpid(), 9)"
    )
    words = [sys.executable, "-c", code]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    killed = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    dead, alive = Path(killed.stdout.strip()).parent, Listener()
    strange = tmp_path / "compress-notes"
    strange.mkdir()
    (strange / "mine.txt").touch()
    empty = tmp_path / "compress-filled-later"
    empty.mkdir()
    assert dead.is_dir()
    sweep_lines()
    assert dead.is_dir(), "one as young may be in the making"
    for folder in tmp_path.iterdir():
        os.utime(folder, (0, 0))
    sweep_lines()
    assert not dead.exists() and strange.is_dir() and empty.is_dir()
    assert Path(alive.address).is_socket()
    alive.close()
