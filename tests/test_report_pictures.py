"""The report's pictures and tables as numbers: where bars, points and lines stand, and that no
meter is known by name."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

import pytest
from reports import UNDER, as_report, rich_report

from compress.measurement import value_text
from compress.report import conditions
from compress.report.pictures import curves, scales
from compress.report.pictures.fitting import CHARACTER, SOFT, shortened, width
from compress.report.pictures.pareto import front, pareto
from compress.report.pictures.waterfall import ROW, WIDTH, Bar, axis_start, waterfalls
from compress.report.remarks import remarks
from compress.report.tables import detail
from compress.report.tables.changes import changes_table
from compress.report.tables.results import results_table
from compress.report.text import number_text, visible
from compress.report.views.page import page
from compress.report.views.summary import summary


@pytest.fixture
def report() -> dict[str, Any]:
    return rich_report()


def bars(report: dict[str, Any], title: str) -> dict[str, Bar]:
    picture = next(p for p in waterfalls(as_report(report)) if p.title == title)
    return {bar.label: bar for bar in picture.bars}


def test_a_bar_floats_from_its_parents_value_to_its_own(report: dict[str, Any]) -> None:
    found = bars(report, "size")  # 100, 100, 50, 10 and 30 MB on an axis from 0 to 100
    assert found["teacher"].kind == "base" and (found["teacher"].x, found["teacher"].width) == (
        0,
        WIDTH,
    )
    assert (found["student"].x, found["student"].width) == pytest.approx((0.5 * WIDTH, 0.5 * WIDTH))
    assert (found["small"].x, found["small"].width) == pytest.approx((0.1 * WIDTH, 0.4 * WIDTH))
    assert found["teacher@onnxruntime"].kind == "same"


def test_a_sibling_stands_on_its_parent_and_not_on_the_row_above(report: dict[str, Any]) -> None:
    free = bars(report, "size")["free"]
    assert free.parent_x == pytest.approx(0.5 * WIDTH) and free.rows_up == 2
    assert (free.x, free.width) == pytest.approx((0.3 * WIDTH, 0.2 * WIDTH))
    assert "than student" in free.change


def test_gain_and_loss_follow_the_direction_and_are_shown_in_words(report: dict[str, Any]) -> None:
    assert (
        bars(report, "latency")["small"].kind == "better"
        and bars(report, "accuracy")["free"].kind == "worse"
    )
    assert (
        bars(report, "latency")["small"].change
        == "-5.00 ms, 6.00x as fast [5.88, 6.12], better than student"
    )
    assert bars(report, "accuracy")["free"].change == "-0.085 [-0.095, -0.075], worse than student"


def test_a_change_whose_interval_holds_none_is_neither_gain_nor_loss(
    report: dict[str, Any],
) -> None:
    small = bars(report, "accuracy")["small"]
    assert (
        small.kind == "unclear"
        and small.change == "-0.005 [-0.015, +0.005], no clear change on student"
    )


def test_a_gain_in_turns_is_a_gain_whatever_two_values_say(report: dict[str, Any]) -> None:
    step = next(s for s in report["steps"] if s["name"] == "small")
    before = next(s for s in report["steps"] if s["name"] == step["parent"])
    step["measurements"]["latency_p50"]["value"] = (
        before["measurements"]["latency_p50"]["value"] + 0.01
    )
    step["against_parent"]["comparisons"]["speedup"]["value"] = (
        0.5  # of all calls, and the bar is of the median
    )
    bar = bars(report, "latency")["small"]
    assert (
        bar.kind == "better"
        and "+0.010 ms, 6.00x as fast" in bar.change
        and "better than student" in bar.change
    )


def test_a_larger_model_is_called_larger_and_what_rounds_to_nothing_has_no_sign(
    report: dict[str, Any],
) -> None:
    step = next(s for s in report["steps"] if s["name"] == "small")
    step["against_reference"]["changes"]["size"]["quotient"] = 1.25
    step["against_reference"]["comparisons"]["quality_difference"] |= {
        "value": -1e-5,
        "low": -2e-4,
        "high": 1e-4,
    }
    row = next(r for r in changes_table(as_report(report)).rows if r[0] == "small")
    assert "1.25x larger" in row and row[1].startswith("+0.000 [+0.000, +0.000]")


@pytest.mark.parametrize(("name", "share"), [("size", 0.0004), ("memory", 0.015)])
def test_a_tiny_difference_of_size_or_memory_is_neither_better_nor_worse(
    name: str, share: float, report: dict[str, Any]
) -> None:
    parent, small = report["steps"][2]["measurements"], report["steps"][3]["measurements"]
    for sign in (-1, 1):
        small[name]["value"] = parent[name]["value"] * (1 + sign * share)
        bar = bars(report, name)["small"]
        assert bar.kind == "same" and bar.change.startswith("equal to student within")
    small[name]["value"] = parent[name]["value"] * 1.05
    assert bars(report, name)["small"].kind == "worse"


def test_the_quality_of_another_task_says_what_it_is(report: dict[str, Any]) -> None:
    words = {
        **report["steps"][0],
        "name": "words",
        "task": "fill-mask",
        "measurements": {
            "quality": {
                **report["steps"][0]["measurements"]["quality"],
                "value": 0.25,
                "title": "accuracy of masks",
            }
        },
    }
    headers, rows = results_table(as_report({**report, "steps": [words, *report["steps"]]}))
    place = headers.index("accuracy")
    assert rows[0][place] == "0.250 (accuracy of masks)" and "(" not in rows[1][place]
    words["measurements"]["quality"]["title"] = "accuracy"
    rows = results_table(as_report({**report, "steps": [words, *report["steps"]]})).rows
    assert rows[0][place] == "0.250 (fill-mask)" and "(" not in rows[1][place]


def test_pictures_of_quality_hold_only_what_answered_the_references_examples(
    report: dict[str, Any],
) -> None:
    student = next(s for s in report["steps"] if s["name"] == "student")
    assert "leaves out" not in page(as_report(report)) and not any(
        "other test examples" in line for line in remarks(as_report(report))
    )
    student["test"] = "f" * 64
    found = bars(report, "accuracy")
    assert list(found) == ["teacher", "teacher@onnxruntime", "small", "free"]
    assert found["small"].kind == "base" and found["small"].change == "", (
        "its parent's score is of other examples"
    )
    assert "student" in bars(report, "size")
    points = pareto(as_report(report))
    assert points and "student" not in {p.label for p in points.points}
    assert (
        page(as_report(report)).count(
            "The picture of quality leaves out student: answers to other test examples."
        )
        == 2
    )
    assert [
        line
        for line in remarks(as_report(report))
        if line.startswith("other test examples than those of teacher")
    ]


def test_an_axis_is_cut_only_where_all_values_are_alike(report: dict[str, Any]) -> None:
    assert {p.title: p.start for p in waterfalls(as_report(report))} == {
        "accuracy": "0.700",
        "latency": "",
        "memory": "",
        "size": "",
    }
    assert (
        axis_start([1.0, 12.0]) == 0
        and axis_start([5.0, 5.0]) == 0
        and axis_start([-0.2, 0.5]) == -0.2
    )
    for numbers in ([0.80, 0.9], [95.0, 100.0], [0.991, 0.992]):
        assert 0 < axis_start(numbers) < min(numbers)


@dataclass(frozen=True)
class Shown:
    """A text of a picture, about as wide as it is said to be, in a view box ``across`` wide and
    ``down`` high."""

    text: str
    left: float
    right: float
    y: float
    across: float
    down: float


def texts_by_picture(text: str) -> list[list[Shown]]:
    """The texts of each picture of a page that has any."""
    found = []
    for box, inside in re.findall(r'<svg[^>]* viewBox="0 0 ([^"]*)"[^>]*>(.*?)</svg>', text, re.S):
        across, down = map(float, box.split())
        found.append(
            [
                _shown(*one, across, down)
                for one in re.findall(r"<text([^>]*)>(.*?)</text>", inside, re.S)
            ]
        )
    return [texts for texts in found if texts]


def _shown(written: str, text: str, across: float, down: float) -> Shown:
    has = dict(re.findall(r'([\w-]+)="([^"]*)"', written))
    wide = width(text, SOFT if "soft" in has.get("class", "") else CHARACTER)
    left = (
        float(has["x"])
        - wide * {"start": 0, "middle": 0.5, "end": 1}[has.get("text-anchor", "start")]
    )
    return Shown(text, left, left + wide, float(has["y"]), across, down)


def renamed(value: Any, name: str) -> Any:
    """A report whose student has another name."""
    if isinstance(value, dict):
        return {key: renamed(v, name) for key, v in value.items()}
    if isinstance(value, list):
        return [renamed(v, name) for v in value]
    return name if value == "student" else value


LONG = "quantize-everything-again.of-a-student-with-a-name-that-nobody-would-give-it-twice"


@pytest.mark.parametrize(
    "name", ["s", "prune.structured", LONG, f"{LONG} {LONG}", "\u8a9e" * 40, "x" * 300]
)
def test_no_text_leaves_its_picture_and_none_is_lost(report: dict[str, Any], name: str) -> None:
    report = renamed(report, name)
    for step in report["steps"]:
        step["measurements"]["latency_by_length"].update(unit="examples/s")
        step["measurements"]["latency_by_length"]["detail"]["curve"]["axis"] = f"tokens of {name}"
    texts = [text for picture in texts_by_picture(page(as_report(report))) for text in picture]
    assert len(texts) > 60
    assert [
        t for t in texts if t.left < -0.1 or t.right > t.across + 0.1 or not 8 <= t.y <= t.down
    ] == []
    for picture in waterfalls(as_report(report)):
        for bar in picture.bars:
            assert "".join(bar.labels).replace(" ", "") == bar.label.replace(" ", "")
            assert "".join(bar.changes).replace(" ", "") == bar.change.replace(" ", "")


def test_lines_of_a_waterfall_stand_apart(report: dict[str, Any]) -> None:
    found = texts_by_picture(page(as_report(renamed(report, LONG))))[:4]
    assert [len(texts) for texts in found] == [18, 19, 17, 17], (
        "5 values, 6 lines above bars, others below"
    )
    for one, other in (pair for texts in found for pair in itertools.combinations(texts, 2)):
        assert one.right <= other.left or other.right <= one.left or abs(one.y - other.y) >= 12, (
            one,
            other,
        )


def test_a_step_that_says_more_has_a_higher_row(report: dict[str, Any]) -> None:
    picture = next(p for p in waterfalls(as_report(renamed(report, LONG))) if p.title == "size")
    rows = [after.y - before.y for before, after in itertools.pairwise(picture.bars)]
    assert (
        rows[0] == ROW
        and rows[2] == ROW + 16 * len(picture.bars[2].labels)
        and len(picture.bars[2].labels) == 2
    )


def test_what_is_left_of_a_name_has_its_beginning_and_its_end() -> None:
    assert [shortened("abcdefghij", room) for room in (70, 35, 28, 7)] == [
        "abcdefghij",
        "ab…ij",
        "ab…j",
        "…",
    ]
    assert width("\u8a9e") == 2 * width("x")


def test_no_bar_leaves_the_picture(report: dict[str, Any]) -> None:
    for picture in waterfalls(as_report(report)):
        for bar in picture.bars:
            assert (
                -1e-9 <= bar.x <= bar.x + bar.width <= WIDTH + 1e-9
                and bar.rows_up * ROW < ROW * len(picture.bars)
            )


def test_the_front_joins_what_no_other_beats_in_both() -> None:
    points = [(1.0, 0.5), (2.0, 0.8), (3.0, 0.7), (2.0, 0.6), (4.0, 0.9), (4.0, 0.9)]
    assert front(points) == {0, 1, 4, 5}


def test_the_front_of_a_score_where_lower_is_better_is_turned(report: dict[str, Any]) -> None:
    found = pareto(as_report(report))
    assert found and {p.label for p in found.points if p.best} == {"small", "teacher@onnxruntime"}
    for step in report["steps"]:
        step["measurements"]["quality"]["direction"] = "lower"
    turned = pareto(as_report(report))
    assert turned and {p.label for p in turned.points if p.best} == {"small", "free"}
    assert {p.label: p.y for p in turned.points}["free"] == min(p.y for p in turned.points)


def test_an_area_grows_with_the_size(report: dict[str, Any]) -> None:
    found = pareto(as_report(report))
    assert found is not None
    radii = {p.label: p.r for p in found.points}
    assert (
        radii["teacher"] == 24
        and radii["small"] < radii["free"] < radii["student"] < radii["teacher"]
    )


def test_any_measurement_with_a_curve_is_drawn_under_its_own_name(report: dict[str, Any]) -> None:
    for step in report["steps"]:
        step["measurements"]["heat"] = {
            **step["measurements"]["latency_by_length"],
            "name": "heat",
            "unit": "K",
        }
    found = {chart.title: chart for chart in curves.charts(as_report(report))}
    assert found.keys() == {"heat", "latency by length"}
    chart = found["heat"]
    assert [line.label for line in chart.lines] == [step["name"] for step in report["steps"]]
    assert (
        len({(line.look, line.mark) for line in chart.lines}) == 5
        and len({line.look for line in chart.lines}) == 5
    )
    assert chart.table[0] == ["tokens", *(step["name"] for step in report["steps"])]
    assert chart.table[1][1][1] == "12.0 K [11.3, 12.8]"


@pytest.mark.parametrize(
    ("places", "logarithmic"), [((8, 16, 128), True), ((8, 16, 32), False), ((0, 8, 128), False)]
)
def test_a_wide_span_is_logarithmic(
    report: dict[str, Any], places: tuple[int, ...], logarithmic: bool
) -> None:
    for step in report["steps"]:
        step["measurements"]["latency_by_length"]["detail"]["curve"]["points"] = [
            [x, 1.0, None, None] for x in places
        ]
    chart = curves.charts(as_report(report))[0]
    xs = [x for x, _ in chart.lines[0].points]
    middle = (xs[1] - xs[0]) / (xs[2] - xs[0])
    linear = (places[1] - places[0]) / (places[2] - places[0])
    assert (middle == pytest.approx(linear)) is not logarithmic
    assert ("horizontal" in chart.scales) is logarithmic


def test_a_point_without_a_number_is_left_out_of_the_line_and_shown_in_the_table(
    report: dict[str, Any],
) -> None:
    report["steps"][0]["measurements"]["latency_by_length"]["detail"]["curve"]["points"][3][1:] = [
        None,
        None,
        None,
    ]
    chart = curves.charts(as_report(report))[0]
    assert len(chart.lines[0].points) == 3 and chart.table[1][3][1] == "–"


def test_curves_of_comparisons_have_a_chart_for_each_other_side(report: dict[str, Any]) -> None:
    assert [chart.title for chart in curves.compared_charts(as_report(report))] == [
        "speedup by length against teacher",
        "speedup by length against teacher@onnxruntime",
        "speedup by length against student",
    ]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (1, 50, [1, 2, 5, 10, 20, 50]),
        (3, 3, [3]),
        (0.0, 0.011, [0, 0.002, 0.004, 0.006, 0.008, 0.01]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert scales.ticks(
        scales.Scale(low, high, 0, 1, low > 0 and high > 10 * low)
    ) == pytest.approx(expected)


def test_tables_of_any_measurement_and_comparison_are_shown(report: dict[str, Any]) -> None:
    report["steps"][1]["measurements"]["size"]["detail"] = {
        "tables": {"by type": {"int8": {"bytes": 3, "share": 0.25}}}
    }
    found = {
        heading: [(one.whose, one.table) for one in tables]
        for heading, tables in detail.carried_tables(as_report(report)).items()
    }
    assert list(found) == [
        "quality difference, change by class",
        "quality, by class",
        "size, by type",
    ]
    assert found["size, by type"] == [
        ("teacher@onnxruntime", (["", "bytes", "share"], [["int8", "3", "0.250"]]))
    ]
    by_class = (["", "f1", "support"], [["PER", "0.900", "3"], ["LOC", "0.900", "3"]])
    assert found["quality, by class"][0] == ("teacher", by_class)


def test_a_comparison_with_one_that_has_two_parts_is_shown_once(report: dict[str, Any]) -> None:
    sides = [
        (one.step, one.other)
        for one in detail.comparisons(as_report(report))
        if one.name == "speedup"
    ]
    assert (
        len(sides) == len(set(sides)) == 9
    )  # the teacher is the student's reference and its parent


def test_conditions_are_shown_once_for_all_numbers_that_share_them(
    report: dict[str, Any],
) -> None:
    lines = [
        line for line in conditions.condition_lines(as_report(report)) if line.startswith("small: ")
    ]
    assert len(lines) == 3  # without any, with and without the split
    assert any(
        "f1_macro 0.870 (n 600); latency_p50 1.00 ms [0.950, 1.05] (n 640)" in line
        for line in lines
    )


def test_conditions_of_a_comparison_are_shown_with_those_of_the_other_side(
    report: dict[str, Any],
) -> None:
    small = next(s for s in report["steps"] if s["name"] == "small")
    named = {**small["against_reference"], "name": "a limit's step"}
    small["against_named"] = [named]
    lines = [
        line
        for line in conditions.condition_lines(as_report(report))
        if line.startswith("small against a limit's step: ")
    ]
    assert any(
        "speedup 12.0x [11.8, 12.2] (n 10)" in line
        and line.endswith("rounds 10, other (engine torch, device cpu, threads 2, batch 1)")
        for line in lines
    )
    other = {**UNDER, "engine": "onnxruntime"}
    assert conditions.conditions_text({**UNDER, "other": other}).endswith(
        "batch 1, other (engine onnxruntime)"
    )
    assert conditions.conditions_text({**UNDER, "other": UNDER}).endswith("batch 1, other likewise")
    rows = detail.every_comparison(as_report(report)).rows
    assert ["small", "a limit's step", "speedup"] in [row[:3] for row in rows], (
        "what a limit was decided by is shown"
    )


def test_scores_that_no_meter_could_compare_are_not_compared_by_a_view(
    report: dict[str, Any],
) -> None:
    small = next(s for s in report["steps"] if s["name"] == "small")
    for side in ("against_reference", "against_fastest", "against_parent"):
        difference = small[side]["comparisons"]["quality_difference"]
        difference.update(
            value=None,
            low=None,
            high=None,
            absent="the two were asked for other decisions",
            detail={},
        )
    headers, rows = changes_table(as_report(report))
    row = dict(zip(headers, next(r for r in rows if r[0] == "small"), strict=True))
    assert row["quality vs teacher"] == row["quality vs before"] == "–"
    bar = bars(report, "accuracy")["small"]
    assert (bar.kind, bar.change) == (
        "unclear",
        "not compared with student: the two were asked for other decisions",
    )


def test_pictures_of_time_and_memory_hold_only_what_answered_the_references_examples(
    report: dict[str, Any],
) -> None:
    next(s for s in report["steps"] if s["name"] == "small")["test"] = "f" * 64
    assert "small" not in bars(report, "latency") | bars(report, "memory") and "small" in bars(
        report, "size"
    )


def test_no_column_is_lost_whatever_the_names(report: dict[str, Any]) -> None:
    """A reference may be called as a column is, and a stranger's comparison too."""
    count = len(changes_table(as_report(report)).headers)
    for step in report["steps"]:
        for side in ("against_reference", "against_fastest"):
            if step[side]:
                step[side]["comparisons"]["joules"] = {
                    **step[side]["comparisons"]["speedup"],
                    "title": "speed",
                }
    report["reference"] = "before"
    headers, rows = changes_table(as_report(report))
    assert len(headers) == count + 1 and {len(row) for row in rows} == {len(headers)}
    report["fastest_float_engine"] = report["reference"]
    assert len(changes_table(as_report(report)).headers) == count, (
        "a reference that is its own fastest engine has one column of speed"
    )


def test_a_table_has_no_column_for_an_engine_that_there_is_not(report: dict[str, Any]) -> None:
    report["fastest_float_engine"] = None
    assert not [header for header in changes_table(as_report(report)).headers if "None" in header]
    assert "None" not in summary(as_report(report))


def test_quality_without_a_paired_comparison_shows_the_quotient(report: dict[str, Any]) -> None:
    for step in report["steps"]:
        for side in ("against_reference", "against_fastest", "against_parent"):
            if step[side]:
                step[side]["comparisons"] = {"speedup": step[side]["comparisons"]["speedup"]}
    headers, rows = changes_table(as_report(report))
    assert rows[1][1] == "-0.015 (98.3 %)" and not [h for h in headers if "answers" in h]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (3, "3"),
        (3.0, "3"),
        (0.25, "0.250"),
        (1e-9, "1e-09"),
        (12345.6, "1.23e+04"),
        ("a", "a"),
        (True, "True"),
        (float("nan"), "nan"),
    ],
)
def test_a_number_is_shown_for_people(value: Any, shown: str) -> None:
    assert number_text(value) == shown


def test_what_is_not_seen_is_made_visible() -> None:
    assert visible("a\x00b\u202ec\x1b[2Jd\n\te\u200df") == "a\ufffdb\ufffdc\ufffd[2Jd\n\te\u200df"
    assert visible("a\u200bb\u2060c\ufeffd\xade\U000e0041") == "a\ufffdb\ufffdc\ufffdd\ufffde\ufffd"
    # Persian, and a sign that is seen.
    written = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0600\u0661"
    assert visible(written) == written
    assert value_text(2.4, "x") == "2.40x" and re.fullmatch(r"2\.40 ms", value_text(2.4, "ms"))
