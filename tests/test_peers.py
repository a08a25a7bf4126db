"""The benchmarks that put compress beside other tools, on tiny models."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bundles import onnx_artifact
from tiny import LABELS, TAGS, save_bert, sentences, tagged, task_named, word_processor, write_csv

from compress.errors import CompressError

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
TIMED = {"value": 2.0, "low": 1.9, "high": 2.1}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a script of the benchmarks by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def in_columns(path: Path, count: int) -> Path:
    rows = [zip(row["tokens"], row["tags"], strict=True) for row in tagged(count, seed=0)]
    lines = ["\n".join(f"{word} {tag}" for word, tag in row) for row in rows]
    path.write_text("-DOCSTART- O\n\n" + "\n\n".join(lines) + "\n", encoding="utf-8")
    return path


def with_labels(folder: Path, labels: tuple[str, ...]) -> Path:
    """What a fine-tuned folder says besides its weights."""
    folder.mkdir()
    word_processor().save(folder)
    config = {"id2label": dict(enumerate(labels))}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_models_of_all_tools_are_scored_and_timed_alike(
    task: str, scripts: Any, tmp_path: Path
) -> None:
    peers, making = scripts("peers"), scripts("peers_making")
    by_token = task == "token-classification"
    labels = TAGS if by_token else LABELS
    model = with_labels(tmp_path / "model", labels)
    if by_token:
        test = in_columns(tmp_path / "test", 12)
    else:
        test = tmp_path / "test.csv"
        write_csv(test, sentences(12, seed=0))
    folder = onnx_artifact(tmp_path / "made", task_named(task), labels, by_token=by_token).folder
    asked = making.Asked(model, test, test, 16)
    assert asked.task == task
    precisions = ["float32", "int8"][: 1 if by_token else 2]  # each starts two processes
    models = [making.Made("compress, ONNX", "compress", each, folder) for each in precisions]
    rows = peers.compared(models, asked, tmp_path, loads=1, rounds=2, examples=3)
    score = "f1" if by_token else "accuracy"
    assert 0 <= rows[0][score] == rows[-1][score] <= 1
    assert 0 < rows[0]["model_bytes"] < rows[0]["folder_bytes"]
    assert rows[0]["faster"][0]["value"] == 1 and rows[0]["latency_ms"]["value"] > 0
    ratio = rows[-1]["latency_ms"]["value"] / rows[0]["latency_ms"]["value"]
    assert rows[0]["faster"][-1]["value"] == pytest.approx(ratio)


def test_a_tool_that_fails_is_named_with_its_log(scripts: Any, tmp_path: Path) -> None:
    making = scripts("peers_making")
    file = tmp_path / "none.csv"
    maker = making.Maker(making.Asked(tmp_path, file, file, 8), tmp_path)
    with pytest.raises(CompressError, match=r"^olive ended with 1: .*olive\.log says why$"):
        maker.call("olive", [sys.executable, "-c", "raise SystemExit('no such pass')"])
    assert (tmp_path / "olive.log").read_text(encoding="utf-8") == "no such pass\n"


def test_a_program_that_ends_is_named_with_its_last_words(scripts: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with (
        scripts("bareloop").talk(command, tmp_path / "log") as process,
        pytest.raises(CompressError, match="ended: no such model$"),
    ):
        process.ask({"do": "score"})


def test_the_int8_model_is_told_beside_each_other_tool(scripts: Any) -> None:
    page = scripts("peers_page")
    made = [
        ("compress, ONNX", "compress", "float32", 3.0),
        ("compress, ONNX", "compress", "int8", 1.0),
        ("compress, OpenVINO", "compress", "int8", 2.0),
        ("Olive", "olive-ai", "int8", 2.0),
    ]
    rows = [
        {
            "name": name,
            "tool": tool,
            "precision": precision,
            "f1": 0.9 - milliseconds / 100,
            "model_bytes": 2_000_000,
            "folder_bytes": 3_000_000,
            "latency_ms": {**TIMED, "value": milliseconds},
            "faster": [TIMED] * 4,
        }
        for name, tool, precision, milliseconds in made
    ]
    values = {"rows": rows}
    assert page.headers(values)[2] == "f1"
    assert page.rows(values)[0][-2:] == ["3.00 ms", "–"]
    assert page.rows(values)[3] == [
        *("Olive", "int8", "0.8800", "2.0 MB", "3.0 MB", "2.00 ms", "2.00x [1.90, 2.10]")
    ]
    assert page.beside(values).splitlines() == [
        "`compress, ONNX` in int8 beside the others:",
        "",
        "- Olive: 2.00x [1.90, 2.10], f1 +0.0100",
    ]


def test_entities_are_counted_by_their_characters(scripts: Any) -> None:
    end_to_end = scripts("end_to_end")
    truth = end_to_end.spans_of(["New", "York", "and", "Bonn"], ["B-X", "I-X", "O", "B-Y"])
    assert truth == {(0, 8, "X"), (13, 17, "Y")}
    assert end_to_end.f1_of([truth], [{(0, 8, "X"), (9, 12, "X")}]) == pytest.approx(0.5)


@pytest.mark.slow
def test_texts_go_in_and_entities_come_out_of_both_tools(scripts: Any, tmp_path: Path) -> None:
    task = task_named("token-classification")
    teacher = save_bert(tmp_path / "teacher", task, TAGS)
    artifact = onnx_artifact(tmp_path / "int8", task, TAGS, by_token=True, precision="int8")
    rows = scripts("end_to_end").measured(
        teacher.folder,
        [artifact.folder],
        in_columns(tmp_path / "test", 12),
        tmp_path,
        rounds=2,
        sentences=6,
    )
    assert [row["tool"] for row in rows] == ["pipeline"] * 2 + ["compress"] * 2
    assert [row["batch"] == 1 for row in rows] == [True, False] * 2
    assert rows[0]["faster"]["value"] == 1 and rows[2]["faster"]["value"] > 0
    assert all(0 <= row["f1"] <= 1 for row in rows)
    table = scripts("end_to_end_page").rows({"rows": rows})
    assert table[0][-1] == table[0][4] == "–" and table[2][:2] == ["compress", "int8"]
