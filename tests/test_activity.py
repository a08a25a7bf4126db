"""What else the machine does is read from the system and told in words."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from compress import activity
from compress.activity import CoreSeconds, OtherWork, core_seconds, process_seconds
from compress.machine import cores

STAT = """\
cpu  1000 0 0 9000 0 0 0 500 0 0
cpu0 300 100 200 4000 50 10 20 300 7 0
cpu1 700 0 100 5000 0 0 0 200 0 0
intr 12345 0
"""


def test_the_seconds_of_the_cores_that_a_process_may_use_are_added_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "stat"
    file.write_text(STAT, encoding="ascii")
    monkeypatch.setattr(activity, "_STAT", file)
    monkeypatch.setattr(activity.os, "sysconf", lambda name: 100)
    one, both = core_seconds([0]), core_seconds([0, 1])
    assert one is not None and both is not None
    assert (one.cores, one.worked, one.stolen) == (1, 6.3, 3.0)
    assert (both.cores, both.worked, both.stolen) == (2, 14.3, 5.0)
    monkeypatch.setattr(activity, "_STAT", tmp_path / "none")
    assert core_seconds([0]) is None


@pytest.mark.parametrize(
    ("worked", "stolen", "clocks", "text"),
    [
        (10.0, 0.0, (), ""),
        (11.0, 0.1, (3000.0, 2900.0), ""),
        (25.0, 0.0, (), "other programs kept 1.5 of 2 cores busy"),
        (10.0, 1.0, (), "the host took 5 % of the time"),
        (10.0, 0.0, (3000.0, 2000.0), "the clock was from 2000 to 3000 MHz"),
        (
            25.0,
            1.0,
            (3000.0, 2000.0),
            "other programs kept 1.5 of 2 cores busy, the host took 5 % of the time, "
            "the clock was from 2000 to 3000 MHz",
        ),
    ],
)
def test_what_disturbs_is_said_and_a_quiet_machine_says_nothing(
    worked: float, stolen: float, clocks: tuple[float, ...], text: str
) -> None:
    """Ten seconds on two cores, of which the program itself worked ten."""
    begin = CoreSeconds(2, 100.0, 7.0, 50.0)
    end = CoreSeconds(2, 100.0 + worked, 7.0 + stolen, 60.0)
    assert OtherWork.between(begin, end, 10.0, clocks).text() == text


def test_a_system_that_says_nothing_disturbs_nothing() -> None:
    assert OtherWork.between(None, None, 1.0, ()).text() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say it this way")
def test_the_work_of_another_process_is_seen_here() -> None:
    begin = core_seconds(cores())
    code = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n"
    with subprocess.Popen([sys.executable, "-c", code + "input()"], stdin=subprocess.PIPE) as other:
        until = time.monotonic() + 30
        while process_seconds(other.pid) < 0.5 and time.monotonic() < until:
            time.sleep(0.05)
        end = core_seconds(cores())
        assert begin is not None and end is not None
        assert end.worked - begin.worked >= 0.4
        assert process_seconds(other.pid) >= 0.5
        other.communicate(b"\n")
    assert process_seconds(other.pid) == 0.0
