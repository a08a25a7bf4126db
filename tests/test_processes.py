"""A step that several processes do together: it ends as one process would end it."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import rankjobs
import torch
from rankjobs import in_workers, job, training
from safetensors.torch import load_file
from tiny import save_bert, task_named
from trainings import equal

from compress.errors import CompressError
from compress.registry.plugins import load_plugins
from compress.workers import launching
from compress.workers.jobs import staging
from compress.workers.protocol import Failed, Note, Progress
from compress.workers.supervisor import Worker, started


@pytest.fixture(scope="module", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The toy plugin for this process and for workers, which also find what tests share. One
    thread, so that sums have one order."""
    site = tmp_path_factory.mktemp("plugins") / "site"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with rankjobs.installed(site, threads=2) as patch:
        patch.syspath_prepend(str(site))
        yield
    torch.set_num_threads(threads)


def records(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "records.json").read_text(encoding="utf-8"))
    return found


def counted(ranks: list[Any], at: int) -> list[Any]:
    """What each process saw of the batch ``at``, without a row that was lent to it."""
    first, *others = [batches[at] for batches in ranks]
    return [first, *(other for other in others if other["rows"] != first["rows"])]


def whole(parts: list[Any]) -> list[float]:
    """The terms of the batch whose parts several processes saw."""
    terms = []
    for term in zip(*(part["terms"] for part in parts), strict=True):
        terms.append(sum(v * n for v, n in term if n) / max(1, sum(n for _, n in term)))
    return terms


def test_two_processes_train_as_one_does_and_rank_0_alone_writes(tmp_path: Path) -> None:
    """One test, because the processes take seconds to start."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    line: Any = SimpleNamespace(send=lambda message: None)
    staging.run(job(alone, 1), line, load_plugins())
    said: list[Any] = []
    in_workers(job(together, 2), together, said)
    one, two = records(alone / "output"), records(together / "output")
    for case in ("uneven", "accumulated", "terms", "twice"):
        check_losses(one[case]["ranks"][0], two[case]["ranks"])
        assert two[case]["facts"] == {**one[case]["facts"], "processes": 2}
        check_weights(alone / "output", together / "output", case)
    check_rows(two["uneven"]["ranks"])
    assert [message.text for message in said if isinstance(message, Note)] == ["rank 0 of 2"]
    check_files(together)


def check_losses(one: list[Any], two: list[Any]) -> None:
    """Each batch has the same rows in two processes as in one, and the same loss."""
    assert len(one) >= 20
    for at, batch in enumerate(one):
        parts = counted(two, at)
        assert sorted(row for part in parts for row in part["rows"]) == sorted(batch["rows"])
        assert whole(parts) == pytest.approx([value for value, _ in batch["terms"]], abs=1e-4)


def check_weights(alone: Path, together: Path, case: str) -> None:
    """The weights at the end differ by no more than sums in another order do."""
    ours = load_file(together / f"{case}.safetensors")
    for name, weight in load_file(alone / f"{case}.safetensors").items():
        if not name.endswith("key.bias"):  # its gradient is noise: a softmax ignores it
            torch.testing.assert_close(ours[name], weight, atol=2e-3, rtol=1e-3)


def check_rows(ranks: list[Any]) -> None:
    """Each of 26 rows is seen once in an epoch, by the first process or by the other."""
    for epoch in range(3):
        seen = [[row for b in batches[9 * epoch :][:9] for row in b["rows"]] for batches in ranks]
        assert sorted(seen[0] + seen[1]) == list(range(26))
        assert [len(rows) for rows in seen] == [17, 9], "of 3 rows the first process gets 2"


def check_files(folder: Path) -> None:
    """Rank 0 made the product, and nothing that the other wrote is left."""
    assert [path.name for path in (folder / "output").glob("*.txt")] == ["written-by-0.txt"]
    assert not list((folder / "work").glob("output-of-rank-*"))
    (product,) = (folder / "store").glob("products/toy/*/content/made.txt")
    assert product.read_text(encoding="utf-8") == "0"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("killed", r"rank 1 of 2 was ended by SIGKILL \(out of memory\?\)"),
        ("wrong", r"rank 1 of 2: the rows of rank 1 are wrong"),
        ("bug", r"rank 1 of 2: ZeroDivisionError: division by zero \(traceback in .*log\)"),
        ("left", r"rank 1 of 2 ended with code 7 and no result"),
    ],
)
def test_a_process_that_ends_early_ends_all_and_is_named(
    how: str, words: str, tmp_path: Path
) -> None:
    start = time.monotonic()
    with pytest.raises(CompressError) as caught:
        in_workers(job(tmp_path, 2, how=how), tmp_path)
    assert re.fullmatch(words, str(caught.value)), caught.value
    assert time.monotonic() - start < 60


LOST = Failed("RuntimeError: Connection closed by peer (traceback in log)")
BUG = Failed("KeyError: 'a' (traceback in log)")
WRONG = Failed("the rows are wrong", CompressError.__name__)


@pytest.mark.parametrize(
    ("told", "codes", "words"),
    [
        ({0: LOST}, {0: 1, 1: 7}, "rank 1 of 2 ended with code 7 and no result"),
        ({0: LOST}, {0: 1, 1: -9}, r"rank 1 of 2 was ended by SIGKILL \(out of memory\?\)"),
        ({0: LOST, 1: WRONG}, {0: 1, 1: 1}, "rank 1 of 2: the rows are wrong"),
        ({1: LOST}, {0: -6, 1: 1}, "rank 1 of 2: RuntimeError: .*"),
        ({1: LOST}, {0: -15, 1: 1}, "rank 1 of 2: RuntimeError: .*"),
        ({0: replace(LOST, follows=True), 1: BUG}, {0: 1, 1: 1}, "rank 1 of 2: KeyError: .*"),
        ({}, {0: -6, 1: -15}, "rank [01] of 2 ended with code -(6|15) and no result"),
    ],
)
def test_the_process_to_blame_is_not_one_that_lost_another(
    told: dict[int, Failed], codes: dict[int, int], words: str
) -> None:
    """Whichever of them the launcher saw first."""
    for stamps in ((100, 101), (101, 100), (100, 100)):
        ends = {
            rank: SimpleNamespace(exitcode=code, timestamp=stamps[rank])
            for rank, code in codes.items()
        }
        assert re.fullmatch(words, launching.to_blame(list(told.items()), ends, 2).text)


@pytest.mark.slow
def test_a_training_that_is_asked_to_end_goes_on_to_equal_weights_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    model = save_bert(tmp_path / "model", task_named("text-classification"))
    unbroken = training(model, tmp_path / "unbroken")
    in_workers(unbroken, tmp_path / "unbroken")
    ended, said = training(model, tmp_path / "ended"), list[Any]()
    with started(ended, tmp_path / "job.json", tmp_path / "log") as worker:
        ranks = steps_seen(worker, 3)
        worker.let_end(said.append)
        assert worker.process.wait() == -signal.SIGTERM
    (kept,) = [message.text for message in said]
    assert re.match(r"kept the training at step \d+ of 35; the same command goes on", kept)
    assert not any(process.is_running() for process in ranks)
    in_workers(ended, tmp_path, said)
    notes = [message.text for message in said if isinstance(message, Note)]
    assert re.fullmatch(r"continuing from step \d+", notes[1])
    weights = [load_file(each.output / "model.safetensors") for each in (unbroken, ended)]
    assert equal(weights[0], weights[1])


@pytest.mark.slow
def test_no_process_outlives_the_worker_that_started_it(tmp_path: Path) -> None:
    model = save_bert(tmp_path / "model", task_named("text-classification"))
    with started(training(model, tmp_path), tmp_path / "job.json", tmp_path / "log") as worker:
        ranks = steps_seen(worker, 1)
        worker.process.kill()
        _, alive = psutil.wait_procs(ranks, timeout=10)
    assert alive == []


def steps_seen(worker: Worker, steps: int) -> list[psutil.Process]:
    """The two processes of a training, when it has done some steps."""
    for message in worker.messages():
        if isinstance(message, Progress) and message.done >= steps:
            break
    ranks: list[psutil.Process] = psutil.Process(worker.process.pid).children(recursive=True)
    assert len(ranks) == 2
    return ranks
