"""What measuring keeps: processes from step to step, and in each the loads of its artifact."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from compress.measure import KeptSides, Subject, measure
from compress.measurement import Measurement
from compress.meter import Effort, Meter, Probe, Rounds, Sample
from compress.registry.plugins import Registered
from compress.task import Task
from compress.workers.jobs.loads import Loads
from compress.workers.memory import free_memory
from compress.workers.protocol import Chosen, Command, Message, ProbeArtifact, Sampled

TASK = Chosen("t", {})


class Turns(Meter):
    """Three blocks of two rounds."""

    name, summary, takes_turns = "turns", "Turns.", True

    def rounds(self, effort: Effort) -> Rounds:
        return Rounds(6, 6, block=2)

    def sample(self, probe: Probe) -> Sample:
        raise NotImplementedError

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        return []


class Processes:
    """Processes that answer every command; ``begun`` and ``ended`` name their subjects. Those in
    ``dead`` have ended by themselves."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.dead: list[str] = []

    @contextmanager
    def started(self, job: ProbeArtifact, *files: Path) -> Iterator[Any]:
        name = job.subject.folder.name
        self.begun.append(name)
        poll = lambda: 1 if name in self.dead else None  # noqa: E731

        def ask(command: Command, reply: type[Message]) -> Sampled:
            return Sampled({"n": 1})

        yield SimpleNamespace(
            process=SimpleNamespace(pid=os.getpid(), poll=poll), ask=ask, reply=lambda _: None
        )
        self.ended.append(name)

    def news(self) -> list[str]:
        """The subjects of the processes that have begun since this was asked last."""
        news, self.begun = self.begun, []
        return news


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    processes = Processes()
    monkeypatch.setattr("compress.measure.side.started", processes.started)
    return processes


class Measuring:
    """``of("a", "b")`` measures a, which takes turns with b."""

    def __init__(self, folder: Path, kept: KeptSides, effort: Effort) -> None:
        self._folder, self._kept, self._effort = folder, kept, effort
        self._registry: Any = SimpleNamespace(
            meters={"turns": Registered("turns", Turns, "mine", "1")},
            tasks={"t": SimpleNamespace(cls=Task)},
        )

    def of(self, name: str, *others: str, task: Chosen = TASK) -> None:
        sides = [Subject(n, self._folder / n, task, None) for n in (name, *others)]
        measure(sides[:1], sides[1:], self._registry, self._folder, self._effort, kept=self._kept)


@pytest.fixture
def chain(tmp_path: Path, processes: Processes) -> Iterator[Measuring]:
    with KeptSides("standard") as kept:
        yield Measuring(tmp_path, kept, "standard")


def test_a_step_starts_its_own_process_alone_where_the_others_took_turns_before(
    chain: Measuring, processes: Processes
) -> None:
    news = []
    for name, *others in (["a"], ["b", "a"], ["c", "a", "b"], ["d", "a", "b"]):
        chain.of(name, *others)
        news.append(processes.news())
    assert news == [["a"], ["b"], ["c"], ["d"]]
    assert processes.ended == ["c"], "d does not take turns with c, and nobody may ask for it again"


def test_what_is_measured_again_has_a_process_that_has_just_started(
    chain: Measuring, processes: Processes
) -> None:
    chain.of("a")
    chain.of("a")
    assert processes.news() == ["a", "a"] and processes.ended == ["a"]


def test_another_task_has_processes_of_its_own(chain: Measuring, processes: Processes) -> None:
    chain.of("a")
    chain.of("b", "a", task=Chosen("t", {"max_length": 8}))
    assert processes.news() == ["a", "b", "a"]


def test_a_kept_process_that_has_ended_is_replaced(chain: Measuring, processes: Processes) -> None:
    chain.of("a")
    processes.dead.append("a")
    chain.of("b", "a")
    assert processes.news() == ["a", "b", "a"]


def test_all_kept_processes_end_with_the_run(tmp_path: Path, processes: Processes) -> None:
    with pytest.raises(KeyboardInterrupt), KeptSides("quick") as kept:
        Measuring(tmp_path, kept, "quick").of("a", "b")
        assert not processes.ended
        raise KeyboardInterrupt
    assert sorted(processes.ended) == ["a", "b"]


def test_a_thorough_run_keeps_no_process(tmp_path: Path, processes: Processes) -> None:
    with KeptSides("thorough") as kept:
        Measuring(tmp_path, kept, "thorough").of("a")
        assert processes.ended == ["a"]


def test_no_process_is_kept_that_does_not_fit_into_memory(
    tmp_path: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = psutil.Process().memory_full_info().uss
    # A quarter is room for one of two.
    monkeypatch.setattr("compress.measure.kept.free_memory", lambda: 6 * held)
    with KeptSides("standard") as kept:
        Measuring(tmp_path, kept, "standard").of("a", "b")
        assert len(processes.ended) == 1


class Numbered:
    """A session that knows which of an engine's loads it is."""

    inputs: Sequence[str] = ()

    def __init__(self, number: int) -> None:
        self.number = number

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}


class Counting:
    """An engine that counts what it opens."""

    opened = 0

    def open(self, *given: Any) -> Numbered:
        self.opened += 1
        return Numbered(self.opened)


def probe_of(folder: Path, device: str = "cpu") -> Any:
    """A probe with load 0 of an artifact of 100 bytes."""
    (folder / "weights").write_bytes(bytes(100))
    return SimpleNamespace(
        artifact=SimpleNamespace(folder=folder, manifest=SimpleNamespace(files={"weights": ""})),
        session=Numbered(0),
        state={},
        runtime=Counting(),
        placement=SimpleNamespace(device=device),
        task=None,
    )


@pytest.mark.parametrize(
    ("free", "device", "answering", "opened"),
    [
        (1 << 30, "cpu", [0, 1, 2, 3, 0, 1, 2, 3], 3),
        (3 * 2 * 101 * 16, "cpu", [0, 1, 2, 3, 0, 1, 4, 5], 5),
        (0, "cpu", [0, 1, 2, 3, 4, 5, 6, 7], 7),
        (1 << 30, "cuda", [0, 1, 2, 3, 4, 5, 6, 7], 7),
    ],
)
def test_a_load_is_made_once_where_the_loads_fit_and_each_block_has_its_own(
    free: int,
    device: str,
    answering: Sequence[int],
    opened: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("compress.workers.jobs.loads.free_memory", lambda: free)
    probe = probe_of(tmp_path, device)
    loads, found = Loads(probe, 0.0), []
    for number in (0, 1, 2, 3) * 2:
        loads.use(number)
        found.append(probe.session.number)
    assert found == answering and probe.runtime.opened == opened
    for one, other in zip(found, found[1:], strict=False):
        assert one != other, "two blocks that follow each other have different loads"


def test_what_meters_keep_belongs_to_a_load(tmp_path: Path) -> None:
    probe = probe_of(tmp_path)
    loads = Loads(probe, 0.0)
    probe.state["meter"] = "of load 0"
    loads.use(1)
    assert probe.state == {}
    probe.state["meter"] = "of load 1"
    loads.use(0)
    assert probe.state == {"meter": "of load 0"}


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of control groups, on a machine with 1,000 bytes free; ``own`` names the groups of
    this process."""
    free = SimpleNamespace(available=1000)
    monkeypatch.setattr("compress.workers.memory.psutil.virtual_memory", lambda: free)
    monkeypatch.setattr("compress.workers.memory._GROUPS", tmp_path)
    monkeypatch.setattr("compress.workers.memory._OWN", tmp_path / "own")
    return tmp_path


def write_group(folder: Path, limit: str, kinds: Sequence[str] = ("max", "current", "")) -> None:
    """A group of which 300 bytes are used, and the kernel can take back 100."""
    most, used, total = kinds
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"memory.{most}").write_text(f"{limit}\n")
    (folder / f"memory.{used}").write_text("300\n")
    (folder / "memory.stat").write_text(f"anon 200\n{total}inactive_file 100\n")


def test_free_memory_is_that_of_the_container(groups: Path) -> None:
    assert free_memory() == 1000
    write_group(groups, "max")
    assert free_memory() == 1000
    write_group(groups, "800")
    assert free_memory() == 600
    write_group(groups, "200")
    assert free_memory() == 0


def test_free_memory_is_that_of_the_narrowest_group(groups: Path) -> None:
    (groups / "own").write_text("0::/user/session\n")
    write_group(groups / "user", "900")
    assert free_memory() == 700
    write_group(groups / "user" / "session", "500")
    assert free_memory() == 300


def test_free_memory_is_limited_by_groups_of_the_first_version(groups: Path) -> None:
    (groups / "own").write_text("5:cpu:/x\n4:memory:/box\n")
    old = ("limit_in_bytes", "usage_in_bytes", "total_")
    write_group(groups / "memory", "9223372036854771712", old)
    assert free_memory() == 1000
    write_group(groups / "memory" / "box", "600", old)
    assert free_memory() == 400
