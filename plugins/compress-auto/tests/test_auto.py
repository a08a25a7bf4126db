"""``quantize.auto`` on candidates whose figures are stated: who is dropped, who wins, and what is
told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compress_auto import AutoOptions
from compress_auto.choosing import Figures, Trial, figures_of, why_hopeless, winner
from compress_auto.trying import GIVEN, try_all

from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.errors import CompressError, ModelRefused, PackageMissing
from compress.measurement import Measured, Measurement
from compress.stage import Candidate

ALL = 1000
"""Validation rows of the context."""


def figures(kept: float, speedup: float, width: float = 0.0) -> Figures:
    """Figures with an interval of the share that is ``width`` to each side, and one of the speed of
    a hundredth."""
    return Figures(kept, kept, kept - width, kept + width, speedup, 0.99 * speedup, 1.01 * speedup)


def measured(of: Figures) -> Measured:
    def number(name: str, value: float, low: float, high: float) -> Measurement:
        return Measurement(name, value, "", "higher", low, high)

    compared = {
        "quality_kept": number("quality_kept", of.kept, of.kept_low, of.kept_high),
        "speedup": number("speedup", of.speedup, of.speedup_low, of.speedup_high),
    }
    quality = number("quality", of.quality, of.quality, of.quality)
    return Measured({"quality": quality}, {GIVEN: compared})


def artifact(folder: Path, precision: str) -> Artifact:
    folder.mkdir(parents=True)
    (folder / "model.bin").write_text(folder.name, encoding="utf-8")
    traits = Traits("toy", precision, "stock", False, "text-classification")
    Manifest(traits, digest_files(folder), folder.name, "toy", parameters=7).write(folder)
    return Artifact.open(folder)


@pytest.fixture
def trying(tmp_path: Path) -> Callable[..., Any]:
    """Applies the stage to candidates by name: their figures on some rows and on all, the error of
    making them, or that of measuring them. A name with ``float`` is of that precision."""

    def apply(tried: Mapping[str, Any], **options: Any) -> Any:
        asked: list[tuple[list[str], int | None]] = []
        said: list[str] = []

        def choice(name: str) -> Artifact:
            if isinstance(tried[name], ModelRefused):
                raise tried[name]
            folder = tmp_path / name
            return Artifact.open(folder) if folder.exists() else artifact(folder, precision(name))

        def measure(
            candidates: Mapping[str, Candidate],
            meters: Collection[str],
            rows: int | None,
        ) -> dict[str, Measured]:
            asked.append((list(candidates), rows))
            found = {GIVEN: Measured({})}
            for name in list(candidates)[1:]:
                if isinstance(tried[name], CompressError):
                    raise tried[name]
                some, full = tried[name]
                found[name] = measured(some if rows else full)
            return found

        context: Any = SimpleNamespace(
            options=AutoOptions(**options),
            input=artifact(tmp_path / "given", "float"),
            data=SimpleNamespace(rows=lambda split: range(ALL)),
            choices=tuple(tried),
            choice=choice,
            measure=measure,
            output=tmp_path / "output",
            progress=lambda *given: None,
            note=said.append,
        )
        context.output.mkdir()
        made = try_all(context)
        return SimpleNamespace(
            made=made,
            notes=made.notes,
            asked=asked,
            said=said,
            model=(context.output / "model.bin").read_text(encoding="utf-8"),
            dropped={row["name"]: row["dropped"] for row in made.notes["tried"]},
        )

    return apply


def precision(name: str) -> str:
    return "float" if "float" in name else "int8"


def test_the_fastest_that_keeps_the_quality_is_the_result(trying: Callable[..., Any]) -> None:
    done = trying(
        {
            "float": [figures(1.0, 2.0)] * 2,
            "int8": [figures(0.995, 4.0, 0.02), figures(0.995, 4.0)],
            "worse": [figures(0.985, 6.0, 0.02), figures(0.98, 6.0)],
        }
    )
    assert (done.notes["chosen"], done.model, done.made.parameters) == ("int8", "int8", 7)
    assert done.notes["keeps_quality"] and done.made.traits.precision == "int8"
    assert done.dropped == {
        "float": "slower than int8",
        "int8": "",
        "worse": "keeps 98.00 % of the quality",
    }
    assert any(line.startswith("int8: 99.50 %") and "4.00x" in line for line in done.said)


def test_only_those_that_may_still_win_answer_all_rows(trying: Callable[..., Any]) -> None:
    done = trying(
        {
            "sure": [figures(1.0, 3.0)] * 2,
            "slower": [figures(1.0, 2.0)] * 2,
            "bad": [figures(0.7, 9.0, 0.1)] * 2,
            "open": [figures(0.98, 5.0, 0.05), figures(0.97, 5.0)],
        },
        rows=100,
    )
    assert [rows for _, rows in done.asked] == [100, None]
    assert done.asked[1][0] == [GIVEN, "sure", "open"]
    assert done.notes["chosen"] == "sure"
    assert done.dropped["slower"] == "slower than sure on 100 rows"
    assert "at most 80.00 %" in done.dropped["bad"]
    assert done.dropped["open"] == "keeps 97.00 % of the quality"


def test_a_candidate_that_fails_is_in_the_table_and_the_others_go_on(
    trying: Callable[..., Any],
) -> None:
    done = trying(
        {
            "unmade": ModelRefused("no such operator"),
            "unmeasured": PackageMissing("it does not open"),
            "float": [figures(1.0, 2.0)] * 2,
        }
    )
    assert done.notes["chosen"] == "float"
    assert "no such operator" in done.dropped["unmade"]
    assert "it does not open" in done.dropped["unmeasured"]


def test_an_accident_of_a_candidate_ends_the_step_for_another_try_may_end_otherwise(
    trying: Callable[..., Any],
) -> None:
    with pytest.raises(CompressError, match="SIGKILL"):
        trying(
            {
                "float": [figures(1.0, 2.0)] * 2,
                "int8": CompressError("the worker was ended by SIGKILL"),
            }
        )


def test_what_a_loser_had_beaten_is_looked_at_again(trying: Callable[..., Any]) -> None:
    done = trying(
        {
            "fast": [figures(1.0, 4.0), figures(0.9, 4.0)],
            "slow": [figures(1.0, 2.0)] * 2,
            "bad": [figures(0.7, 9.0, 0.1)] * 2,
        }
    )
    assert [names[1:] for names, _ in done.asked] == [["fast", "slow", "bad"], ["fast"], ["slow"]]
    assert done.notes["chosen"] == "slow" and done.notes["keeps_quality"]
    assert done.dropped["fast"] == "keeps 90.00 % of the quality"


def test_a_share_without_an_interval_drops_nobody() -> None:
    share = Measurement("quality_kept", 0.5, "", "higher")
    one = measured(figures(0.5, 2.0))
    one.comparisons[GIVEN]["quality_kept"] = share
    found = figures_of(one, GIVEN)
    assert isinstance(found, Figures) and not why_hopeless(Trial("one", figures=found), [], 0.99)


def test_where_none_keeps_the_quality_the_float_export_is_the_result_and_that_is_said(
    trying: Callable[..., Any],
) -> None:
    # A float export keeps all; here an engine's own rounding took more than the budget allows.
    done = trying(
        {"int8": [figures(0.9, 4.0)] * 2, "float": [figures(0.98, 2.0)] * 2}, quality="99.5%"
    )
    assert done.notes["chosen"] == "float" and not done.notes["keeps_quality"]
    assert done.said[0].startswith("no candidate keeps 99.5% of the quality: the result is float")


def test_without_a_float_candidate_a_budget_that_none_keeps_is_an_error_with_the_figures(
    trying: Callable[..., Any],
) -> None:
    with pytest.raises(CompressError, match=r"no candidate keeps 99%.*int8 keeps 90.00 %"):
        trying({"int8": [figures(0.9, 4.0)] * 2})


def test_few_validation_rows_are_measured_once(trying: Callable[..., Any]) -> None:
    done = trying({"int8": [figures(1.0, 2.0)] * 2}, rows=ALL)
    assert [rows for _, rows in done.asked] == [ALL]


def test_a_slower_candidate_stays_while_the_faster_one_may_lose_too_much() -> None:
    slow = Trial("slow", figures=figures(1.0, 2.0))
    unsure = Trial("fast", figures=figures(0.99, 4.0, 0.02))
    assert not why_hopeless(slow, [slow, unsure], 0.99)
    assert why_hopeless(slow, [slow, Trial("fast", figures=figures(1.0, 4.0))], 0.99)
    assert winner([slow, Trial("fast", figures=figures(0.98, 4.0))], 0.99) == slow


@pytest.mark.parametrize("quality", ["99", "101%", "0.99", "-1%", "%"])
def test_a_quality_that_is_no_share_in_percent_is_refused(quality: str) -> None:
    with pytest.raises(ValueError, match="quality"):
        AutoOptions(quality=quality)
    assert AutoOptions(quality="99.5%").share == pytest.approx(0.995)
