"""Finished runs that several test modules look at, made once in a session.

A module that wants them says ``pytest_plugins = ["finished"]``: imported into modules, a fixture would be made in each."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import CHAIN, GIVEN, UNMEASURED, Run, finish, start_run, write_place
from tiny import save_bert, task_named

Started = dict[str, tuple["subprocess.Popen[str]", Path]]


@pytest.fixture(scope="session")
def started_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The whole chain without measuring, and a given model distilled with all that is measured, both under way."""
    chain = write_place(tmp_path_factory.mktemp("chain"), chain=CHAIN)
    given = write_place(tmp_path_factory.mktemp("given"), given=GIVEN)
    (given / "model").mkdir()
    save_bert(given / "model", task_named("text-classification"), num_hidden_layers=2)
    (given / "model" / "compress.json").unlink()  # as any model folder from outside
    started = {"chain": (start_run(chain, "chain.yaml", environ=UNMEASURED), chain),
               "given": (start_run(given, "given.yaml"), given)}
    yield started
    for process, _ in started.values():
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def chain(started_runs: Started) -> Run:
    """The run of ``CHAIN`` without meters."""
    return finish(*started_runs["chain"])


@pytest.fixture(scope="session")
def given(started_runs: Started) -> Run:
    """The run of ``GIVEN``, measured."""
    return finish(*started_runs["given"])
