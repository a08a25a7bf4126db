"""Fixtures of tests that train: one thread, and no walks through what torch imported."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are taken in one order, so that equal trainings end in equal bits. An engine that opens
    what was made computes with the threads of the environment from then on."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def imports_are_no_garbage() -> Iterator[None]:
    """Trainer collects garbage whenever it starts; walking all that torch imported would take most
    of these tests' time."""
    gc.freeze()
    yield
    gc.unfreeze()
