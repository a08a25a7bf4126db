"""Runs that are killed, fail or meet in one store: what is finished stays, and the same command
goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import Popen

import psutil
import pytest
from fakes import write_fake_data, write_fake_model
from installing import install
from kept_families import give_families
from running import (
    CHAIN,
    UNMEASURED,
    Run,
    environment,
    finish,
    run,
    start_run,
    wait_for,
    workers_of,
    write_place,
)
from safetensors.numpy import load_file

pytest_plugins = ["finished"]

Nudges = Callable[..., tuple[Path, Mapping[str, str]]]
STEPS = ["pretrain", "teacher", "distill", "slim", "quantize.bitsandbytes", "free", "quantize.onnx"]
TRAINED = ("pretrain", "teacher", "distill", "slim")
_STARTED_SECONDS = 0.1
"""Time after which a worker has begun its job. The shortest step takes three times as long."""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product of the fake model, taken in once: that needs torch, and nothing else here."""
    place, environ = write_nudges(tmp_path_factory.mktemp("imported"), {"by": 1.0})
    return run(place, "toy.yaml", environ=environ).artifact("model").resolve().parent


@pytest.fixture
def nudges(tmp_path: Path, imported: Path) -> Nudges:
    """``nudges({"by": 1.0}, {"by": 2.0})``: a place with a recipe of these steps, named a, b, ...,
    and an environment. The stores ``store`` and ``shared`` have the model."""

    def make(*steps: Mapping[str, object]) -> tuple[Path, Mapping[str, str]]:
        for store in ("store", "shared"):
            products = tmp_path / store / "products" / imported.parent.name
            shutil.copytree(imported, products / imported.name)
        return write_nudges(tmp_path, *steps)

    return make


def write_nudges(place: Path, *steps: Mapping[str, object]) -> tuple[Path, Mapping[str, str]]:
    """Data, a model and a recipe ``toy.yaml`` of these steps in ``place``, and an environment."""
    write_fake_data(place)
    write_fake_model(place)
    stages = [
        f"  - toy.nudge: {dict(options)}\n    name: {name}"
        for name, options in zip("abcde", steps, strict=False)
    ]
    head = (
        "task: text-classification\nmodel: ./model\n"
        "data: {train: train.csv, test: test.csv}\nstages:\n"
    )
    (place / "toy.yaml").write_text(head + "\n".join(stages) + "\n", encoding="utf-8")
    return place, install(place / "site", "compress-toy", without="meters,onnx")


def weight(found: Run, step: str) -> float:
    return float(load_file(found.artifact(step) / "model.safetensors")["weight"][0, 0])


def is_gone(pid: int) -> bool:
    """Whether the process has ended, also where nobody has asked for its exit code."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def each_opened(*steps: str) -> set[str]:
    """The jobs that make these steps: a model that needs no torch is opened in another process than
    the one that made it."""
    return {*steps, *(f"{step}-opening" for step in steps)}


def started_anew(found: Run, before: Mapping[str, int]) -> set[str]:
    """The jobs whose worker was started after ``before``."""
    return {name for name, at in found.jobs().items() if before.get(name) != at}


def switched(place: Path, how: str) -> None:
    """The recipe's stages look at one file in ``place``, which says ``how``."""
    recipe = (place / "toy.yaml").read_text()
    recipe = recipe.replace("'switch': 'switch'", f"'switch': '{place}/switch'")
    (place / "toy.yaml").write_text(recipe)
    (place / "switch").write_text(how)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("error", "error: the switch is on"),
        ("killed", "the worker was ended by SIGKILL (out of memory?)"),
        pytest.param(
            "bug", "ZeroDivisionError: the switch is on (traceback in", marks=pytest.mark.slow
        ),
        pytest.param("left", "the worker ended with code 7 and no result", marks=pytest.mark.slow),
    ],
)
def test_a_stage_that_fails_keeps_what_was_finished_and_goes_on_when_it_is_mended(
    how: str, words: str, nudges: Nudges
) -> None:
    place, environ = nudges({"by": 1.0}, {"by": 2.0, "switch": "switch"}, {"by": 4.0})
    switched(place, how)
    broken = run(place, "toy.yaml", environ=environ, code=1)
    assert words in broken.output
    assert "Traceback" not in broken.output
    assert broken.report["state"] == "failed"
    assert [s["name"] for s in broken.report["steps"]] == ["model", "a"]
    assert (
        broken.events[-1]["event"] == "run_failed"
        and words.removeprefix("error: ") in broken.events[-1]["text"]
    )
    assert weight(broken, "a") == 1.0
    assert list((place / "store" / "staging").iterdir()) == [], "a failure is never stored"
    before = broken.jobs()
    (place / "switch").unlink()
    mended = run(place, "toy.yaml", environ=environ)
    assert (mended.folder, mended.report["state"]) == (broken.folder, "finished")
    assert started_anew(mended, before) == each_opened("b", "c")
    assert [weight(mended, name) for name in "abc"] == [1.0, 3.0, 7.0]
    assert [s["cached"] for s in mended.report["steps"]] == [True, True, False, False]


def test_a_run_goes_on_to_its_end_and_its_code_though_nobody_reads_what_it_says(
    nudges: Nudges,
) -> None:
    place, environ = nudges({"by": 1.0})
    reading, writing = os.pipe()
    os.close(reading)
    give_families(place / "store")
    words = [sys.executable, "-m", "compress", "run", "toy.yaml", "--store", "store"]
    ended = subprocess.run(
        words, cwd=place, env=environment(environ), stdout=writing, stderr=writing, check=False
    )
    os.close(writing)
    assert ended.returncode == 0
    (report,) = (place / "runs").glob("*/report.json")
    assert json.loads(report.read_text(encoding="utf-8"))["state"] == "finished"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("limited", r"error: \S+/large\.bin: File too large\n"),
        pytest.param("gone", r"error: \S+: No such file or directory\n", marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_cannot_write_is_one_line_with_the_path_and_ends_with_3(
    how: str, words: str, nudges: Nudges
) -> None:
    """Python does not say which file grew too large, and a library reports a folder that is gone
    with an error of its own."""
    place, environ = nudges({"by": 1.0, "switch": "switch"})
    switched(place, how)
    broken = run(place, "toy.yaml", environ=environ, code=3)
    assert re.search(words, broken.output), broken.output
    assert "Traceback" not in broken.output
    assert broken.report["state"] == "failed"
    assert list((place / "store" / "staging").iterdir()) == []


def test_a_changed_option_makes_anew_what_depends_on_it_and_nothing_else(nudges: Nudges) -> None:
    """Other options lead to another run, which finds in the store what they do not touch."""
    place, environ = nudges({"by": 1.0}, {"by": 2.0}, {"by": 4.0}, {"by": 8.0})
    recipe = (place / "toy.yaml").read_text() + "    from: a\n"  # d is c's cousin
    (place / "toy.yaml").write_text(recipe)
    first = run(place, "toy.yaml", environ=environ)
    assert [weight(first, name) for name in "abcd"] == [1.0, 3.0, 7.0, 9.0]
    second = run(place, "toy.yaml", "--set", "stages.b.by=3.0", environ=environ)
    assert second.folder != first.folder
    assert [weight(second, name) for name in "abcd"] == [1.0, 4.0, 8.0, 9.0]
    assert set(second.jobs()) == each_opened("b", "c"), "no other worker was started"
    assert [s["cached"] for s in second.report["steps"]] == [True, True, False, False, True]
    assert [weight(first, name) for name in "abcd"] == [1.0, 3.0, 7.0, 9.0], (
        "the first run is as it was"
    )


@pytest.mark.slow
def test_a_step_that_is_reused_tells_the_names_of_its_own_run(nudges: Nudges) -> None:
    place, environ = nudges({"by": 1.0}, {"by": 2.0}, {"by": 4.0, "beside": "a"})
    assert run(place, "toy.yaml", environ=environ).step("c")["options"]["beside"] == "a"
    recipe = (
        (place / "toy.yaml").read_text().replace("'a'", "'first'").replace("name: a", "name: first")
    )
    (place / "toy.yaml").write_text(recipe)
    again = run(place, "toy.yaml", environ=environ)
    assert again.step("c")["cached"] and not set("abc") & set(again.jobs())
    assert (again.step("c")["options"]["beside"], again.step("c")["seed"]) == ("first", 0)
    shutil.copytree(place / "model", place / "copied")
    copied = run(place, "toy.yaml", "--set", "model=copied", environ=environ)
    assert (
        copied.step("c")["cached"]
        and copied.step("c")["base"] == copied.step("model")["base"] != again.step("c")["base"]
    )


def test_two_runs_that_want_the_same_make_it_once(nudges: Nudges) -> None:
    place, environ = nudges({"by": 1.0, "switch": "switch"}, {"by": 2.0})
    switched(place, "wait")
    processes, names = [], ("one", "two")
    for name in names:
        (place / name).mkdir()
        processes.append(
            start_run(
                place / name, "../toy.yaml", "--store", str(place / "shared"), environ=environ
            )
        )
    wait_for(
        lambda: any("waiting for process" in (place / n / "output").read_text() for n in names)
    )
    (place / "switch").unlink()
    runs = [finish(process, place / name) for process, name in zip(processes, names, strict=True)]
    assert all(found.report["state"] == "finished" for found in runs)
    assert sorted(found.step("a")["cached"] for found in runs) == [False, True]
    waited = next(found for found in runs if found.step("a")["cached"])
    assert any(
        e["event"] == "note" and e["text"].startswith("a: waiting for process ")
        for e in waited.events
    )
    assert runs[0].digests() == runs[1].digests()
    assert [name for name in ("a", "b", "input-0") for found in runs if name in found.jobs()].count(
        "a"
    ) == 1


def test_the_same_run_started_twice_is_made_and_measured_once(nudges: Nudges) -> None:
    place, environ = nudges({"by": 1.0, "switch": "switch"})
    switched(place, "wait")
    first = start_run(place, "toy.yaml", environ=environ)
    wait_for(lambda: list((place / "runs").glob("*/jobs/a.json")))
    with (place / "second").open("w") as output:
        second = Popen(
            [*first.args, "--json"],
            cwd=place,
            env=environment(environ),
            text=True,
            stdout=output,
            stderr=output,
        )
        waits = f"waiting for process {first.pid}, which makes the same run"
        wait_for(lambda: waits in (place / "second").read_text())
        (place / "switch").unlink()
        assert (first.wait(60), second.wait(60)) == (0, 0)
    said = (place / "second").read_text()
    assert '"state": "finished"' in said


def test_who_waits_goes_on_when_the_one_waited_for_is_killed(nudges: Nudges) -> None:
    place, environ = nudges({"by": 1.0, "switch": "switch"})
    switched(place, "wait")
    (place / "one").mkdir()
    (place / "two").mkdir()
    first = start_run(
        place / "one", "../toy.yaml", "--store", str(place / "shared"), environ=environ
    )
    wait_for(lambda: list((place / "one" / "runs").glob("*/jobs/a.json")))
    second = start_run(
        place / "two", "../toy.yaml", "--store", str(place / "shared"), environ=environ
    )
    wait_for(lambda: "waiting for process" in (place / "two" / "output").read_text())
    first.kill()
    wait_for(lambda: list((place / "two" / "runs").glob("*/jobs/a.json")))
    (place / "switch").unlink()
    assert finish(second, place / "two").step("a")["cached"] is False
    first.wait()


def test_a_worker_whose_run_is_killed_ends_itself(nudges: Nudges) -> None:
    place, environ = nudges({"by": 1.0, "seconds": 60.0})
    process = start_run(place, "toy.yaml", environ=environ)
    wait_for(lambda: list((place / "runs").glob("*/jobs/a.json")))
    (worker,) = wait_for(lambda: workers_of(process))
    time.sleep(1.0)  # it is at its work
    process.kill()
    process.wait()
    wait_for(lambda: is_gone(worker.pid), 10)


@pytest.mark.skipif(
    sys.platform != "linux",
    reason="elsewhere a worker has a thread that looks after its supervisor",
)
def test_a_worker_that_lets_no_other_thread_run_ends_with_its_run(nudges: Nudges) -> None:
    place, environ = nudges({"by": 1.0, "switch": "switch"})
    switched(place, "deaf")
    process = start_run(place, "toy.yaml", environ=environ)
    wait_for(lambda: not (place / "switch").exists())
    (worker,) = workers_of(process)
    process.kill()
    process.wait()
    wait_for(lambda: is_gone(worker.pid), 10)


def test_a_worker_whose_supervisor_has_ended_before_it_could_call_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is to be short
    with socket.socket(socket.AF_UNIX) as line:
        line.bind("line")  # a process that is killed leaves the address, and nobody listens
    Path("job.json").write_text(json.dumps({"kind": "none"}), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "compress.workers.worker", "job.json", "line"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "ConnectionRefusedError" in ended.stderr


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, 130, "error: interrupted;"),
        (signal.SIGTERM, 143, "error: ended by SIGTERM;"),
        pytest.param(signal.SIGHUP, 129, "error: ended by SIGHUP;", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_run_with_its_report_and_its_code_and_the_worker_too(
    number: signal.Signals, code: int, words: str, nudges: Nudges
) -> None:
    place, environ = nudges({"by": 1.0, "seconds": 60.0})
    process = start_run(place, "toy.yaml", environ=environ)
    wait_for(lambda: list((place / "runs").glob("*/jobs/a.json")))
    (worker,) = wait_for(lambda: workers_of(process))
    process.send_signal(number)
    assert process.wait(20) == code
    output = (place / "output").read_text()
    assert words in output and "the same command continues" in output
    assert "Traceback" not in output
    (report,) = (place / "runs").glob("*/report.json")
    assert json.loads(report.read_text(encoding="utf-8"))["state"] == "interrupted"
    wait_for(lambda: not psutil.pid_exists(worker.pid), 10)


def test_signals_are_heeded_unless_they_are_ignored_and_the_first_one_counts() -> None:
    """``nohup`` has a command ignore SIGHUP. A machine that shuts down sends several."""
    code = (
        "import os, signal\nfrom compress.cli.ending import ending_of, heed_signals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nheed_signals()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\ntry:\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "except KeyboardInterrupt as error:\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print(ending_of(error))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.returncode) == ("('ended by SIGTERM', 143)\n", 0)


# killed in the middle of real stages


def place_before(step: str, whole: Run, folder: Path, recipe: str) -> Path:
    """A working directory whose store has what stands before ``step`` in the whole run, and nothing
    of what follows."""
    place = write_place(folder, chain=recipe)
    shutil.copytree(whole.store, place / "store")
    converted = (
        ["teacher@onnxruntime", "teacher@onnxruntime-fused"]
        if step in ("pretrain", "teacher")
        else []
    )
    gone = STEPS[STEPS.index(step) :] + converted
    for name in whole.digests().keys() & set(gone):
        product = whole.artifact(name).resolve().parent
        shutil.rmtree(place / "store" / product.relative_to(whole.store.resolve()))
    if step in ("pretrain", "teacher", "distill"):
        shutil.rmtree(place / "store" / "products" / "teacher-outputs")
    return place


def up_to(step: str) -> str:
    """The chain's recipe without what follows ``step``."""
    return CHAIN.partition({"distill": "  - prune.structured: {feed"}.get(step, "\0"))[0]


def kill_during(
    step: str, place: Path, *, worker_too: bool, environ: Mapping[str, str] = UNMEASURED
) -> list[int]:
    """Start the run and kill it in the middle of ``step``; the process ids of its workers."""
    before = time.time_ns()
    process = start_run(place, "chain.yaml", environ=environ)
    wait_for(
        lambda: [
            job
            for job in (place / "runs").glob(f"*/jobs/{step}.json")
            if job.stat().st_mtime_ns > before
        ]
    )
    if step in TRAINED:
        wait_for(
            lambda: (
                list((place / "store" / "work").glob("*/checkpoints/*/complete.json"))[1:]
                or list(
                    (place / "store" / "work").glob("*/checkpoints/checkpoint-10/complete.json")
                )
            )
        )
    else:
        time.sleep(_STARTED_SECONDS)
    workers = [worker.pid for worker in workers_of(process)]
    process.kill()
    for pid in workers if worker_too else ():
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert workers, "the step was over before it was killed"
    return workers


def goes_on_to_the_same_end(
    step: str, place: Path, whole: Run, workers: list[int], environ: Mapping[str, str] = UNMEASURED
) -> Run:
    process = start_run(
        place, "chain.yaml", environ=environ
    )  # at once: the killed run's worker may not be gone yet
    for pid in workers:
        wait_for(lambda pid=pid: is_gone(pid), 20)  # type: ignore[misc]
    ended = finish(process, place)
    made = {s["name"] for s in ended.report["steps"] if not s["cached"]}
    assert STEPS[: STEPS.index(step)] == [
        s["name"] for s in ended.report["steps"] if s["cached"] and s["name"] in STEPS
    ]
    assert step in made
    unbroken = whole.digests()
    assert {
        name: digest for name, digest in ended.digests().items() if digest != unbroken[name]
    } == {}
    return ended


def test_a_run_killed_in_the_middle_of_distilling_goes_on_to_the_same_weights(
    chain: Run, tmp_path: Path
) -> None:
    """The run alone is killed: its worker must end with it, or it would write into the work folder
    of the next."""
    place = place_before("distill", chain, tmp_path / "place", up_to("distill"))
    workers = kill_during("distill", place, worker_too=False)
    ended = goes_on_to_the_same_end("distill", place, chain, workers)
    assert any(
        e["event"] == "note" and e["text"].startswith("continuing from step ") for e in ended.events
    )
    assert list((place / "store" / "work").iterdir()) == []


@pytest.mark.slow
def test_a_run_interrupted_in_the_middle_of_distilling_keeps_the_step_it_was_at(
    chain: Run, tmp_path: Path
) -> None:
    place = place_before("distill", chain, tmp_path / "place", up_to("distill"))
    process = start_run(place, "chain.yaml", environ=UNMEASURED)
    wait_for(lambda: list((place / "store" / "work").glob("*/checkpoints/checkpoint-10/comp*")))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    output = (place / "output").read_text(encoding="utf-8")
    kept = re.search(r"kept the training at step (\d+) of 125; the same command", output)
    assert kept, output
    ended = goes_on_to_the_same_end("distill", place, chain, [])
    assert f"continuing from step {kept[1]}" in [e.get("text") for e in ended.events]


@pytest.mark.slow
def test_a_training_on_two_threads_that_was_killed_goes_on_to_the_same_weights(
    tmp_path: Path,
) -> None:
    """Threads share each sum in the same way every time, as long as there are as many."""
    environ = {**UNMEASURED, "OMP_NUM_THREADS": "2"}
    whole = run(
        write_place(tmp_path / "whole", chain=up_to("distill")), "chain.yaml", environ=environ
    )
    place = place_before("distill", whole, tmp_path / "place", up_to("distill"))
    workers = kill_during("distill", place, worker_too=False, environ=environ)
    ended = goes_on_to_the_same_end("distill", place, whole, workers, environ)
    assert any(
        e["event"] == "note" and e["text"].startswith("continuing from step ") for e in ended.events
    )


@pytest.mark.slow
def test_a_run_killed_with_its_worker_in_each_step_in_turn_ends_in_the_same_weights(
    chain: Run, tmp_path: Path
) -> None:
    place = write_place(tmp_path / "place", chain=CHAIN)
    started: dict[str, int] = {}
    workers: list[int] = []
    for step in STEPS:
        workers = kill_during(step, place, worker_too=True)
        jobs = {
            path.stem: path.stat().st_mtime_ns for path in (place / "runs").glob("*/jobs/*.json")
        }
        assert {name: jobs[name] for name in started} == started, (
            f"what was finished before {step} is not made again"
        )
        started = {name: jobs[name] for name in STEPS[: STEPS.index(step)]}
    goes_on_to_the_same_end(STEPS[-1], place, chain, workers)


@pytest.mark.slow
def test_a_run_killed_while_it_measures_goes_on_measuring(given: Run, tmp_path: Path) -> None:
    place = write_place(tmp_path / "place", given=(given.place / "given.yaml").read_text())
    shutil.copytree(given.place / "model", place / "model")
    shutil.copytree(given.store, place / "store")
    process: Popen[str] = start_run(place, "given.yaml")
    wait_for(lambda: list((place / "runs").glob("*/logs/measure-distill/*.json")))
    time.sleep(2)
    process.kill()
    process.wait()
    ended = run(place, "given.yaml")
    assert ended.digests() == given.digests()
    measured = [e["step"] for e in ended.events if e["event"] == "measuring"]
    assert measured == [
        "model",
        "model@onnxruntime",
        "model@onnxruntime-fused",
        "distill",
        "distill",
    ]
