"""The models that peers.py compares: those of compress, and those of other tools, each made by the
tool's own command with its own defaults."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from compress.errors import CompressError
from compress.machine import lacks_vnni

_ONNX = ("onnx==1.23.2", "onnxruntime==1.32.0", "torch==2.13.0", "transformers==4.57.6")
PINS = {
    "optimum-onnx": ("optimum-onnx==0.1.0", *_ONNX),
    "olive": ("olive-ai==0.13.0", *_ONNX),
}
"""What the environment of each tool is made of. Both want an older transformers than compress."""
_QUIET = {"HF_HUB_OFFLINE": "1", "OLIVE_DISABLE_TELEMETRY": "1", "ORT_DISABLE_TELEMETRY": "1"}


class Made(NamedTuple):
    """A model in a folder: who made it, and of which precision."""

    name: str
    tool: str
    precision: str
    folder: Path


class Asked(NamedTuple):
    """What is compressed: a model folder, and files of examples as bare.py reads them."""

    model: Path
    train: Path
    test: Path
    max_length: int

    @property
    def task(self) -> str:
        """The name of the task, in compress as in transformers."""
        return "text-classification" if self.test.suffix == ".csv" else "token-classification"


def made(asked: Asked, work: Path) -> list[Made]:
    """All models, in folders below ``work``. The environments of an earlier call are used again.

    Raises CompressError, which names the log, where a tool fails."""
    shutil.rmtree(work / "models", ignore_errors=True)
    maker = Maker(asked, work)
    return [*maker.ours(), *maker.optimum(), maker.olive(), maker.nncf()]


class Maker:
    """What each tool makes of a model, below the folder ``work``. Each raises CompressError, which
    names the log, where a program fails."""

    def __init__(self, asked: Asked, work: Path) -> None:
        self._asked, self._work, self._models = asked, work, work / "models"
        self._models.mkdir(parents=True)

    def ours(self) -> list[Made]:
        """The float model and the int8 ones of compress."""
        stages = {
            "float": ({"export.onnx": {}}, "float32"),
            "int8": ({"quantize.onnx": {"mode": "dynamic"}}, "int8"),
            "openvino": ({"quantize.openvino": {}}, "int8"),
        }
        steps = [{**stage, "name": name, "from": "model"} for name, (stage, _) in stages.items()]
        recipe = {
            "task": {self._asked.task: {"max_length": self._asked.max_length}},
            "model": str(self._asked.model),
            "data": self._data(),
            "benchmark": {"effort": "quick"},
            "stages": steps,
        }
        file = self._work / "peers.yaml"
        file.write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
        runs = self._models / "runs"
        words = ["run", file, "--store", self._work / "store", "--runs", runs]
        command = [sys.executable, "-P", "-m", "compress", *words]
        self.call("compress", command, {"COMPRESS_DISABLE_PLUGINS": "meters"})
        (report,) = runs.glob("*/report.json")
        listed = json.loads(report.read_text(encoding="utf-8"))["steps"]
        folders = {
            step["name"]: report.parent / step["folder"] for step in listed if step["folder"]
        }
        names = {
            "float": "compress, ONNX",
            "int8": "compress, ONNX",
            "openvino": "compress, OpenVINO",
        }
        return [
            Made(names[name], "compress", precision, folders[name].resolve())
            for name, (_, precision) in stages.items()
        ]

    def _data(self) -> Mapping[str, object]:
        files = {"train": str(self._asked.train), "test": str(self._asked.test)}
        if self._asked.task == "token-classification":
            return {"source": "conll", **files}
        with self._asked.train.open(newline="", encoding="utf-8") as opened:
            text, label, *_ = next(csv.reader(opened))
        return {**files, "columns": {"text": text, "label": label}}

    def optimum(self) -> list[Made]:
        """optimum-onnx: exported, and int8 for this processor."""
        program = self._environment("optimum-onnx") / "optimum-cli"
        plain, int8 = self._models / "optimum-float", self._models / "optimum-int8"
        model = ["--model", self._asked.model, "--task", self._asked.task]
        self.call("optimum-export", [program, "export", "onnx", *model, plain])
        kind = "--avx2" if lacks_vnni() else "--avx512_vnni"
        words = ["onnxruntime", "quantize", kind, "--onnx_model", plain, "-o", int8]
        self.call("optimum-quantize", [program, *words])
        tool = "optimum-onnx"
        return [Made(tool, tool, "float32", plain), Made(tool, tool, "int8", int8)]

    def olive(self) -> Made:
        """Olive: exported and quantized by one workflow."""
        out = self._models / "olive"
        settings = {
            "input_model": {
                "type": "HfModel",
                "model_path": str(self._asked.model),
                "task": self._asked.task,
            },
            "passes": {
                "conversion": {"type": "OnnxConversion"},
                "quantization": {"type": "OnnxDynamicQuantization"},
            },
            "output_dir": str(out),
            "cache_dir": str(self._models / "olive-cache"),
        }
        file = self._models / "olive.json"
        file.write_text(json.dumps(settings), encoding="utf-8")
        self.call("olive", [self._environment("olive") / "olive", "run", "--config", file])
        return Made("Olive", "olive-ai", "int8", out)

    def nncf(self) -> Made:
        """NNCF, called directly on OpenVINO's own conversion."""
        out = self._models / "nncf"
        out.mkdir()
        program = Path(__file__).with_name("peers_nncf.py")
        words = [self._asked.model, out, "--train", self._asked.train]
        words += ["--max-length", str(self._asked.max_length)]
        self.call("nncf", [sys.executable, program, *words])
        return Made("NNCF, OpenVINO", "nncf", "int8", out)

    def _environment(self, tool: str) -> Path:
        """The folder of the programs of a tool's own environment."""
        place = self._work / "environments" / tool
        pins, stamp = "\n".join(PINS[tool]), place / "pins.txt"
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != pins:
            venv.create(place, clear=True, with_pip=True)
            self.call(f"pip-{tool}", [place / "bin" / "pip", "install", "-q", *PINS[tool]])
            stamp.write_text(pins, encoding="utf-8")
        return place / "bin"

    def call(
        self, name: str, command: Sequence[object], environ: Mapping[str, str] | None = None
    ) -> None:
        """Run a program; all that it says is written to ``NAME.log``."""
        sys.stderr.write(f"{name} ...\n")
        log = self._work / f"{name}.log"
        own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        is_ours = command[0] == sys.executable
        with log.open("w") as complaints:
            done = subprocess.run(
                [str(word) for word in command],
                cwd=self._work,
                env={**(os.environ if is_ours else own), **_QUIET, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=complaints,
                stderr=complaints,
                check=False,
            )
        if done.returncode:
            raise CompressError(f"{name} ended with {done.returncode}: {log} says why")
