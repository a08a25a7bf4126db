"""Model folders that a stranger may send: every field of every file with a value of another type,
size or depth. Each gives answers or one line, and none hangs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command
from deadline import within
from safetensors.numpy import load_file, save_file
from tiny import save_bert, task_named

import compress
from compress.artifact import MANIFEST, Manifest, Traits, with_files
from compress.errors import CompressError, UsageError
from compress.pretrained.modelfolder import folder_traits, source_files
from compress.registry.plugins import Registry
from compress.serving import open_predictor
from compress.weightfiles import INDEX

WEIGHTS = "model.safetensors"

SECONDS = 10
DEEP = "[" * 100_000 + "]" * 100_000
LONG = "9" * 6_000
VALUES: dict[str, str] = {
    "null": "null",
    "a billion": "1000000000",
    "negative": "-1",
    "a fraction": "0.5",
    "a text": '"x"',
    "a long text": json.dumps("x" * 100_000),
    "a list": "[null]",
    "an object": '{"0": []}',
    "true": "true",
    "nan": "NaN",
    "infinite": "1e999",
    "many digits": LONG,
    "deep": DEEP,
    "a surrogate": '"\\ud800"',
    "a path": '"../../etc/passwd"',
}
"""JSON texts that stand where another value is expected."""
MARK = "@value@"
MORE_FILES = {
    "special_tokens_map.json": '{"unk_token": "[UNK]", "pad_token": {"content": "[PAD]"}}',
    "generation_config.json": '{"max_length": 20, "eos_token_id": 3}',
}
FILES = [
    ("outside", "config.json", 2, 50),
    ("outside", "tokenizer.json", 1, 15),
    ("outside", "tokenizer_config.json", 2, 12),
    ("outside", "special_tokens_map.json", 4, 10),
    ("outside", "generation_config.json", 4, 8),
    ("artifact", "config.json", 1, 25),
    ("artifact", "tokenizer_config.json", 2, 12),
    ("artifact", MANIFEST, 3, 50),
]
"""Kind of folder, file, values for each field, and how many variants there are at least."""


def outcome(folder: Path, registry: Registry) -> str:
    """The one line with which all doors refuse the folder; empty if it answers a text."""
    try:
        with within(SECONDS):
            folder_traits(folder, registry)
            source_files(folder)
            open_predictor(folder, registry)("good w1")
    except CompressError as error:
        return str(error)
    return ""


class Folders:
    """A classifier with its manifest (``artifact``), and the same without one (``outside``)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        save_bert(root / "artifact", task_named("text-classification"))
        shutil.copytree(root / "artifact", root / "outside")
        (root / "outside" / MANIFEST).unlink()
        for name, text in MORE_FILES.items():
            (root / "outside" / name).write_text(text, encoding="utf-8")

    def copy(self, kind: str) -> Path:
        """A copy of one of the two that a test may break; there is one at a time."""
        place = self.root / "broken"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.root / kind, place)
        return place

    def variants(self, kind: str, name: str, values: int) -> Iterator[tuple[str, Path]]:
        """A name and a folder for each field of a JSON file with ``values`` of ``VALUES``, which
        change from field to field."""
        whole = json.loads((self.root / kind / name).read_text(encoding="utf-8"))
        choice = cycle(VALUES.items())
        for path in fields(whole):
            for what, value in islice(choice, values):
                folder = self.copy(kind)
                text = replaced(whole, path, value)
                (folder / name).write_text(text, encoding="utf-8")
                if kind == "artifact" and name != MANIFEST:
                    with_files(Manifest.read(folder), folder).write(folder)
                yield f"{name} {'.'.join(path)}: {what}", folder


def fields(values: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The paths of the fields of an object, and of the first fields of the objects in it."""
    for key, value in values.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, inner) for inner in islice(value, 3))


def replaced(values: dict[str, Any], path: Sequence[str], value: str) -> str:
    """The JSON text of ``values`` with the JSON text ``value`` at ``path``."""
    copy = json.loads(json.dumps(values))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = MARK
    return json.dumps(copy).replace(f'"{MARK}"', value)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("folders"))


def faults(variants: Iterable[tuple[str, Path]], registry: Registry) -> tuple[int, list[str]]:
    """How many variants there are, and those that end in anything but an answer or one line."""
    count, found = 0, []
    for name, folder in variants:
        count += 1
        try:
            line = outcome(folder, registry)
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}")
        else:
            if "\n" in line or len(line) > 1000:
                found.append(f"{name}: {line}")
    return count, found


@pytest.mark.parametrize(("kind", "name", "values", "least"), FILES)
def test_a_field_of_any_type_size_and_depth_is_an_answer_or_one_line(
    kind: str, name: str, values: int, least: int, folders: Folders, registry: Registry
) -> None:
    count, found = faults(folders.variants(kind, name, values), registry)
    assert found == [] and count >= least


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name", "values", "least"), FILES)
def test_every_value_in_every_field_is_an_answer_or_one_line(
    kind: str, name: str, values: int, least: int, folders: Folders, registry: Registry
) -> None:
    count, found = faults(folders.variants(kind, name, len(VALUES)), registry)
    assert found == [] and count >= least * len(VALUES) / values


# whole files


def empty(file: Path) -> None:
    file.write_bytes(b"")


def no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00{" * 9)


def a_list(file: Path) -> None:
    file.write_text("[]", encoding="utf-8")


def a_deep_list(file: Path) -> None:
    file.write_text(DEEP, encoding="utf-8")


def twice_the_same_key(file: Path) -> None:
    file.write_text('{"a": 1, "a": 2}', encoding="utf-8")


def very_large(file: Path) -> None:
    with file.open("wb") as stream:  # a hole: it takes no room on the disk
        stream.truncate(1 << 40)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_loop_of_links(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_pickle(file: Path) -> None:
    file.write_bytes(pickle.dumps({"weight": [0.0]}))


def a_zip(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps({"weight": [0.0]}))


Break = Callable[[Path], None]
WRONG: tuple[Break, ...] = (
    empty,
    no_text,
    a_list,
    a_deep_list,
    twice_the_same_key,
    very_large,
    a_folder,
    a_loop_of_links,
    a_pipe,
    a_pickle,
    a_zip,
)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", MANIFEST, WEIGHTS]
)
def test_a_file_that_is_something_else_is_one_line(
    name: str, folders: Folders, registry: Registry
) -> None:
    def variants() -> Iterator[tuple[str, Path]]:
        for wrong in WRONG:
            folder = folders.copy("artifact" if name == MANIFEST else "outside")
            wrong(folder / name)
            yield f"{name}: {wrong.__name__}", folder

    count, found = faults(variants(), registry)
    assert found == [] and count == len(WRONG)


# weights


def header(values: dict[str, Any] | str, data: bytes = b"") -> bytes:
    """A safetensors file with this header."""
    text = values if isinstance(values, str) else json.dumps(values)
    return struct.pack("<Q", len(text)) + text.encode() + data


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HEADERS: dict[str, bytes] = {
    "a length beyond the file": struct.pack("<Q", 1 << 62) + b"{}",
    "no JSON": header("{"),
    "deep JSON": header(DEEP),
    "a list": header("[]"),
    "a tensor that is null": header({"w": None}),
    "another dtype": header({"w": {**TENSOR, "dtype": "F31"}}, bytes(8)),
    "a negative shape": header({"w": {**TENSOR, "shape": [-2]}}, bytes(8)),
    "a huge shape": header({"w": {**TENSOR, "shape": [1 << 62, 1 << 62]}}, bytes(8)),
    "offsets beyond the file": header({"w": {**TENSOR, "data_offsets": [0, 1 << 40]}}, bytes(8)),
    "offsets backwards": header({"w": {**TENSOR, "data_offsets": [8, 0]}}, bytes(8)),
    "one place for two tensors": header({"v": TENSOR, "w": TENSOR}, bytes(8)),
    "no tensor at all": header({}),
}


def test_a_header_of_weights_that_is_wrong_is_one_line(
    folders: Folders, registry: Registry
) -> None:
    for name, content in HEADERS.items():
        folder = folders.copy("outside")
        (folder / WEIGHTS).write_bytes(content)
        line = outcome(folder, registry)
        assert WEIGHTS in line or (name == "no tensor at all" and "do not fill" in line), name


OF_A_MANIFEST = {
    "ok.bin": "ok.bin is a pickle by its name",
    "linked.safetensors": "names a file outside of the folder",
}


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("ok.bin", "'ok.bin', which is no safetensors file by its name"),
        ("../model.safetensors", "which is not in the folder"),
        ("/etc/hostname.safetensors", "which is not in the folder"),
        ("x" * 300 + ".safetensors", "which is no"),
        ("linked.safetensors", "which is a link out of the folder"),
        ("pickled.safetensors", "pickled.safetensors cannot be read"),
    ],
)
@pytest.mark.parametrize("kind", ["outside", "artifact"])
def test_an_index_names_safetensors_of_its_folder_alone(
    kind: str, named: str, words: str, folders: Folders, registry: Registry, tmp_path: Path
) -> None:
    folder = folders.copy(kind)
    weights = (folder / WEIGHTS).rename(tmp_path / WEIGHTS)
    shutil.copyfile(weights, folder / "a.safetensors")
    a_pickle(folder / "pickled.safetensors")
    a_zip(folder / "ok.bin")
    (folder / "linked.safetensors").symlink_to(weights)
    shards = {"bert.pooler.dense.bias": "a.safetensors", "classifier.bias": named}
    (folder / INDEX).write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    if kind == "artifact":  # its manifest names what is there, with digests that are right
        for name in {"ok.bin", "linked.safetensors", "pickled.safetensors"} - {named}:
            (folder / name).unlink()
        with_files(Manifest.read(folder), folder).write(folder)
        words = OF_A_MANIFEST.get(named, words)
    assert words in outcome(folder, registry)


def test_weights_that_are_not_finite_are_named(folders: Folders, registry: Registry) -> None:
    folder = folders.copy("outside")
    weights = load_file(folder / WEIGHTS)
    weights["bert.pooler.dense.weight"][3, 4] = np.nan
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    assert outcome(folder, registry) == (
        f"{folder}: 1 of the 256 weights of bert.pooler.dense.weight are not finite (NaN or "
        "infinite): such a model has no answers"
    )


# edits and engines


@pytest.mark.parametrize(
    "change",
    [
        {"keep": 1 << 60},
        {"keep": 0},
        {"keep": "1"},
        {"keep": None},
        {"op": "rm"},
        {"block": "encoder.layer.99"},
        {"block": "__class__"},
        {"inputs": None},
        {"inputs": ["nothing"]},
        {"output": "x" * 5000},
        {"more": 1},
    ],
)
def test_edits_that_no_stage_writes_are_one_line(
    change: dict[str, Any], folders: Folders, registry: Registry
) -> None:
    folder = folders.copy("artifact")
    values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    edit = {
        "op": "feed_forward",
        "block": "bert.encoder.layer.0",
        "keep": 8,
        "inputs": ["intermediate.dense"],
        "output": "output.dense",
    }
    values["traits"]["shape"] = "free"
    values["edits"] = [{**edit, **change}]
    (folder / MANIFEST).write_text(json.dumps(values), encoding="utf-8")
    line = outcome(folder, registry)
    assert line and "\n" not in line


@pytest.mark.parametrize("wrong", [empty, no_text, a_pickle])
def test_a_broken_file_of_an_engine_is_one_line(
    wrong: Break, folders: Folders, registry: Registry
) -> None:
    folder = folders.copy("artifact")
    (folder / WEIGHTS).unlink()
    (folder / "onnx").mkdir()
    wrong(folder / "onnx" / "model.onnx")
    traits = Traits("onnx", trainable=False, task="text-classification")
    with_files(replace(Manifest.read(folder), traits=traits), folder).write(folder)
    line = outcome(folder, registry)
    assert line.startswith(f"ONNX Runtime cannot load {folder / 'onnx' / 'model.onnx'}: ")
    assert "\n" not in line


def test_commands_and_plans_refuse_a_hostile_folder_with_one_line(
    folders: Folders, command: Command, tmp_path: Path, csv_data: Path
) -> None:
    folder = folders.copy("artifact")
    (folder / MANIFEST).write_text(DEEP, encoding="utf-8")
    for words in (["predict", folder, "good"], ["verify", folder]):
        answer = command(*words)
        assert answer.code == 5 and len(answer.err.splitlines()) == 1, answer.err
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"task: text-classification\nmodel: {folder}\nstages: [finetune]\n"
        "data: {train: train.csv, test: test.csv}\n",
        encoding="utf-8",
    )
    with pytest.raises(UsageError, match=r"recipe.yaml:2:8: .*nested more than 64 levels deep$"):
        compress.plan(recipe)
