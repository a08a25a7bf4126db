"""The files of a model folder that hold its weights: safetensors by name and by content, for
another format can run code when it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from compress.errors import UsageError
from compress.jsonfiles import read_object

SUFFIX = ".safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
"""Names of files that PyTorch reads as pickles."""
_WEIGHTS = "model.safetensors"
INDEX = f"{_WEIGHTS}.index.json"


class Header(NamedTuple):
    """What a file states of a tensor: the dtype as safetensors names it (``F32``), and the
    shape."""

    dtype: str
    shape: list[int]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers reads: ``model.safetensors``, else those that its
    index names. A folder with neither has all its safetensors files read.

    Raises UsageError if there are none, or if the index is no index or names anything else."""
    # Other files beside these, such as Mistral's consolidated.safetensors, hold the same weights
    # once more.
    single = folder / _WEIGHTS
    if single.is_file():
        return [single]
    if (folder / INDEX).is_file():
        return _indexed(folder / INDEX)
    weights = sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_file())
    if not weights:
        raise UsageError(f"{folder} has no safetensors weights{_pickle_remedy(folder)}")
    return weights


def tensor_headers(folder: Path) -> dict[str, Header]:
    """The header of each tensor in a folder's weights, by its name.

    Raises UsageError as ``weight_files`` does, and for a file that is damaged, cut off, or no
    safetensors file."""
    headers: dict[str, Header] = {}
    for path in weight_files(folder):
        headers |= headers_of(path)
    return headers


def headers_of(path: Path) -> dict[str, Header]:
    """The header of each tensor in one safetensors file. Raises UsageError if it is none."""
    from safetensors import SafetensorError, safe_open

    headers = {}
    try:
        with safe_open(path, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is not a dict)
                tensor = tensors.get_slice(name)
                headers[name] = Header(str(tensor.get_dtype()), list(tensor.get_shape()))
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read: {reason:.200}") from error
    return headers


def matching(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Everything in the folder that matches one of the patterns, in the order of the patterns."""
    for pattern in patterns:
        yield from folder.glob(pattern)


def leads_outside(path: Path, folder: Path) -> bool:
    """Whether a file of a folder is a link to a place outside of it.

    The hub's cache is no such place: all files of a model there are links to its ``blobs``."""
    try:
        root, place = folder.resolve(), path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that no file can have
        return True
    if root.parent.name == "snapshots":
        root = root.parent.parent
    return not place.is_relative_to(root)


def _indexed(index: Path) -> list[Path]:
    """The files that an index of weights names, each once."""
    file_of_weight = read_object(index).get("weight_map")
    if not isinstance(file_of_weight, dict) or not file_of_weight:
        raise UsageError(f"{index} cannot be read as an index of weights: it has no weight_map")
    names = sorted({str(name)[:255] for name in file_of_weight.values()})
    for name in names:
        problem = _problem_of_shard(name, index.parent)
        if problem:
            raise UsageError(f"{index} names {name!r:.120}, which {problem}")
    return [index.parent / name for name in names]


def _problem_of_shard(name: str, folder: Path) -> str:
    """Why a file that an index names is not read; empty if it is."""
    if not name.endswith(SUFFIX):
        return "is no safetensors file by its name, and is not read"
    if Path(name).name != name or not _is_file(folder / name):
        return "is not in the folder"
    return "is a link out of the folder" if leads_outside(folder / name, folder) else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long
        return False


def _pickle_remedy(folder: Path) -> str:
    """What to do with the first pickle of a folder, to be added to a message; empty if it has
    none."""
    pickle = next(matching(folder, PICKLES), None)
    if pickle is None:
        return ""
    return (
        f"; {pickle.name} is a pickle, which can run code and is not read: convert it with "
        "transformers first"
    )
