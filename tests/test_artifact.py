"""Artifacts: the manifest says what a folder is, and no byte of it changes unnoticed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from compress.artifact import (
    MANIFEST,
    Artifact,
    Manifest,
    Traits,
    canonical,
    digest_files,
    sha256_file,
    verify_files,
    with_files,
)
from compress.errors import IntegrityError, UsageError

FULL = Manifest(
    traits=Traits("onnx", "int8", "free", False, "text-classification"),
    files={"a/b.json": "0" * 64},
    step="small",
    stage="prune",
    options={"heads": 0.5, "layers": None},
    seed=7,
    labels=("bad", "good"),
    task_options={"max_length": 16},
    edits=(
        {
            "op": "feed_forward",
            "block": "encoder.layer.0",
            "keep": 2,
            "inputs": ["intermediate.dense"],
            "output": "output.dense",
        },
    ),
    parameters=12,
    base="owner/encoder",
    lineage=({"step": "teacher", "stage": "finetune", "digest": "1" * 64},),
    needs=("compress-toolkit",),
    versions={"torch": "2"},
    notes={"steps": 3},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(bytes(range(256)) * 9000)  # more than one chunk
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with_files(Manifest(Traits(), {}, step="s", stage="s"), tmp_path).write(tmp_path)
    return tmp_path


def test_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    FULL.write(tmp_path)
    read = Manifest.read(tmp_path)
    assert read == FULL
    assert read.digest == FULL.digest


def test_digests_are_sha256_by_relative_name_without_the_manifest(folder: Path) -> None:
    digests = digest_files(folder)
    assert list(digests) == ["config.json", "onnx/model.onnx"]
    assert digests["config.json"] == hashlib.sha256(b"{}").hexdigest()
    assert digests["onnx/model.onnx"] == hashlib.sha256(bytes(range(256)) * 9000).hexdigest()
    assert set(digest_files(folder, without=())) == {*digests, MANIFEST}


def test_artifact_opens_where_every_file_is_as_it_was_saved(folder: Path) -> None:
    artifact = Artifact.open(str(folder))
    assert artifact.folder == folder and artifact.traits == Traits()
    assert artifact.digest == artifact.manifest.digest


@pytest.mark.parametrize("position", [0, -1])
def test_one_changed_byte_is_found_and_named(folder: Path, position: int) -> None:
    file = folder / "onnx" / "model.onnx"
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"model\.onnx has changed since it was saved"):
        Artifact.open(folder)


def test_every_file_that_is_wrong_is_named(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").unlink()
    (folder / "config.json").write_text("{} ", encoding="utf-8")
    with pytest.raises(IntegrityError) as caught:
        Artifact.open(folder)
    first, second = str(caught.value).splitlines()
    assert first == f"{folder / 'config.json'} has changed since it was saved (sha256 differs)"
    assert second == f"{folder / 'onnx' / 'model.onnx'} is missing"


def test_files_that_were_added_are_named_folder_by_folder(folder: Path) -> None:
    for name in ("sub-b", "sub/a"):  # as texts they sort the other way round
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("added", encoding="utf-8")
    with pytest.raises(IntegrityError) as caught:
        Artifact.open(folder)
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == [str(folder / "sub/a"), str(folder / "sub-b")]


def test_file_that_is_no_part_of_the_artifact_is_no_fault(folder: Path) -> None:
    (folder / "README.md").write_text("mine", encoding="utf-8")
    assert "README.md" not in Artifact.open(folder).manifest.files


def test_digest_is_of_what_it_is_and_not_of_how_it_was_made() -> None:
    same = replace(
        FULL,
        step="other",
        stage="other",
        options={},
        seed=0,
        versions={},
        notes={},
        base=None,
        lineage=(),
        parameters=None,
        needs=(),
    )
    assert same.digest == FULL.digest
    for other in (
        replace(FULL, labels=("good", "bad")),
        replace(FULL, edits=()),
        replace(FULL, task_options={}),
        replace(FULL, files={"a/b.json": "1" * 64}),
        replace(FULL, traits=Traits()),
    ):
        assert other.digest != FULL.digest


def test_folder_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not an artifact"):
        Artifact.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"manifest_version": 1, "traits": {"colour": "red"}}', "cannot be read"),
        (
            '{"manifest_version": 99}',
            "manifest version 99 is not 1; it was written by another release",
        ),
    ],
)
def test_manifest_that_cannot_be_read_is_an_integrity_error(
    text: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(IntegrityError, match=words):
        Manifest.read(tmp_path)


def test_manifest_is_plain_json_with_sorted_keys(tmp_path: Path) -> None:
    FULL.write(tmp_path)
    values = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    assert list(values) == sorted(values) and values["manifest_version"] == 1


def test_canonical_text_is_equal_for_equal_values_and_refuses_what_has_no_json() -> None:
    assert (
        canonical({"b": [1, 2.5], "a": "é"})
        == canonical({"a": "é", "b": [1, 2.5]})
        == '{"a":"é","b":[1,2.5]}'
    )
    with pytest.raises(ValueError):
        canonical({"a": float("nan")})


def test_empty_file_and_missing_file_are_different_mistakes(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    verify_files(tmp_path, {"empty": sha256_file(tmp_path / "empty")})
    with pytest.raises(IntegrityError, match="other is missing"):
        verify_files(tmp_path, {"other": sha256_file(tmp_path / "empty")})


def test_a_file_that_was_added_is_refused_unless_no_loader_reads_it(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1")
    with_files(FULL, tmp_path).write(tmp_path)
    for name in ("README.md", ".gitattributes", ".cache/known"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text", encoding="utf-8")
    Artifact.open(tmp_path)
    (tmp_path / "more").mkdir()
    for name in ("adapter_config.json", "more/config.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(IntegrityError) as caught:
        Artifact.open(tmp_path)
    assert str(caught.value).splitlines() == [
        f"{tmp_path / name} was added after the model was saved: move it out"
        for name in ("adapter_config.json", "more/config.json")
    ]


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../outside"])
def test_manifest_names_no_file_outside_its_folder(name: str, tmp_path: Path) -> None:
    replace(FULL, files={name: "0" * 64}).write(tmp_path)
    with pytest.raises(IntegrityError, match="outside of the folder"):
        Manifest.read(tmp_path)
