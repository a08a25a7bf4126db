"""The line between the supervisor and a worker."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from compress.workers.channel import Listener


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
