"""How the machines that run one recipe find each other. No torch.

The first one listens at the rendezvous, and the others come. Each shows that it has the same store,
the same recipe and the same versions: else what they train together would be nobody's.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import NoReturn

from compress.artifact import canonical
from compress.errors import CompressError, EnvironmentFailure, UsageError
from compress.machine import REPORTED_VERSIONS, gpus, versions
from compress.planning import Plan
from compress.registry.plugins import Registry
from compress.store.files import write_text
from compress.store.store import Store, key_of
from compress.workers.peer import ANSWER_SECONDS, Peer
from compress.workers.protocol import Arrived, Failed, Meeting

MEETINGS = "meetings"
"""The folder of a store for the files by which machines show that they have the same one."""
_COMING_SECONDS = 600
"""Seconds that the machines have to come, as with torchrun."""
_RETRY_SECONDS = 0.5

Say = Callable[[str], None]


@dataclass(frozen=True)
class Rendezvous:
    """The place of this machine among those of a run: its number, from 0, how many they are, and
    the host and port where the first one listens."""

    machine: int
    machines: int
    host: str
    port: int


@dataclass(frozen=True)
class Identity:
    """What the machines of a run must have in common: the recipe with its overrides, as a digest;
    and by name, versions of what is installed, whether there is a GPU, and what steps leave to
    their machine."""

    recipe: str
    facts: Mapping[str, str]

    @classmethod
    def of(cls, plan: Plan, registry: Registry) -> Identity:
        """That of a plan on this machine."""
        recipe = key_of({"recipe": plan.recipe_text, "overrides": list(plan.overrides)})
        plugins = {plugin.distribution: plugin.version for plugin in registry.plugins}
        machine = {"python": platform.python_version(), "GPU": "there" if gpus() else "none"}
        left = {
            f"what {step.name} leaves to its machine": canonical(step.options.left_to_machine())
            for step in plan.steps
            if step.processes > 1
        }
        return cls(recipe, {**machine, **versions(REPORTED_VERSIONS), **plugins, **left})


def host_machines(at: Rendezvous, store: Store, own: Identity, say: Say) -> list[Peer]:
    """The other machines by their number, when all have come to this one, which is the first.

    Raises UsageError for one that has another recipe or another number,
    EnvironmentFailure for one that differs otherwise, or if they do not come. Those that have come
    are told."""
    say(f"waiting for {at.machines - 1} more of {at.machines} machines at {at.host}:{at.port}")
    peers: dict[int, Peer] = {}
    end = time.monotonic() + _COMING_SECONDS
    with _listening(at.port) as server, _secret_in(store) as (meeting, secret):
        while len(peers) < at.machines - 1:
            peer = _next_peer(server, end - time.monotonic())
            if peer is None:
                _refuse(_missing(at, peers), peers.values())
            peer.send(meeting)
            answer = peer.receive()
            if isinstance(answer, Failed):  # it ends, and may come again
                say(f"a machine has gone again: {answer.text}")
                continue
            if not isinstance(answer, Arrived) or answer.secret != secret:
                continue  # a stranger has found the port
            peers = {number: each for number, each in peers.items() if not each.has_gone()}
            problem = _problem(answer, at, own, peers)
            if problem is not None:
                _refuse(problem, [*peers.values(), peer])
            peer.introduce(answer.machine, answer.host)
            peers[peer.machine] = peer
            say(f"machine {peer.machine} of {at.machines} has come: {peer.host}")
    return [peers[number] for number in sorted(peers)]


def _refuse(problem: CompressError, peers: Iterable[Peer]) -> NoReturn:
    """Tell machines that have come why there is no run, and raise it."""
    for peer in peers:
        peer.send(Failed(str(problem), type(problem).__name__))
    raise problem


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """A socket that others of any network connect to: a host's own name may lead to itself
    alone."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise EnvironmentFailure(
            f"--rendezvous: the first machine cannot listen at port {port}: {error.strerror}"
        ) from error
    with closing(server):
        yield server


@contextmanager
def _secret_in(store: Store) -> Iterator[tuple[Meeting, str]]:
    """A meeting, and the secret in its file, which is removed at the end."""
    root, name, secret = store.root.resolve(), token_hex(16), token_hex(16)
    file = root / MEETINGS / name
    write_text(file, secret)
    try:
        yield Meeting(root, name), secret
    finally:
        file.unlink(missing_ok=True)


def _next_peer(server: socket.socket, seconds: float) -> Peer | None:
    """The next machine that comes; None if none does within so many seconds."""
    server.settimeout(max(seconds, 0.001))
    try:
        connection, _ = server.accept()
    except TimeoutError:
        return None
    return Peer(connection)


def _missing(at: Rendezvous, peers: Mapping[int, Peer]) -> CompressError:
    missing = sorted(set(range(1, at.machines)) - set(peers))
    return EnvironmentFailure(
        f"of {at.machines} machines, {', '.join(map(str, missing))} did not come within "
        f"{_COMING_SECONDS} seconds: give the same command there, with --node-rank"
    )


def _problem(
    answer: Arrived, at: Rendezvous, own: Identity, peers: Mapping[int, Peer]
) -> CompressError | None:
    """Why the machine that has answered cannot take part; None if it can."""
    name = f"machine {answer.machine} ({answer.host})"
    if answer.machines != at.machines:
        return UsageError(f"{name} has --nodes {answer.machines}, and the first {at.machines}")
    if answer.machine in peers or not 0 < answer.machine < at.machines:
        return UsageError(f"{name}: give each machine a --node-rank of its own")
    if answer.recipe != own.recipe:
        return UsageError(f"{name} runs another recipe, or has another --set")
    for what in sorted({*own.facts, *answer.facts}):
        here, there = own.facts.get(what, "none"), answer.facts.get(what, "none")
        if here != there:
            return EnvironmentFailure(
                f"{name} differs from the first machine: {what} is {there}, and {here} on the first"
            )
    return None


def join_first_machine(at: Rendezvous, own: Identity, say: Say) -> Peer:
    """The first machine, to which this one has come. Raises EnvironmentFailure if it cannot be
    reached, and UsageError if its store is not here."""
    say(f"machine {at.machine} of {at.machines}: waiting for the first at {at.host}:{at.port}")
    first = Peer(_connected(at))
    meeting = first.receive()
    if not isinstance(meeting, Meeting):
        raise EnvironmentFailure(f"at {at.host}:{at.port} is no compress run: {_HINT}")
    secret = _secret_of(meeting)
    host = socket.gethostname()
    if secret is None:
        text = (
            f"machine {at.machine} ({host}) cannot read and write the store of the first one, "
            f"{meeting.store}: name a folder by --store that all share, under the same path"
        )
        first.send(Failed(text, UsageError.__name__))
        raise UsageError(text)
    first.send(Arrived(at.machine, at.machines, host, secret, own.recipe, own.facts))
    first.introduce(0, at.host)
    return first


_HINT = "give --rendezvous the host of the first machine, and the same free port everywhere"


def _connected(at: Rendezvous) -> socket.socket:
    """A connection to the first machine, which may start later than this one."""
    end = time.monotonic() + _COMING_SECONDS
    while True:
        try:
            return socket.create_connection((at.host, at.port), ANSWER_SECONDS)
        except OSError as error:
            if time.monotonic() > end:
                raise EnvironmentFailure(
                    f"the first machine was not reached at {at.host}:{at.port} within "
                    f"{_COMING_SECONDS} seconds ({error.strerror or error}): {_HINT}"
                ) from error
        time.sleep(_RETRY_SECONDS)


def _secret_of(meeting: Meeting) -> str | None:
    """The content of the meeting's file; None if the store is not here. It cannot be another file,
    because whoever listens at the rendezvous gets the content."""
    file = Path(meeting.store) / MEETINGS / meeting.name
    if not re.fullmatch("[0-9a-f]{32}", meeting.name) or not os.access(meeting.store, os.W_OK):
        return None
    try:
        return file.read_text(encoding="utf-8")
    except OSError:  # it is not there, or another user's
        return None
