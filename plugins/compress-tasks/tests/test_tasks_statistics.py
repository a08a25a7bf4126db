"""Headlines from sums: they equal the libraries' values and hold for any resample."""

from __future__ import annotations

import numpy as np
import pytest
from compress_tasks import statistics
from scipy.stats import pearsonr


def test_pearson_from_moments_agrees_with_scipy_on_every_resample() -> None:
    draws = np.random.default_rng(0)
    x = draws.normal(
        2000.0, 1.0, 300
    )  # far from zero: uncentred moments would lose half of the digits
    y = 0.3 * x + draws.normal(0.0, 1.0, 300)
    moments = statistics.moments(x, y)
    picks = draws.integers(0, 300, size=(20, 300))
    ours = statistics.pearson(moments[picks].sum(axis=1))
    theirs = [pearsonr(x[pick], y[pick]).statistic for pick in picks]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)  # measured: 2e-15
    assert statistics.pearson(moments.sum(axis=0)) == pytest.approx(
        pearsonr(x, y).statistic, abs=1e-14
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
def test_a_constant_side_correlates_with_nothing(value: float) -> None:
    reference = np.array([0.1, 0.4, 2.5])
    assert statistics.pearson(statistics.moments(np.full(3, value), reference).sum(axis=0)) == 0.0
    assert statistics.pearson(statistics.moments(reference, np.full(3, value)).sum(axis=0)) == 0.0


def test_a_resample_of_one_example_only_correlates_with_nothing() -> None:
    moments = statistics.moments(np.array([0.1, 0.7, 0.33]), np.array([1.7, 0.2, 0.9]))
    assert statistics.pearson(moments[[1] * 7].sum(axis=0)) == 0.0


def test_equal_and_opposite_numbers_correlate_fully() -> None:
    x = np.array([1.0, 2.0, 4.0])
    assert statistics.pearson(statistics.moments(x, x).sum(axis=0)) == pytest.approx(1.0, abs=1e-15)
    assert statistics.pearson(statistics.moments(x, -x).sum(axis=0)) == pytest.approx(
        -1.0, abs=1e-15
    )


@pytest.mark.parametrize("f1", [statistics.f1_of_labels, statistics.f1_of_entities])
def test_f1_is_one_when_all_is_right_and_zero_when_nothing_is(f1: object) -> None:
    values = f1(np.array([[5.0, 0, 0], [0, 3, 4], [0, 0, 0], [2, 2, 2]]))  # type: ignore[operator]
    assert values.tolist() == [1.0, 0.0, 0.0, 0.5]
