"""Recipes that are broken at random: planning answers each with a plan, or with mistakes of one
line that have a place."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutations import failure_of, mutations, write_place

from compress.pretrained.families import Families
from compress.registry.plugins import Registry


def test_broken_recipes_end_in_no_traceback(
    tmp_path: Path, registry: Registry, families: Families, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert families.model_types()  # asked now, and not while the time of a plan runs
    monkeypatch.chdir(tmp_path)
    write_place(tmp_path)
    failures = []
    for number, mutation in enumerate(mutations(300, seed=20)):
        failure = failure_of(mutation, tmp_path, registry, families)
        if failure:
            failures.append(f"{number}: {mutation}\n{failure}")
    assert not failures, "\n\n".join(failures)[:5000]
