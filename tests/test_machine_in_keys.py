"""What depends on the machine and on what is installed: in the keys of a shared store, and for what
is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reports import as_report, rich_report

from compress import machine
from compress.artifact import Artifact, Manifest, Traits
from compress.errors import CompressError
from compress.machine import (
    Processor,
    ask_nvidia_driver,
    environment,
    gpus,
    timing_environment,
)
from compress.measurement import Measured
from compress.planning import Step, make_plan
from compress.pretrained.families import Families
from compress.recipes.recipe import read_recipe
from compress.registry.plugins import Registry
from compress.report.views.card import card, deployable
from compress.results.record import Record
from compress.running.measuring import measure_together
from compress.running.run import Run
from compress.store.keys import Given, step_ingredients
from compress.store.prepared import Prepared
from compress.store.runfolder import RunFolder
from compress.store.store import Store

TWO = (("NVIDIA H100 80GB HBM3", "GPU-11aa"), ("NVIDIA L4", "GPU-22bb"))
HEAD = "task: text-classification\nmodel: ./model\ndata: {train: train.csv, test: test.csv}\n"
RECIPE = (
    HEAD
    + """\
stages:
  - finetune
  - distill: {student: {layers: 1}, precision: fp32}
  - prune.structured: {feed_forward: 0.5, recover: {epochs: 1}}
  - quantize.onnx
"""
)


@pytest.fixture
def with_gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``with_gpus(("name", "uuid"), ...)``: the driver lists these."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda *listed: monkeypatch.setattr(machine, "_installed_gpus", lambda: listed)


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["NVIDIA H100 80GB HBM3", "NVIDIA L4"]),
        ("", []),
        ("-1", []),
        ("1", ["NVIDIA L4"]),
        ("1,0", ["NVIDIA L4", "NVIDIA H100 80GB HBM3"]),
        ("GPU-22", ["NVIDIA L4"]),
        ("0,7,1", ["NVIDIA H100 80GB HBM3"]),
        ("MIG-5f", ["MIG-5f"]),
    ],
)
def test_the_gpus_are_those_that_a_process_may_use(
    visible: str | None, names: list[str], with_gpus: Callable[..., None]
) -> None:
    with_gpus(*TWO)
    assert list(gpus({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})) == names


def test_without_the_driver_s_tool_its_files_tell_the_gpus(tmp_path: Path) -> None:
    file = tmp_path / "information"
    file.write_text(
        "Model: \t\t NVIDIA L4\nIRQ:   \t\t 24\nGPU UUID: \t GPU-22bb\n", encoding="utf-8"
    )
    assert machine._described_gpu(file) == ("NVIDIA L4", "GPU-22bb")


@pytest.mark.parametrize(
    ("script", "listed"),
    [
        (
            "echo 'GPU, large, GPU-1, 535.1'; echo 'NVIDIA L4, GPU-2, 535.1'",
            [("GPU, large", "GPU-1", "535.1"), ("NVIDIA L4", "GPU-2", "535.1")],
        ),
        ("echo 'No devices were found'; echo", []),
        ("exit 9", []),
        (None, None),
    ],
)
def test_the_driver_s_tool_is_asked_for_each_gpu(
    script: str | None,
    listed: list[tuple[str, ...]] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if script is not None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_nvidia_driver("name", "uuid", "driver_version") == listed


def test_the_report_and_the_card_name_the_gpus(with_gpus: Callable[..., None]) -> None:
    with_gpus(*TWO)
    assert environment()["gpus"] == timing_environment()["gpus"] == [name for name, _ in TWO]
    report = rich_report()
    report["environment"]["gpus"] = ["NVIDIA L4"]
    made = as_report(report)
    assert "one machine: cpu, NVIDIA L4, 2 threads" in card(deployable(made)[0], made)


# keys


@pytest.fixture
def steps(
    csv_data: Path,
    fake_model: Callable[..., Path],
    write_recipe: Callable[..., Path],
    registry: Registry,
    families: Families,
) -> Mapping[str, Step]:
    """A step of each kind that leaves something to the machine, or could."""
    fake_model()
    return {
        step.name: step
        for step in make_plan(read_recipe(write_recipe(RECIPE)), registry, families).steps
    }


def key(step: Step, registry: Registry) -> str:
    artifact = Artifact(Path("nowhere"), Manifest(Traits(), {}, step="a", stage="b"))
    return step_ingredients(step, Given(artifact, data=Prepared(Path(), "b")), registry).key


def changed(steps: Mapping[str, Step], registry: Registry, change: Callable[[], Any]) -> set[str]:
    """Names of the steps whose keys a change changes."""
    before = {name: key(step, registry) for name, step in steps.items()}
    change()
    return {name for name, step in steps.items() if key(step, registry) != before[name]}


def test_options_that_are_left_to_the_machine_are_in_the_key_as_it_decides_them(
    steps: Mapping[str, Step],
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    with_gpus: Callable[..., None],
) -> None:
    def other_processor(flags: str) -> None:
        for module in ("compress.training.options", "compress.machine"):
            monkeypatch.setattr(
                f"{module}.processor",
                lambda: Processor("one", "AuthenticAMD", tuple(flags.split())),
            )

    with_gpus()
    other_processor("avx512_vnni avx512_bf16")
    assert changed(steps, registry, lambda: other_processor("avx512_vnni")) == {
        "finetune",
        "prune.structured",
    }
    assert changed(steps, registry, lambda: other_processor("avx2")) == {"quantize.onnx"}
    assert changed(steps, registry, lambda: with_gpus(*TWO)) == {"finetune", "prune.structured"}
    assert changed(steps, registry, lambda: with_gpus(TWO[0])) == set()  # one trains


def test_another_version_of_an_architecture_s_plugin_is_in_the_keys_of_the_stages_that_read_it(
    steps: Mapping[str, Step], registry: Registry
) -> None:
    newer = {name: replace(entry, version="9") for name, entry in registry.architectures.items()}
    assert {
        name
        for name, step in steps.items()
        if key(step, registry) != key(step, replace(registry, architectures=newer))
    } == {"distill", "prune.structured", "quantize.onnx"}


@pytest.mark.parametrize("library", ["accelerate", "tokenizers"])
def test_the_libraries_that_train_are_in_the_keys_of_trainings(
    library: str, steps: Mapping[str, Step]
) -> None:
    assert all(
        library in steps[name].entry.cls.libraries
        for name in ("finetune", "distill", "prune.structured")
    )


# measurements


def test_if_measuring_together_fails_what_can_be_measured_alone_is_kept(
    tmp_path: Path,
    csv_data: Path,
    fake_model: Callable[..., Path],
    write_recipe: Callable[..., Path],
    registry: Registry,
    families: Families,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_model()
    plan = make_plan(read_recipe(write_recipe(HEAD + "stages: [finetune]\n")), registry, families)

    def measured(asked: Any, *_: Any, **__: Any) -> dict[str, Measured]:
        if "broken" in [one.name for one in asked]:
            raise CompressError("the engine cannot open it")
        return {one.name: Measured({}) for one in asked}

    monkeypatch.setattr("compress.running.measuring.measure", measured)
    artifact: Any = SimpleNamespace(digest="d", folder=tmp_path, traits=Traits())
    folder = RunFolder(tmp_path)
    run = Run.of(plan, registry, Store(tmp_path / "store"), folder, lambda event: None)
    for name in ("model", "broken"):
        run.records[name] = Record(name, "import", tmp_path, artifact, 0.0, False, None)
    with pytest.raises(CompressError, match="cannot open it"):
        measure_together(run, ["model", "broken"], plan.task, None)
    assert run.records["model"].measured is not None and folder.measured("model").is_file()
    assert run.records["broken"].measured is None and not folder.measured("broken").exists()


@pytest.mark.parametrize("what", ["gpus", "task", "engine", "packages"])
def test_measurements_are_not_used_again_if_something_they_depend_on_has_changed(
    what: str,
    tmp_path: Path,
    csv_data: Path,
    fake_model: Callable[..., Path],
    write_recipe: Callable[..., Path],
    registry: Registry,
    families: Families,
    monkeypatch: pytest.MonkeyPatch,
    with_gpus: Callable[..., None],
) -> None:
    fake_model()
    with_gpus()
    plan = make_plan(read_recipe(write_recipe(HEAD + "stages: [finetune]\n")), registry, families)
    taken: list[str] = []

    def measured(asked: Any, *_: Any, **__: Any) -> dict[str, Measured]:
        taken.extend(one.name for one in asked)
        return {one.name: Measured({}) for one in asked}

    monkeypatch.setattr("compress.running.measuring.measure", measured)
    artifact: Any = SimpleNamespace(digest="d", folder=tmp_path, traits=Traits())

    def go(registry: Registry, task: Any = plan.task) -> None:
        store, folder = Store(tmp_path / "store"), RunFolder(tmp_path)
        run = Run.of(plan, registry, store, folder, lambda event: None)
        run.records["model"] = Record("model", "import", tmp_path, artifact, 0.0, False, None)
        measure_together(run, ["model"], task, None)

    go(registry)
    go(registry)
    assert taken == ["model"]
    name, engine = next(iter(registry.engines.items()))
    other_engines = {**registry.engines, name: replace(engine, version="9")}
    if what == "gpus":
        with_gpus(TWO[1])
    if what == "packages":
        monkeypatch.setattr(
            "compress.measure.reuse.versions", lambda names: dict.fromkeys(names, "9")
        )
    go(
        replace(registry, engines=other_engines) if what == "engine" else registry,
        replace(plan.task, entry=replace(plan.task.entry, version="9"))
        if what == "task"
        else plan.task,
    )
    assert taken == ["model", "model"]
