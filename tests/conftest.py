"""Fixtures of many tests: the command line in its own process, recipes, tiny data, fake model
folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from commands import Command, command_in
from fakes import write_fake_data, write_fake_model
from kept_families import kept_families, kept_store
from sessionfolder import leave_session_folder

from compress.pretrained.families import Families
from compress.registry.plugins import Registry, load_plugins

# Bytecode is kept, as it is for a user, whatever the environment says: without it, compiling takes
# a third of the time of every short process, and pytest rewrites all test modules at every start.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """After the fixtures of the session. Later, pytest-xdist may end this process at any time."""
    leave_session_folder()


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """``command("plan", "r.yaml")`` runs ``python -m compress plan r.yaml`` with ``tmp_path`` as
    working directory."""
    return command_in(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def default_store() -> Iterator[None]:
    """Tests that name no store use one of the session, and never the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESS_STORE", str(kept_store().root))
        yield


@pytest.fixture(scope="session")
def registry() -> Registry:
    """All that the installed plugins register."""
    return load_plugins()


@pytest.fixture(scope="session")
def families() -> Families:
    """Families of the installed transformers, which is asked once in a session."""
    return kept_families()


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """``write_recipe(text)`` writes ``recipe.yaml`` into ``tmp_path``."""

    def write(text: str, name: str = "recipe.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def csv_data(tmp_path: Path) -> Path:
    """``tmp_path``, with the files of ``write_fake_data``."""
    write_fake_data(tmp_path)
    return tmp_path


@pytest.fixture
def fake_model(tmp_path: Path) -> Callable[..., Path]:
    """``fake_model(...)`` is ``write_fake_model`` into ``tmp_path``."""
    return partial(write_fake_model, tmp_path)
