"""The options of ``compress run`` for several machines, and what each of these does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from compress.planning import Plan
    from compress.registry.plugins import Registry
    from compress.store.store import Store
    from compress.workers.meeting import Rendezvous
    from compress.workers.team import Team

nodes_option = click.option(
    "--nodes",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    envvar="PET_NNODES",
    help="Machines that share the steps with several processes [default: 1].",
)
node_rank_option = click.option(
    "--node-rank",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    envvar="PET_NODE_RANK",
    help="This machine's number, from 0. Machine 0 makes and reports the run.",
)
rendezvous_option = click.option(
    "--rendezvous",
    metavar="HOST:PORT",
    default="",
    envvar="PET_RDZV_ENDPOINT",
    help="Where machine 0 waits for the others.",
)


def rendezvous_of(nodes: int, node_rank: int, endpoint: str) -> Rendezvous | None:
    """The place of this machine; None if it is the only one. Raises UsageError."""
    from compress.errors import UsageError
    from compress.workers.meeting import Rendezvous

    if node_rank >= nodes:
        raise UsageError(f"--node-rank {node_rank}: of {nodes} --nodes, the last is {nodes - 1}")
    if nodes == 1:
        if endpoint and _is_typed("rendezvous"):
            raise UsageError("--rendezvous is for several machines: give --nodes too")
        return None
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(
            f"--nodes {nodes} needs the host of the first machine and a free port there, as "
            f"--rendezvous HOST:29400; got {endpoint!r}"
        )
    return Rendezvous(node_rank, nodes, host.strip("[]"), int(port))


def _is_typed(option: str) -> bool:
    """Whether an option of the command stands on the command line. The environment may be that of
    another program."""
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE


@contextmanager
def leading(
    at: Rendezvous | None, plan: Plan, registry: Registry, store: Store
) -> Iterator[Team | None]:
    """The other machines, when they have come; they hear how the block ended. None if this machine
    is the only one."""
    if at is None:
        yield None
        return
    from compress.workers.meeting import Identity, host_machines
    from compress.workers.team import Team

    team = Team(at, host_machines(at, store, Identity.of(plan, registry), _say))
    try:
        yield team
    except BaseException as error:
        team.dismiss(error)
        raise
    team.dismiss(None)


def do_parts(at: Rendezvous, plan: Plan, registry: Registry, runs: Path) -> None:
    """Do the parts of a machine that is not the first, until the run is over."""
    from compress.store.runfolder import RunFolder
    from compress.workers.following import follow
    from compress.workers.meeting import Identity

    follow(at, Identity.of(plan, registry), RunFolder.of(plan, runs), _say)


def _say(text: str) -> None:
    from compress.report.text import visible

    click.echo(visible(text), err=True)
