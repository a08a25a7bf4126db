"""Installing a toy plugin of ``tests/plugins`` without pip, which would take seconds.

A folder on Python's path then holds what pip would put there: the package and its description."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

PLUGINS = Path(__file__).parent / "plugins"


def install(site: Path, *names: str, without: str = "") -> dict[str, str]:
    """The environment of a command that finds the toy plugins of these folders of
    ``tests/plugins``.

    They are installed into the folder ``site``. ``without`` names plugins to leave out, separated
    by commas. A test that loads plugins in its own process puts ``site`` on its path instead."""
    site.mkdir(exist_ok=True)
    for name in names:
        package = name.replace("-", "_")
        (site / package).symlink_to(PLUGINS / name / package, target_is_directory=True)
        describe_project(site, PLUGINS / name)
    return {"PYTHONPATH": first_on_path(site), "COMPRESS_DISABLE_PLUGINS": without}


def first_on_path(folder: Path) -> str:
    """A ``PYTHONPATH`` with this folder before those that are on it already."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def describe_project(site: Path, project: Path) -> None:
    """Describe the distribution of the folder ``project`` in ``site``, as its ``pyproject.toml``
    says."""
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    values = tomllib.loads(text)["project"]
    describe(site, values["name"], values["version"], values["entry-points"]["compress"])


def describe(site: Path, name: str, version: str, entry_points: Mapping[str, str]) -> None:
    """Write the ``dist-info`` folder of a distribution with these entry points of the group
    ``compress``."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "METADATA").write_text(metadata, encoding="utf-8")
    lines = ["[compress]", *(f"{point} = {module}" for point, module in entry_points.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
