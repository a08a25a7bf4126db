"""Finished runs for several test modules. Each is made once in a session, in the background.

A module that needs them sets ``pytest_plugins = ["finished"]``. If it imported a fixture instead,
the run would be made again for it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from running import CHAIN, GIVEN, UNMEASURED, Run, finish, start_run, write_place
from tiny import save_bert, task_named

COMPARED_WITH_ENGINES = 'budget: {latency: ">= 0.01x of B1"}\n'
"""Without such a limit a quick run measures the reference in no other engine."""

Started = dict[str, tuple["subprocess.Popen[str]", Path]]
_STARTED = pytest.StashKey[Started]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before the first test, start the runs that the chosen tests need. They go on while other
    tests run."""
    if session.config.option.collectonly:
        return
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    folder = Path(tempfile.mkdtemp(prefix="compress-tests-"))
    starters = {"chain": _start_chain, "given": _start_given}
    session.config.stash[_STARTED] = {
        name: start(folder / name) for name, start in starters.items() if name in asked
    }
    session.config.add_cleanup(lambda: _end(session.config.stash[_STARTED], folder))


def _start_chain(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start the whole chain, without measuring."""
    place = write_place(folder, chain=CHAIN)
    return start_run(place, "chain.yaml", environ=UNMEASURED), place


def _start_given(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a run that distils a given model, with all measurements."""
    place = write_place(folder, given=GIVEN + COMPARED_WITH_ENGINES)
    (place / "model").mkdir()
    save_bert(place / "model", task_named("text-classification"), num_hidden_layers=2)
    (place / "model" / "compress.json").unlink()  # as any model folder from outside
    return start_run(place, "given.yaml"), place


def _end(started: Started, folder: Path) -> None:
    for process, _ in started.values():
        process.kill()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def chain(pytestconfig: pytest.Config) -> Run:
    """The run of ``CHAIN`` without meters."""
    return finish(*pytestconfig.stash[_STARTED]["chain"])


@pytest.fixture(scope="session")
def given(pytestconfig: pytest.Config) -> Run:
    """The run of ``GIVEN``, measured."""
    return finish(*pytestconfig.stash[_STARTED]["given"])
