"""One install gives every plugin, each plugin folder is a distribution of its own, and imports go
one way."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from compress.options import FreshModel
from compress.registry.plugins import KINDS, Registry

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir())
TOYS = sorted(file.parent for file in ROOT.glob("tests/plugins/*/pyproject.toml"))
"""Distributions that only tests use."""
COUNT = 16
"""Folders below plugins/: a loop that finds fewer proves nothing."""
OPTIONAL = {
    "fastapi",
    "mlflow",
    "nncf",
    "openvino",
    "peft",
    "pynvml",
    "rouge_score",
    "sacrebleu",
    "sentencepiece",
    "tensorboard",
    "uvicorn",
}
"""Packages that extras install: where they are missing, what imports them cannot be traced to a
distribution."""
TORCH = {"exporting", "hidden", "models", "sessions", "shapes", "surgery"}
"""Public modules of the core that load torch."""
PUBLIC = {file.stem for file in (ROOT / "compress").glob("*.py")} | {"training", "distilling"}
"""What plugins may import of the core: the modules of its top level, and ``compress.training``."""
LIGHT = PUBLIC - TORCH


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_root_lists_exactly_the_plugins_that_have_folders() -> None:
    assert len(PLUGINS) == COUNT
    root = project(ROOT)
    points = root["project"]["entry-points"]["compress"]
    assert points == {
        folder.name.removeprefix("compress-"): folder.name.replace("-", "_") for folder in PLUGINS
    }
    packages = root["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == [
        "compress",
        *(f"plugins/{folder.name}/{folder.name.replace('-', '_')}" for folder in PLUGINS),
    ]


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_plugin_folder_is_a_complete_distribution(folder: Path) -> None:
    own, package = project(folder), folder.name.replace("-", "_")
    assert own["project"]["name"] == folder.name
    assert own["project"]["entry-points"] == {
        "compress": {folder.name.removeprefix("compress-"): package}
    }
    assert own["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [package]
    assert "compress-toolkit" in own["project"]["dependencies"]
    assert own["project"]["license"] == "Apache-2.0" and own["project"]["description"]
    assert (
        (folder / own["project"]["readme"])
        .read_text(encoding="utf-8")
        .startswith(f"# {folder.name}\n")
    )
    assert (folder / package / "__init__.py").is_file()
    assert list((folder / "tests").glob("test_*.py"))


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_plugin_asks_for_no_more_than_the_root_installs(folder: Path) -> None:
    """The root bundles the plugins, so what they depend on it must depend on, with the same bounds;
    a tracker's library is an extra of the tracker's name."""
    own = set(project(folder)["project"]["dependencies"]) - {"compress-toolkit"}
    root = project(ROOT)["project"]
    extra = root["optional-dependencies"].get(folder.name.removeprefix("compress-"), [])
    assert own <= {*root["dependencies"], *extra}


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_an_extra_of_a_plugin_is_one_of_the_root(folder: Path) -> None:
    """The error for a package that is missing names the extra of either."""
    extras = project(folder)["project"].get("optional-dependencies", {})
    assert extras.items() <= project(ROOT)["project"]["optional-dependencies"].items()


def test_types_are_checked_in_the_core_and_in_every_plugin_and_toy_plugin() -> None:
    settings, folders = project(ROOT)["tool"]["mypy"], [*PLUGINS, *TOYS]
    names = sorted(folder.name.replace("-", "_") for folder in folders)
    assert settings["packages"] == ["compress", *names]
    paths = [f"$MYPY_CONFIG_FILE_DIR/{folder.relative_to(ROOT).as_posix()}" for folder in folders]
    assert settings["mypy_path"] == ["$MYPY_CONFIG_FILE_DIR", *paths]


def imports(file: Path, *, top: bool = False) -> Iterator[str]:
    """Dotted names that a file imports; with ``top`` only those imported when the module is."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def third_party(folder: Path) -> set[str]:
    """Distributions, in lower case, whose packages the files of a folder import."""
    packages = {name.split(".")[0] for file in files_of(folder) for name in imports(file)}
    known = packages_distributions()
    packages -= set(sys.stdlib_module_names) | (OPTIONAL - known.keys())
    found = {known[package][0] for package in packages if not package.startswith("compress")}
    # pydantic-core is pydantic's own, at the version that pydantic pins.
    return {name.lower().replace("_", "-") for name in found} - {"pydantic-core"}


def all_dependencies(folder: Path) -> list[str]:
    """What a distribution depends on, also by its extras."""
    own = project(folder)["project"]
    return [*own["dependencies"], *chain(*own.get("optional-dependencies", {}).values())]


@pytest.mark.parametrize("folder", [ROOT, *PLUGINS], ids=lambda folder: folder.name)
def test_every_package_that_is_imported_is_a_declared_dependency(folder: Path) -> None:
    own = {re.split(r"[<>=\[ ]", wanted)[0].lower() for wanted in all_dependencies(folder)}
    used = third_party(folder / ("compress" if folder == ROOT else folder.name.replace("-", "_")))
    assert used <= own


def files_of(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.py"))
    assert files
    return files


def test_the_core_imports_no_plugin() -> None:
    files = files_of(ROOT / "compress")
    assert len(files) > 50
    assert [
        (file.name, name)
        for file in files
        for name in imports(file)
        if name.startswith("compress_")
    ] == []


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_plugin_imports_only_the_cores_top_level_and_no_other_plugin(folder: Path) -> None:
    package = folder.name.replace("-", "_")
    for file in files_of(folder / package):
        for name in imports(file):
            top, *below = name.split(".")
            assert not top.startswith("compress_") or top == package, f"{file}: {name}"
            if top == "compress" and name != "compress.hookimpl":
                assert below[0] in PUBLIC and len(below) <= 2, f"{file}: {name}"


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugins_first_module_imports_nothing_heavy_and_only_light_modules_of_the_core(
    folder: Path,
) -> None:
    heavy = {
        "torch",
        "transformers",
        "sklearn",
        "pandas",
        "datasets",
        "optimum",
        "onnxruntime",
        "openvino",
        "nncf",
        "bitsandbytes",
        "evaluate",
        "mlflow",
        "peft",
        "tensorboard",
    }
    for name in imports(folder / folder.name.replace("-", "_") / "__init__.py", top=True):
        assert name.split(".")[0] not in heavy, name
        if name.startswith("compress."):
            assert name.split(".")[1] in LIGHT | {"hookimpl"}, name


def option_models(registry: Registry) -> Iterator[tuple[str, type[BaseModel]]]:
    for kind in ("stages", "sources", "tasks"):
        for entry in registry.of(kind).values():
            yield from nested(entry.name, entry.cls.Options)


def nested(name: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield name, model
    for key, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            yield from nested(f"{name}.{key}", inner)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from models_in(inner)


def test_every_option_is_described_in_a_sentence(registry: Registry) -> None:
    described = [
        (f"{name}.{key}", field.description or "")
        for name, model in option_models(registry)
        for key, field in model.model_fields.items()
    ]
    assert len(described) > 100
    assert [name for name, text in described if len(text) < 10 or not text.endswith(".")] == []


def test_every_options_model_refuses_unknown_keys_and_conversions(registry: Registry) -> None:
    for name, model in option_models(registry):
        if model is FreshModel:
            continue  # its keys are those of a family's config, which the plan checks
        config = model.model_config
        assert (config.get("extra"), config.get("strict"), config.get("frozen")) == (
            "forbid",
            True,
            True,
        ), name


def test_everything_that_is_registered_says_what_it_is(registry: Registry) -> None:
    entries = [
        (f"{kind} {name}", entry.cls) for kind in KINDS for name, entry in registry.of(kind).items()
    ]
    assert len(entries) > 25
    assert [name for name, cls in entries if len(cls.summary) < 5] == []
    assert [name for name, cls in entries if not cls.__doc__] == []
    for task in registry.tasks.values():
        assert all(column.description for column in task.cls.columns)
