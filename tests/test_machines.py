"""Several machines that do the steps of one run together. Here they are threads and processes of
one machine, which meet at a port of it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from types import SimpleNamespace
from typing import Any

import pytest
from commands import Command
from rankjobs import in_workers, installed, job, training
from running import FRESH, TASK, UNMEASURED, finished, run, start, wait_for, write_place
from tiny import save_bert, task_named

from compress.artifact import digest_files
from compress.cli.machines import rendezvous_of
from compress.errors import CompressError, EnvironmentFailure, UsageError
from compress.store.runfolder import RunFolder
from compress.store.store import Store
from compress.workers import meeting
from compress.workers import team as team_module
from compress.workers.failures import error_of
from compress.workers.following import follow
from compress.workers.meeting import Identity, Rendezvous, host_machines, join_first_machine
from compress.workers.protocol import ApplyStage, Failed, Finished, ForUser, Note, Progress
from compress.workers.supervisor import ShowUser, run_job
from compress.workers.team import Team

OURS = Identity("recipe", {"torch": "2.0", "python": "3.12"})


@pytest.fixture
def at() -> Rendezvous:
    """The place of the first of two machines, at a free port."""
    with socket.create_server(("", 0)) as server:
        return Rendezvous(0, 2, "localhost", server.getsockname()[1])


class Machine(threading.Thread):
    """Another machine of the run; ``error`` is what ended it."""

    def __init__(self, at: Rendezvous, folder: Path, own: Identity = OURS) -> None:
        super().__init__(daemon=True)
        self.at, self.folder, self.own = at, folder, own
        self.said: list[str] = []
        self.error: CompressError | None = None
        self.start()

    def run(self) -> None:
        try:
            follow(self.at, self.own, RunFolder(self.folder), self.said.append)
        except CompressError as error:
            self.error = error

    def ended(self) -> str:
        self.join(60)
        assert not self.is_alive()
        return str(self.error)


def test_the_options_say_where_a_machine_stands() -> None:
    assert rendezvous_of(1, 0, "") is None
    assert rendezvous_of(2, 1, "[::1]:29400") == Rendezvous(1, 2, "::1", 29400)
    with pytest.raises(UsageError, match="--node-rank 2: of 2 --nodes, the last is 1"):
        rendezvous_of(2, 2, "host:29400")
    for endpoint in ("", "host", "host:", ":29400", "host:port", "host:99999"):
        with pytest.raises(UsageError, match=f"--nodes 2 needs .+; got {endpoint!r}"):
            rendezvous_of(2, 0, endpoint)


def test_a_rendezvous_without_machines_to_meet_is_refused(command: Command) -> None:
    answer = command("run", "toy.yaml", "--rendezvous", "host:29400")
    assert answer.code == 2 and "--rendezvous is for several machines" in answer.err


@pytest.mark.parametrize(
    ("theirs", "own", "kind", "words"),
    [
        ({"machine": 0}, OURS, UsageError, r"machine 0 \(.+\): give each machine a --node-rank"),
        ({"machines": 3}, OURS, UsageError, "has --nodes 3, and the first 2"),
        ({}, replace(OURS, recipe="b"), UsageError, "runs another recipe, or has another --set"),
        (
            {},
            replace(OURS, facts={**OURS.facts, "torch": "2.1"}),
            EnvironmentFailure,
            "differs from the first machine: torch is 2.1, and 2.0 on the first",
        ),
        (
            {},
            replace(OURS, facts={**OURS.facts, "more": "1"}),
            EnvironmentFailure,
            "differs from the first machine: more is 1, and none on the first",
        ),
    ],
)
def test_a_machine_that_differs_is_refused_in_one_line_on_both(
    at: Rendezvous,
    theirs: Mapping[str, int],
    own: Identity,
    kind: type[CompressError],
    words: str,
    tmp_path: Path,
) -> None:
    other = Machine(replace(at, **{"machine": 1, **theirs}), tmp_path, own)
    with pytest.raises(kind, match=words) as caught:
        host_machines(at, Store(tmp_path / "store"), OURS, lambda text: None)
    assert other.ended() == str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_machine_without_the_store_ends_in_one_line_and_the_first_waits_on(
    at: Rendezvous, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "_COMING_SECONDS", 2)
    monkeypatch.setattr(meeting, "_secret_of", lambda meeting: None)
    said: list[str] = []
    other = Machine(replace(at, machine=1), tmp_path)
    with pytest.raises(EnvironmentFailure, match="1 did not come"):
        host_machines(at, Store(tmp_path / "store"), OURS, said.append)
    assert "name a folder by --store that all share" in other.ended()
    assert said[-1] == f"a machine has gone again: {other.error}"


def test_a_machine_that_has_ended_may_come_again(at: Rendezvous, tmp_path: Path) -> None:
    three, found = replace(at, machines=3), []
    store = Store(tmp_path / "store")
    first = threading.Thread(
        target=lambda: found.extend(host_machines(three, store, OURS, lambda text: None))
    )
    first.start()
    join_first_machine(replace(three, machine=1), OURS, lambda text: None).close()
    others = [
        join_first_machine(replace(three, machine=number), OURS, lambda text: None)
        for number in (1, 2)
    ]
    first.join(30)
    assert [peer.machine for peer in found] == [1, 2]
    for each in others:
        each.close()


def test_a_file_of_the_store_that_cannot_be_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **more: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert meeting._secret_of(meeting.Meeting(tmp_path, "0" * 32)) is None


def test_no_other_file_is_told_to_who_listens(tmp_path: Path) -> None:
    (tmp_path / "meetings").mkdir()
    (tmp_path / "secret").write_text("password", encoding="utf-8")
    assert meeting._secret_of(meeting.Meeting(tmp_path, "../secret")) is None


def test_machines_that_do_not_come_and_one_that_nobody_leads_say_so(
    at: Rendezvous, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "_COMING_SECONDS", 0)
    with pytest.raises(EnvironmentFailure, match="of 3 machines, 1, 2 did not come within 0 sec"):
        host_machines(replace(at, machines=3), Store(tmp_path), OURS, lambda text: None)
    other = Machine(replace(at, machine=1), tmp_path)
    assert f"the first machine was not reached at localhost:{at.port}" in other.ended()


STRANGE = (
    b"GET / HTTP/1.1\r\n\r\n",
    b'{"kind": "Arrived"}\n',
    b'{"kind": "Arrived", "machine": 1, "machines": 2, "host": "c", "secret": "guessed", '
    b'"recipe": "recipe", "facts": {}}\n',
    b'{"kind": "Failed", "text": "pay me"}\n',
    b"{}\n",
    b"1\n",
    b"",
)


def test_a_stranger_at_the_port_is_ignored(at: Rendezvous, tmp_path: Path) -> None:
    said: list[str] = []
    strangers = []
    with pytest.MonkeyPatch.context() as patch:
        listening = meeting._next_peer

        def next_peer(*given: Any) -> Any:
            if not strangers:
                for words in STRANGE:
                    stranger = socket.create_connection(("localhost", at.port))
                    stranger.sendall(words)
                    stranger.shutdown(socket.SHUT_WR)
                    strangers.append(stranger)
                Machine(replace(at, machine=1), tmp_path)
            return listening(*given)

        patch.setattr(meeting, "_next_peer", next_peer)
        (peer,) = host_machines(at, Store(tmp_path / "store"), OURS, said.append)
    assert peer.machine == 1
    Team(at, [peer]).dismiss(None)
    assert not list((tmp_path / "store" / "meetings").iterdir())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "None"),
        (CompressError("a stage failed"), "a stage failed"),
        (KeyboardInterrupt(), "the run was ended on the first machine"),
    ],
)
def test_all_machines_end_with_the_words_of_the_first(
    error: BaseException | None, words: str, at: Rendezvous, tmp_path: Path
) -> None:
    other = Machine(replace(at, machine=1), tmp_path)
    team = Team(at, host_machines(at, Store(tmp_path / "store"), OURS, lambda text: None))
    team.dismiss(error)
    assert other.ended() == words


class Worker(SimpleNamespace):
    """A worker of the first machine that does its part until it is killed, as if it waited for the
    other's."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        super().__init__(process=SimpleNamespace(kill=self.ended.set), failure=None)


LOST = Failed("rank 0 of 2: RuntimeError: Connection closed by peer", follows=True)
KILLED = Failed("rank 1 of 2 was ended by SIGKILL", "CompressError")


@pytest.mark.parametrize(
    ("theirs", "own", "words"),
    [
        (None, LOST, r"machine 1 of 2 \(b\) has ended, or is not reached any more"),
        (None, None, r"machine 1 of 2 \(b\) has ended, or is not reached any more"),
        (KILLED, replace(LOST, follows=False), r"rank 1 of 2 was ended by SIGKILL, on machine 1.*"),
        (Failed("KeyError: 'a'"), LOST, r"KeyError: 'a', on machine 1 of 2 \(b\)"),
        (replace(LOST, text="rank 1"), Failed("no space", "FileTrouble"), "no space"),
        (KILLED, None, r"rank 1 of 2 was ended by SIGKILL, on machine 1.*"),
        (Finished(), Failed("no space", "FileTrouble"), "no space"),
    ],
)
def test_the_machine_to_blame_is_not_one_that_lost_another(
    theirs: Failed | Finished | None,
    own: Failed | None,
    words: str,
    at: Rendezvous,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where ``own`` is None, the first machine's worker does not notice that another has ended."""
    monkeypatch.setattr(team_module, "_GRACE_SECONDS", 0.1)
    said = iter([theirs])
    peer = SimpleNamespace(machine=1, host="b", receive=lambda: next(said))
    worker: Any = Worker()
    with (
        pytest.raises(CompressError) as caught,
        Team(at, [peer]).watching(worker),  # type: ignore[list-item]
    ):
        if own is None:
            assert worker.ended.wait(10)
            raise CompressError("the worker was ended by SIGKILL")
        worker.failure = own
        raise error_of(own, Path("log"))
    assert re.fullmatch(words, str(caught.value)), caught.value


def test_a_part_that_fails_after_the_first_machine_s_is_done_fails_the_step(
    at: Rendezvous,
) -> None:
    peer = SimpleNamespace(machine=1, host="b", receive=lambda: KILLED)
    with (
        pytest.raises(CompressError, match="ended by SIGKILL, on machine 1 of 2"),
        Team(at, [peer]).watching(Worker()),  # type: ignore[list-item, arg-type]
    ):
        pass


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The toy plugin for workers, each with one thread for a process."""
    with installed(tmp_path_factory.mktemp("plugins") / "site", threads=1):
        yield


@contextmanager
def two_machines(at: Rendezvous, folder: Path) -> Iterator[tuple[Team, Machine]]:
    """The first machine's team of two, and the other."""
    other = Machine(replace(at, machine=1), folder / "other")
    team = Team(at, host_machines(at, Store(folder / "store"), OURS, lambda text: None))
    error: BaseException | None = None
    try:
        yield team, other
    except BaseException as raised:
        error = raised
        raise
    finally:
        team.dismiss(error)
        other.ended()


class Interrupting:
    """Shows a user's messages, and interrupts the process at the third step of a training."""

    def __init__(self, said: list[Any]) -> None:
        self.said, self.is_done = said, False

    def __call__(self, message: ForUser) -> None:
        self.said.append(message)
        if isinstance(message, Progress) and message.done >= 3 and not self.is_done:
            self.is_done = True
            raise KeyboardInterrupt


def together(
    team: Team, work: ApplyStage, folder: Path, show: ShowUser = lambda message: None
) -> None:
    """Let both machines do it."""
    job_file, log = folder / "job.json", folder / "log"
    run_job(team.share(work, "job"), job_file, log, show, pytest.fail, watch=team.watching)


@pytest.mark.slow
@pytest.mark.usefixtures("plugin")
def test_two_machines_that_are_interrupted_make_what_two_processes_of_one_make_bit_for_bit(
    at: Rendezvous, tmp_path: Path
) -> None:
    model = save_bert(tmp_path / "model", task_named("text-classification"))
    alone, shared = training(model, tmp_path / "alone"), training(model, tmp_path / "shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")  # of which each process has one
        in_workers(alone, tmp_path / "alone")
    said: list[Any] = []
    with pytest.raises(KeyboardInterrupt), two_machines(at, tmp_path) as (team, other):
        together(team, shared, tmp_path, Interrupting(said))
    assert other.ended() == "the run was ended on the first machine"
    with two_machines(at, tmp_path) as (team, other):
        together(team, shared, tmp_path, said.append)
    notes = [message.text for message in said if isinstance(message, Note)]
    assert re.match(r"kept the training at step \d+ of 35", notes[-2])
    assert re.fullmatch(r"continuing from step \d+", notes[-1])
    assert digest_files(shared.output) == digest_files(alone.output)
    assert other.said[-1] == "job: machine 1 of 2 does its part"
    assert (tmp_path / "other" / "logs" / "job-machine-1.log").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("how", "words"),
    [
        (
            "killed",
            r"rank 1 of 2 was ended by SIGKILL \(out of memory\?\), on machine 1 of 2 \(.+\)",
        ),
        ("wrong", r"rank 1 of 2: the rows of rank 1 are wrong, on machine 1 of 2 \(.+\)"),
        (
            "bug",
            r"rank 1 of 2: ZeroDivisionError: .+ \(traceback in .+log\), on machine 1.+",
        ),
    ],
)
def test_a_process_of_another_machine_that_fails_ends_all_and_is_named(
    how: str, words: str, at: Rendezvous, tmp_path: Path
) -> None:
    with (
        pytest.raises(CompressError) as caught,
        two_machines(at, tmp_path) as (team, other),
    ):
        together(team, job(tmp_path, 2, how=how), tmp_path)
    assert re.fullmatch(words, str(caught.value)), caught.value
    assert other.ended() == str(caught.value)


RECIPE = (
    TASK
    + FRESH
    + """\
data: {train: train.csv, test: test.csv}
benchmark: {effort: quick}
resources: {processes: 2}
stages:
  - pretrain: {epochs: 1, batch_size: 8, vocabulary: 300, precision: fp32}
    task: {fill-mask: {max_length: 16}}
  - finetune: {epochs: 2, batch_size: 8, learning_rate: 1e-2, precision: fp32}
"""
)


def commands(at: Rendezvous, places: list[Path], store: Path) -> list[Popen[str]]:
    """The command on each machine."""
    same = ("--store", str(store), "--nodes", "2", "--rendezvous", f"localhost:{at.port}")
    return [
        start(place, "run", "toy.yaml", *same, "--node-rank", str(number), environ=UNMEASURED)
        for number, place in enumerate(places)
    ]


@pytest.mark.slow
def test_a_machine_that_dies_ends_all_and_the_same_commands_make_the_models_of_one_machine(
    at: Rendezvous, tmp_path: Path
) -> None:
    """One test, because each command starts many processes."""
    places, store = [write_place(tmp_path / name, toy=RECIPE) for name in "ab"], tmp_path / "store"
    first, other = commands(at, places, store)
    part = "pretrain: machine 1 of 2 does its part"
    wait_for(lambda: part in (places[1] / "output").read_text(encoding="utf-8"))
    other.kill()
    assert first.wait(120) == 1
    last = (places[0] / "output").read_text(encoding="utf-8").splitlines()
    errors = [line for line in last if line.startswith("error: ")]
    assert len(errors) == 1
    assert re.fullmatch(r"error: machine 1 of 2 \(.+\) has ended, or is not .+", errors[0])
    processes = commands(at, places, store)
    assert [process.wait(600) for process in processes] == [0, 0]
    together = finished(places[0], 0)
    two_threads = {**UNMEASURED, "OMP_NUM_THREADS": "2"}  # of which each process has one
    alone = run(write_place(tmp_path / "c", toy=RECIPE), "toy.yaml", environ=two_threads)
    assert together.digests() == alone.digests()
    assert [path.name for path in (places[1] / "runs").glob("*/*")] == ["jobs", "logs"]
