"""Finished runs for several test modules. Each is made once in a session, in the background, also
where pytest-xdist has several processes.

A module that needs them sets ``pytest_plugins = ["finished"]``. If it imported a fixture instead,
the run would be made again for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path
from subprocess import Popen

import pytest
from running import CHAIN, GIVEN, UNMEASURED, Run, finished, start_run, wait_for, write_place
from sessionfolder import session_folder
from tiny import save_bert, task_named

COMPARED_WITH_ENGINES = 'budget: {latency: ">= 0.01x of B1"}\n'
"""Without such a limit a quick run measures the reference in no other engine."""
_PATIENCE = 600


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before the first test, start the runs that the chosen tests need. They go on while other
    tests run."""
    if session.config.option.collectonly:
        return
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for name, start in {"chain": _start_chain, "given": _start_given}.items():
        if {name, f"{name}_alone"} & asked:
            session_folder().start_once(name, start)


def _start_chain(folder: Path) -> Popen[str]:
    """Start the whole chain, without measuring."""
    place = write_place(folder, chain=CHAIN)
    return start_run(place, "chain.yaml", environ=UNMEASURED)


def _start_given(folder: Path) -> Popen[str]:
    """Start a run that distils a given model, with all measurements."""
    place = write_place(folder, given=GIVEN + COMPARED_WITH_ENGINES)
    (place / "model").mkdir()
    save_bert(place / "model", task_named("text-classification"), num_hidden_layers=2)
    (place / "model" / "compress.json").unlink()  # as any model folder from outside
    return start_run(place, "given.yaml")


@contextmanager
def _finished(name: str, how: int) -> Iterator[Run]:
    """The run, to be read (``LOCK_SH``), or to be changed while nobody reads it (``LOCK_EX``)."""
    folder = session_folder()
    wait_for(lambda: folder.exit_code(name) is not None, _PATIENCE)
    with (folder.path / f"{name}.used").open("a") as used:
        flock(used, how)
        yield finished(folder.path / name, folder.exit_code(name))


@pytest.fixture
def chain() -> Iterator[Run]:
    """The run of ``CHAIN`` without meters, to be read."""
    with _finished("chain", LOCK_SH) as run:
        yield run


@pytest.fixture
def chain_alone() -> Iterator[Run]:
    """The same, for a test that runs it again."""
    with _finished("chain", LOCK_EX) as run:
        yield run


@pytest.fixture
def given() -> Iterator[Run]:
    """The run of ``GIVEN``, measured, to be read."""
    with _finished("given", LOCK_SH) as run:
        yield run


@pytest.fixture
def given_alone() -> Iterator[Run]:
    """The same, for a test that runs it again or writes its views."""
    with _finished("given", LOCK_EX) as run:
        yield run
