"""From scores of several seeds to a number with an interval, as recommended by Agarwal et al. 2021 (rliable).

Scores have the shape (S, E): S seeds of each of E environments; (S,) means one environment. Batches of them carry more
axes in front. A crashed run is no NaN but the score of the random policy (0 when normalised): it must not vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from prefrl.core.errors import NonFiniteError, UserError

FEWEST_SEEDS, ENOUGH_SEEDS = 3, 10
BATCH = 1000  # resamples in memory at a time


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval."""

    estimate: float
    low: float  # NaN with fewer than 3 seeds
    high: float
    seeds: int  # the smallest number of seeds that went in


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half of all runs: (..., S, E) -> (...). scipy.stats.trim_mean(.25) over seeds and environments
    together (Agarwal et al. 2021, sec. 4). A quarter is rounded down: below 4 runs it is the plain mean."""
    runs = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)  # (..., S * E)
    cut = runs.shape[-1] // 4
    return runs[..., cut : runs.shape[-1] - cut].mean(-1)


def probability_of_improvement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Chance that a run of the first beats one of the second, ties half: (..., S, E), (..., R, E) -> (...)

    Mann-Whitney's U / (S R) per environment, then the mean over environments (Agarwal et al. 2021, sec. 4).
    """
    first, second = (_per_environment(scores) for scores in (first, second))
    duels = first[..., :, None, :] - second[..., None, :, :]  # (..., S, R, E)
    return np.heaviside(duels, 0.5).mean((-3, -2, -1))


def difference_in_iqm(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How much better the first is: (..., S, E), (..., R, E) -> (...). "Better" needs an interval without 0."""
    return interquartile_mean(first) - interquartile_mean(second)


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of all runs that score above each threshold: (..., S, E), (K,) -> (..., K)  (Agarwal et al. 2021, sec. 4)"""
    runs = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)  # (..., S * E)
    return (runs[..., None, :] > thresholds[:, None]).mean(-1)


def optimality_gap(scores: np.ndarray) -> np.ndarray:
    """How far runs stay below 1 on average, whatever lies above counting as 1: (..., S, E) -> (...)  (ibid.)"""
    return 1.0 - np.minimum(scores, 1.0).mean((-2, -1))


def area_under_curve(budgets: Sequence[float]) -> Callable[..., np.ndarray]:
    """A statistic of one score table per budget: the mean height of the interquartile mean over log2(budget).

    Trapezoids between budgets, over the width: what a method earns if every doubling of labels counts alike.
    """
    at = np.log2(np.asarray(budgets, float))
    if len(at) < 2 or not (np.diff(at) > 0).all():
        raise ValueError(f"an area needs two budgets or more that rise, got {list(budgets)}")
    weights = np.zeros(len(at))
    weights[1:] += np.diff(at) / 2
    weights[:-1] += np.diff(at) / 2
    weights /= at[-1] - at[0]

    def area(*tables: np.ndarray) -> np.ndarray:
        return np.stack([interquartile_mean(table) for table in tables], -1) @ weights

    return area


def bootstrap_band(
    statistic: Callable[..., np.ndarray],
    *scores: np.ndarray,
    rng: np.random.Generator,
    replicates: int = 2000,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate, low and high of a statistic that may give several numbers at once: (B, S, E) -> (B, ...). Pointwise.

    Stratified percentile bootstrap: seeds are drawn anew within each environment (Agarwal et al. 2021, sec. 4).
    scores: one (S, E) for each argument of the statistic, which is one of the functions above.
    """
    tables = [_checked(table) for table in scores]
    sizes = [min(BATCH, replicates - start) for start in range(0, replicates, BATCH)]
    drawn = np.concatenate([statistic(*(_resample(table, size, rng) for table in tables)) for size in sizes])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return statistic(*(table[None] for table in tables))[0], low, high


def bootstrap_interval(
    statistic: Callable[..., np.ndarray],
    *scores: np.ndarray,
    rng: np.random.Generator,
    replicates: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """The band of a statistic that gives one number, (B, S, E) -> (B,); with fewer than 3 seeds only its estimate.

    Real coverage of a 95 % interval in simulated studies: 86 % with 3 seeds, 90-91 % with 5, 92-93 % with 10.
    """
    tables = [_checked(table) for table in scores]
    seeds = min(map(len, tables))
    if seeds < FEWEST_SEEDS:
        return Interval(float(statistic(*(table[None] for table in tables))[0]), np.nan, np.nan, seeds)
    estimate, low, high = bootstrap_band(statistic, *tables, rng=rng, replicates=replicates, level=level)
    return Interval(float(estimate), float(low), float(high), seeds)


def normalised_scores(returns: np.ndarray, floor: float, ceiling: float) -> np.ndarray:
    """0 for the floor (random policy), 1 for the ceiling (true-reward agent, same budget); never clipped. Any shape."""
    if not ceiling > floor:
        raise UserError(
            f"the ceiling {ceiling:g} must lie above the floor {floor:g} to normalise returns;"
            " train the true-reward agent longer, or choose an environment where it beats a random policy"
        )
    return (np.asarray(returns, float) - floor) / (ceiling - floor)


def failed_share(scores: np.ndarray, threshold: float = 0.3) -> float:
    """Share of runs whose normalised score stays below the threshold; a crashed run (NaN) has failed. Any shape."""
    scores = np.asarray(scores, float)
    return float(np.mean(~(scores >= threshold))) if scores.size else np.nan


def _resample(table: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
    """Draw seeds with replacement, anew for every environment: (S, E) -> (times, S, E)"""
    return np.take_along_axis(table[None], rng.integers(len(table), size=(times, *table.shape)), axis=1)


def _per_environment(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, float)
    return scores[:, None] if scores.ndim == 1 else scores


def _checked(scores: np.ndarray) -> np.ndarray:
    table = _per_environment(scores)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"scores must have the shape (seeds,) or (seeds, environments), got {np.shape(scores)}")
    if not np.isfinite(table).all():
        raise NonFiniteError(
            f"{np.count_nonzero(~np.isfinite(table))} of {table.size} scores are not finite;"
            " run these seeds again, or count a crashed run as the random policy (0 when normalised)"
        )
    return table
