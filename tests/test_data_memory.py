"""Preparing data takes about as much memory for many rows as for few."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PREPARE = """
import sys
from pathlib import Path
from compress_sources.delimited import Csv
from compress_tasks import TextClassification
from compress.machine import peak_memory
from compress.store.prepared import Prepared, prepare
folder = Path(sys.argv[1])
source = Csv(Csv.Options(train=str(folder / "train.csv"), validation=0.1))
prepare(source, TextClassification(TextClassification.Options()), folder)
print(sum(Prepared(folder, "").contents.sizes.values()), peak_memory())
"""


def peak(folder: Path, rows: int) -> int:
    """Bytes that a process has at most while it prepares so many rows."""
    folder.mkdir()
    lines = [f'"film {i}, {"x" * 300}",label {i % 7}' for i in range(rows)]
    (folder / "train.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", PREPARE, str(folder)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    count, used = ran.stdout.split()
    assert int(count) == rows
    return int(used)


def test_memory_hardly_grows_with_the_rows(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", 2_000), peak(tmp_path / "many", 80_000)
    assert many - few < 20e6  # a list of the rows alone would take 50 MB
