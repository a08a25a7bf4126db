"""What two runs differ in: steps by name, changes with what their significance rests on, and
nothing claimed beyond it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command
from hostile import HOSTILE
from parsedpages import ELEMENTS_THAT_ACT, parsed, policy_of
from reports import as_report, rich_report, whole
from rich.console import Console

from compress import api
from compress.errors import IntegrityError, UsageError
from compress.measure.guarded import GuardedMeter
from compress.measurement import Measurement
from compress.meter import Meter, Probe, Sample
from compress.registry.plugins import Registered, Registry
from compress.report.diff.changed import changed
from compress.report.diff.compare import compare_runs
from compress.report.diff.side import Kept, Side, read_side
from compress.report.diff.types import Difference
from compress.report.diff.views import diff_page, print_diff
from compress.report.reading import read_report
from compress.store.files import write_sealed


class Right(Meter):
    """Right answers of each example, and their paired difference with a normal 95 % interval."""

    name = "right"
    summary = "Right answers."
    keeps = True

    def sample(self, probe: Probe) -> Sample:
        raise NotImplementedError

    def summarise(self, samples: Sequence[Sample]) -> list[Measurement]:
        raise NotImplementedError

    def compare(self, samples: Sequence[Sample], others: Sequence[Sample]) -> list[Measurement]:
        apart = np.subtract(samples[0]["right"], others[0]["right"])
        half = 1.96 * apart.std() / np.sqrt(len(apart))
        flips = Measurement("flips", int((apart != 0).sum()), "answers", "lower", title="flips")
        return [
            Measurement(
                "quality_difference",
                apart.mean(),
                "share",
                "higher",
                apart.mean() - half,
                apart.mean() + half,
            ),
            flips,
        ]


def measured(
    name: str,
    value: float | None,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    direction = "higher" if name == "quality" else "lower"
    return Measurement(name, value, unit, direction, low, high, **{"title": name, **more}).as_dict()  # type: ignore[arg-type]


def step(
    name: str,
    *measurements: dict[str, Any],
    digest: str = "d",
    task: str = "classify",
    test: str = "examples",
    **options: Any,
) -> dict[str, Any]:
    return {
        "name": name,
        "stage": "finetune",
        "digest": digest,
        "task": task,
        "test": test,
        "options": options,
        "measurements": {m["name"]: m for m in measurements},
    }


def report(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    environment = {"processor": "A CPU", "threads": 2, "versions": {"torch": "2.13.0"}}
    return {
        "report_version": 1,
        "compress_version": "0.1.0",
        "name": "tiny",
        "state": "finished",
        "failure": None,
        "seed": 0,
        "effort": "standard",
        "recipe": "a\nb\nc\n",
        "overrides": [],
        "environment": environment,
        "steps": list(steps),
        **more,
    }


def compared(
    first: dict[str, Any],
    second: dict[str, Any],
    mine: Kept | None = None,
    theirs: Kept | None = None,
) -> Difference:
    """The difference of two runs in the folders ``runs/one`` and ``runs/two``."""
    sides = [
        Side(f"runs/{name}", as_report(whole(values)), {"s": kept} if kept else {})
        for name, values, kept in (("one", first, mine), ("two", second, theirs))
    ]
    return compare_runs(
        sides[0], sides[1], {"right": GuardedMeter(Registered("right", Right, "meters", "1"))}
    )


def differences(
    first: dict[str, Any],
    second: dict[str, Any],
    mine: Kept | None = None,
    theirs: Kept | None = None,
) -> dict[str, Any]:
    """The same as ``compress diff --json`` prints it."""
    printed: dict[str, Any] = json.loads(
        json.dumps(compared(first, second, mine, theirs).model_dump(mode="json"))
    )
    return printed


def only(difference: dict[str, Any]) -> dict[str, Any]:
    """The one measurement of the one step."""
    (one,) = difference["steps"][0]["measurements"]
    value: dict[str, Any] = one
    return value


def between(
    first: dict[str, Any],
    second: dict[str, Any],
    mine: Kept | None = None,
    theirs: Kept | None = None,
) -> dict[str, Any]:
    return only(
        differences(report(step("s", first)), report(step("s", second, digest="e")), mine, theirs)
    )


def kept(right: Sequence[int], origin: str = "meters 1") -> Kept:
    return Kept({"right": origin}, {"right": [{"right": list(right)}]})


BEFORE, AFTER = [1, 0] * 50, [1, 0] * 40 + [1, 1] * 10


def test_steps_are_matched_by_name_and_those_of_one_run_are_named() -> None:
    difference = differences(
        report(step("teacher"), step("old")), report(step("new"), step("teacher"))
    )
    assert [(s["name"], s["in"]) for s in difference["steps"]] == [
        ("teacher", "both"),
        ("old", "first"),
        ("new", "second"),
    ]
    assert difference["remarks"] == [
        "old is only in the first run",
        "new is only in the second run",
    ]


def test_a_step_without_a_table_keeps_its_name() -> None:
    text = shown(report(step("bare")), report(step("bare", digest="e")))
    assert "bare\nnothing was measured in either run" in text.replace("  ", "")


def test_steps_of_one_digest_are_the_same_model() -> None:
    difference = differences(
        report(step("a", digest="x"), step("b", digest="x")),
        report(step("a", digest="x"), step("b", digest="y")),
    )
    assert [s["same_model"] for s in difference["steps"]] == [True, False]


def test_quality_on_the_same_examples_is_compared_example_by_example_though_intervals_overlap() -> (
    None
):
    first, second = (
        measured("quality", 0.5, low=0.4, high=0.6),
        measured("quality", 0.6, low=0.5, high=0.7),
    )
    m = between(first, second, kept(BEFORE), kept(AFTER))
    assert (m["basis"], m["significant"], m["better"]) == ("paired", True, "second")
    swapped = between(second, first, kept(AFTER), kept(BEFORE))
    assert (swapped["significant"], swapped["better"]) == (True, "first")
    assert m["difference"] == pytest.approx(0.1) == -swapped["difference"]


def test_answers_that_are_equal_are_no_significant_difference() -> None:
    m = between(
        measured("quality", 0.5, low=0.4, high=0.6),
        measured("quality", 0.5, low=0.4, high=0.6),
        kept(BEFORE),
        kept(BEFORE),
    )
    assert (m["basis"], m["significant"], m["better"]) == ("paired", False, None)


def test_scores_of_other_examples_are_not_compared_however_far_they_lie_apart() -> None:
    numbers = [
        measured("calibration", 0.2, low=0.1, high=0.3),
        measured("latency", 9.0, "ms", 8, 10),
    ]
    first = report(step("s", measured("quality", 0.9, low=0.8, high=0.95), *numbers))
    second = report(
        step("s", measured("quality", 0.1, low=0.0, high=0.2), *numbers, digest="e", test="others")
    )
    difference = differences(first, second, kept(BEFORE), kept(AFTER))
    rows = {m["name"]: m for m in difference["steps"][0]["measurements"]}
    for name in ("quality", "calibration"):
        judged = [
            rows[name][key] for key in ("basis", "significant", "better", "difference", "quotient")
        ]
        assert judged == ["other examples", None, None, None, None]
    assert rows["quality"]["values"] == [0.9, 0.1] and difference["steps"][0]["paired"] == []
    assert rows["latency"]["basis"] == "not in turns"
    assert [
        line
        for line in difference["remarks"]
        if "on other test examples, so scores are not compared" in line
    ]
    assert "not compared (other examples)" in shown(first, second)


@pytest.mark.parametrize("theirs", [kept(AFTER, origin="meters 2"), None])
def test_without_answers_of_the_same_meter_only_intervals_that_lie_apart_count(
    theirs: Kept | None,
) -> None:
    first = measured("quality", 0.5, low=0.4, high=0.6)
    near = between(first, measured("quality", 0.6, low=0.5, high=0.7), kept(BEFORE), theirs)
    assert (near["basis"], near["significant"]) == ("intervals", False)
    far = between(first, measured("quality", 0.8, low=0.7, high=0.9), kept(BEFORE), theirs)
    assert (far["basis"], far["significant"], far["better"]) == ("intervals", True, "second")


def test_what_meters_say_of_kept_answers_stands_beside_the_values() -> None:
    difference = differences(report(step("s")), report(step("s")), kept(BEFORE), kept(AFTER))
    paired = {m["name"]: m["value"] for m in difference["steps"][0]["paired"]}
    assert paired == {"quality_difference": pytest.approx(0.1), "flips": 10}


def test_timings_are_marked_as_not_in_turns_and_count_only_where_intervals_lie_apart() -> None:
    near = between(
        measured("latency", 10.0, "ms", 9, 11), measured("latency", 9.5, "ms", 8.5, 10.5)
    )
    assert (near["basis"], near["significant"], near["better"]) == ("not in turns", False, None)
    difference = differences(
        report(step("s", measured("latency", 10.0, "ms", 9, 11))),
        report(step("s", measured("latency", 5.0, "ms", 4, 6), digest="e")),
    )
    assert (
        only(difference)["basis"],
        only(difference)["significant"],
        only(difference)["better"],
    ) == (
        "not in turns",
        True,
        "second",
    )
    assert "were not taken in turns" in difference["remarks"][0]


def test_touching_intervals_overlap() -> None:
    assert (
        between(measured("m", 1.0, "ms", 0, 2), measured("m", 3.0, "ms", 2, 4))["significant"]
        is False
    )


def test_the_same_model_timed_differently_is_blamed_on_the_machine() -> None:
    one, two = (report(step("s", measured("latency", v, "ms", v - 1, v + 1))) for v in (10.0, 5.0))
    remarks = differences(one, two)["remarks"]
    assert any(
        "the same model was timed differently" in line and "s latency" in line for line in remarks
    )


def test_nothing_is_claimed_of_what_has_no_interval() -> None:
    m = between(measured("memory", 100.0, "bytes"), measured("memory", 50.0, "bytes"))
    assert (m["basis"], m["significant"], m["better"], m["quotient"]) == (
        "no interval",
        None,
        None,
        0.5,
    )


def test_what_one_run_could_not_measure_is_absent_and_no_change() -> None:
    m = between(
        measured("memory", None, "bytes", absent="no GPU"), measured("memory", 50.0, "bytes")
    )
    assert (m["basis"], m["difference"], m["significant"], m["absent"]) == (
        "absent",
        None,
        None,
        ["no GPU", ""],
    )


def test_environment_options_recipe_and_overrides_are_told_where_they_differ() -> None:
    first = report(
        step("s", epochs=1, student={"layers": 2, "heads": 2}), overrides=["seed=1", "x=1"]
    )
    second = report(
        step("s", epochs=1, student={"layers": 3, "heads": 2}),
        overrides=["seed=2", "x=1"],
        recipe="a\nB\nc\n",
        environment={"processor": "A CPU", "threads": 4, "versions": {"torch": "2.14.0"}},
    )
    difference = differences(first, second)
    assert difference["environment"] == {"threads": [2, 4], "versions.torch": ["2.13.0", "2.14.0"]}
    assert difference["steps"][0]["options"] == {"student.layers": [2, 3]}
    assert difference["recipe"] == {
        "lines": ["@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"],
        "overrides": [["seed=1"], ["seed=2"]],
    }
    assert any("threads 2 / 4" in line for line in difference["remarks"])


def test_a_run_does_not_differ_from_itself() -> None:
    one = report(
        step(
            "s",
            measured("quality", 0.5, low=0.4, high=0.6),
            measured("latency", 10.0, "ms", 9, 11),
            epochs=1,
        )
    )
    difference = differences(one, one, kept(BEFORE), kept(BEFORE))
    assert difference["environment"] == {} and difference["recipe"] == {
        "lines": [],
        "overrides": [[], []],
    }
    assert all(
        m["significant"] is False and m["difference"] == 0
        for m in difference["steps"][0]["measurements"]
    )


def test_a_key_that_is_missing_differs_from_one_that_is_there() -> None:
    assert changed({"a": {"b": 1}}, {"a": {"c": 1}, "d": 2}) == {
        "a.b": (1, None),
        "a.c": (None, 1),
        "d": (None, 2),
    }


@pytest.mark.parametrize(
    ("task", "metric", "said"),
    [
        ("tag", "f1", "classify, accuracy / tag, f1"),
        ("classify", "f1", "classify, accuracy / classify, f1"),
        ("tag", "accuracy", "classify, accuracy / tag, accuracy"),
    ],
)
def test_scores_of_another_task_or_metric_are_not_compared_and_one_remark_says_so(
    task: str, metric: str, said: str
) -> None:
    numbers = [
        measured("calibration", 0.2, low=0.1, high=0.3),
        measured("size", 10, "bytes"),
        measured("latency", 9.0, "ms", 8, 10),
    ]
    first = report(
        step("s", measured("quality", 0.9, low=0.8, high=0.95, title="accuracy"), *numbers)
    )
    second = report(
        step(
            "s",
            measured("quality", 0.1, low=0.0, high=0.2, title=metric),
            *numbers,
            digest="e",
            task=task,
        )
    )
    difference = differences(first, second, kept(BEFORE), kept(AFTER))
    rows = {m["name"]: m for m in difference["steps"][0]["measurements"]}
    for name in ("quality", "calibration"):
        judged = [
            rows[name][key] for key in ("basis", "significant", "better", "difference", "quotient")
        ]
        assert judged == ["other task", None, None, None, None]
    assert rows["quality"]["values"] == [0.9, 0.1] and difference["steps"][0]["paired"] == []
    assert rows["size"]["quotient"] == 1 and rows["latency"]["basis"] == "not in turns"
    assert [
        line
        for line in difference["remarks"]
        if "quality is not compared" in line and f"s ({said})" in line
    ]
    text = shown(first, second)
    assert "not compared (other task)" in text and ("accuracy / f1" in text) == (metric == "f1")


def test_quality_that_one_run_could_not_measure_is_no_other_metric() -> None:
    first, second = (
        measured("quality", None, absent="no rows"),
        measured("quality", 0.1, title="accuracy"),
    )
    assert not any(
        "not compared" in r
        for r in differences(report(step("s", first)), report(step("s", second)))["remarks"]
    )


# views


def shown(
    first: dict[str, Any],
    second: dict[str, Any],
    mine: Kept | None = None,
    theirs: Kept | None = None,
) -> str:
    """What a terminal shows of two runs."""
    console = Console(width=200)
    with console.capture() as capture:
        print_diff(compared(first, second, mine, theirs), console)
    return capture.get()


def test_terminal_shows_both_values_the_change_and_what_it_rests_on() -> None:
    first = report(
        step(
            "s",
            measured("quality", 0.5, "share", 0.4, 0.6),
            measured("latency", 10.0, "ms", 9, 11),
            epochs=1,
        )
    )
    second = report(
        step(
            "s",
            measured("quality", 0.6, "share", 0.5, 0.7),
            measured("latency", 5.0, "ms", 4, 6),
            epochs=2,
            digest="e",
        )
    )
    text = shown(first, second, kept(BEFORE), kept(AFTER))
    for words in (
        "50.0 % [40.0 %, 60.0 %]",
        "+10.0 points",
        "yes, two is better (paired)",
        "-50.0 %",
        "yes, two is better (not in turns)",
        "epochs: 1 / 2",
        "flips",
    ):
        assert words in text, words
    same = shown(first, first, kept(BEFORE), kept(BEFORE))
    assert "s (same model)" in same and "flips" not in same


def test_hostile_text_stays_text_on_the_page() -> None:
    texts = "\n".join(HOSTILE)
    first, second = (
        report(
            step(
                texts, measured("quality", value, low=0.1, high=0.2, title=texts), **{texts: value}
            ),
            name=texts,
            recipe=f"{texts}{value}",
            overrides=[f"{texts}{value}"],
            environment={texts: str(value)},
        )
        for value in (0.1, 0.2)
    )
    sides = [
        Side(f"{texts}{number}", as_report(whole(values)))
        for number, values in enumerate((first, second))
    ]
    page = diff_page(compare_runs(*sides, {}))
    elements = parsed(page)
    assert {tag for tag, _ in elements} & ELEMENTS_THAT_ACT == set()
    assert all(not key.startswith("on") for _, attributes in elements for key in attributes)
    policy = next(
        a["content"] for tag, a in elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == policy_of(page)


# folders


def write_run(folder: Path, difference: dict[str, Any], right: Sequence[int] | None = None) -> Path:
    difference = whole(difference)
    (folder / "measurements").mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(difference), encoding="utf-8")
    if right is not None:
        values = {
            "of": {"meters": {"right": "meters 1"}},
            "kept": {"right": [{"right": list(right)}]},
            "measurements": {},
            "comparisons": {},
            "seconds": 0.0,
        }
        write_sealed(folder / "measurements" / "s.json", values)
    return folder


def test_kept_answers_are_read_from_the_runs_folders(tmp_path: Path) -> None:
    quality = measured("quality", 0.5, low=0.0, high=1.0)
    one, two = (
        write_run(tmp_path / n, report(step("s", quality)), right)
        for n, right in (("one", BEFORE), ("two", AFTER))
    )
    registry = Registry(meters={"right": Registered("right", Right, "meters", "1")})
    assert only(api.diff(one, two, registry))["significant"] is True
    assert only(api.diff(one, one, registry))["significant"] is False


def test_a_folder_that_is_no_run_or_an_older_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it has no report.json"):
        read_side(tmp_path)
    with pytest.raises(UsageError, match="report of version 0"):
        read_side(write_run(tmp_path / "old", {**report(), "report_version": 0}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read: Expecting"),
        ("\x00", "cannot be read: Expecting"),
        ("[]", "holds no JSON object"),
        ("{}", "is not a report: it has no report_version"),
        ('{"report_version": 1}', "is not a whole report: compress_version: Field required"),
    ],
)
def test_a_report_that_is_broken_is_told_in_a_line_by_report_and_diff(
    text: str, words: str, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", report(step("s")))
    (run / "report.json").write_text(text, encoding="utf-8")
    for read in (read_report, read_side):
        with pytest.raises(IntegrityError, match=words) as told:
            read(run)
        assert str(run / "report.json") in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda r: r.pop("budget"), "report: budget: Field required;"),
        (lambda r: r.update(steps=3), "report: steps: Input should be a valid array;"),
        (lambda r: r.update(steps=[3]), "report: steps.0: Input should be an object"),
        (lambda r: r["steps"][1].pop("role"), "report: steps.1.role: Field required;"),
        (lambda r: r["steps"][0].update(seconds="1"), "steps.0.seconds: Input should be a valid"),
        (lambda r: r["steps"][0].update(cost=1), "steps.0.cost: Extra inputs are not permitted;"),
        (lambda r: r.update(seed=True), "report: seed: Input should be a valid integer;"),
        (
            lambda r: r["steps"][0]["measurements"]["size"].update(value="10 MB"),
            "steps.0.measurements.size.value: Input should be a valid number;",
        ),
        (
            lambda r: r["steps"][2]["against_parent"]["comparisons"].update(flips=0.5),
            "steps.2.against_parent.comparisons.flips: Input should be an object",
        ),
    ],
)
def test_the_first_wrong_key_of_a_report_is_named_with_what_is_wrong(
    broken: Callable[[dict[str, Any]], Any], words: str, tmp_path: Path
) -> None:
    values = rich_report()
    broken(values)
    (tmp_path / "report.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(IntegrityError) as raised:
        read_report(tmp_path)
    assert words in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", {"of": 3}, {"of": {"data": "d", "meters": 3}, "kept": {}}]
)
def test_measurements_that_are_broken_are_told_with_their_file(
    content: Any, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", report(step("s")), BEFORE)
    file = run / "measurements" / "s.json"
    if isinstance(content, str):
        file.write_text(content, encoding="utf-8")
    else:
        write_sealed(file, content)
    with pytest.raises(IntegrityError, match=r"s\.json"):
        read_side(run)


def test_kept_answers_of_which_a_bit_has_flipped_are_not_compared(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", report(step("s")), [1, 0, 1])
    file = run / "measurements" / "s.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("0,", "1,", 1), encoding="utf-8")
    with pytest.raises(IntegrityError, match="its content and its digest differ"):
        read_side(run)


def test_commands_end_with_5_for_a_broken_report_and_with_2_for_one_of_another_version(
    command: Command, tmp_path: Path
) -> None:
    broken, old = (
        write_run(tmp_path / "broken", report()),
        write_run(tmp_path / "old", {**report(), "report_version": 0}),
    )
    (broken / "report.json").write_text("{", encoding="utf-8")
    for words, code in (
        (("report", broken), 5),
        (("diff", broken, broken), 5),
        (("report", old), 2),
    ):
        answer = command(*words)
        assert (answer.code, answer.out) == (code, "") and answer.err.startswith("error: ")
        assert answer.err.count("\n") == 1


def test_command_prints_writes_a_page_and_gives_json_without_torch(
    command: Command, tmp_path: Path
) -> None:
    one, two = (
        write_run(tmp_path / n, report(step("s", measured("latency", v, "ms", v - 1, v + 1))))
        for n, v in (("one", 10.0), ("two", 5.0))
    )
    answer = command("diff", one, two, "--html", tmp_path / "diff.html")
    assert (answer.code, answer.heavy) == (0, ""), answer.err
    assert "yes, two is better (not in turns)" in answer.out
    assert "-50.0 %" in (tmp_path / "diff.html").read_text(encoding="utf-8")
    assert (
        command("diff", one, two, "--json").value["steps"][0]["measurements"][0]["better"]
        == "second"
    )
    refused = command("diff", one, tmp_path)
    assert refused.code == 2 and "is not a run's folder" in refused.err
