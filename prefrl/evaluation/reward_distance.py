"""How far one reward is from another: correlations along recorded steps, and EPIC between reward functions.

Which one can be had depends on what is known of the true reward. As a function (`TRUE_REWARDS`, or your own), EPIC is
right: it ignores scale and potential shaping. Where the true reward is known only along recorded trajectories it cannot
be evaluated at the transitions EPIC invents; then `reward_agreement` compares steps and returns as recorded, which is
true of the recorded steps but takes shaping for a difference (.644 for a shaped copy that EPIC puts at 0). Always name
which one, and where the transitions came from. A reward that does not vary has no distance: NaN (print n/a), never 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prefrl.core.errors import NonFiniteError

RewardFunction = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(N, *obs) before the step, (N, *act) in env units, (N, *obs) after the step -> (N,) reward of the step"""

LARGEST_BATCH = 2**23
"""How many numbers of observations one call of a reward function may get (32 MiB in float32)."""


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Linear correlation of two arrays of one shape, flattened; NaN if either is constant."""
    return _correlation(_unit(a), _unit(b))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of two arrays of one shape, flattened, equal values sharing their mean rank; NaN if constant."""
    constant = _unit(a) is None or _unit(b) is None  # ranks would make a difference of rounding errors
    return np.nan if constant else pearson(_ranks(a), _ranks(b))


def _ranks(values: np.ndarray) -> np.ndarray:
    """As scipy.stats.rankdata, whose import alone takes half a second."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place.ravel()]


def pearson_distance(a: np.ndarray, b: np.ndarray) -> float:
    """sqrt((1 - pearson) / 2): 0 for a positive affine copy, .707 if uncorrelated, 1 if opposite (Gleave et al. 2021,
    sec. 4). Not invariant to shaping."""
    return _distance(_unit(a), _unit(b))


def reward_agreement(learned: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Compare two rewards along recorded segments. learned, true: (N, T) rewards per step.

    What to report where the true reward is no function; segment returns are the undiscounted sums.
    """
    if learned.ndim != 2 or learned.shape != true.shape:
        raise ValueError(
            f"rewards per step must be two arrays of one shape (N, T), got {learned.shape} and {true.shape}"
        )
    learned_returns, true_returns = learned.sum(-1, dtype=float), true.sum(-1, dtype=float)
    return {
        "step_pearson": pearson(learned, true),
        "step_spearman": spearman(learned, true),
        "segment_pearson": pearson(learned_returns, true_returns),
        "segment_spearman": spearman(learned_returns, true_returns),
        "segment_pearson_distance": pearson_distance(learned_returns, true_returns),
    }


def epic(
    reward_a: RewardFunction,
    reward_b: RewardFunction,
    observations: np.ndarray,
    actions: np.ndarray,
    next_observations: np.ndarray,
    rng: np.random.Generator,
    gamma: float = 0.99,
    samples: int = 256,
) -> float:
    """EPIC distance in [0, 1] (Gleave et al. 2021, sec. 4), NaN if either reward is constant up to shaping.

    observations, next_observations: (N, *obs), actions: (N, *act); no transition counts as the end of an episode.
    The N transitions are where the rewards are compared; the canonical form averages over `samples` actions and next
    states drawn from them independently of each other, so it asks for transitions the environment may never make:
    give both rewards in a form that extrapolates, and report where the transitions came from. Costs 2 * N * samples
    evaluations of each reward; 2,000 transitions are plenty. `gamma` is the shaping's discount: use the agent's.
    """
    transitions = (observations, actions, next_observations)
    coverage = (
        actions[rng.integers(len(actions), size=samples)],
        observations[rng.integers(len(observations), size=samples)],
    )
    first, second = (_unit(*canonical(reward, transitions, coverage, gamma)) for reward in (reward_a, reward_b))
    return _distance(first, second)


def canonical(
    reward: RewardFunction,
    transitions: tuple[np.ndarray, np.ndarray, np.ndarray],
    coverage: tuple[np.ndarray, np.ndarray],
    gamma: float,
) -> tuple[np.ndarray, float]:
    """R(s,a,s') + gamma E[R(s',A,S)] - E[R(s,A,S)] - gamma E[R(S,A,S)] (Gleave et al. 2021, sec. 4): (N,), and noise.

    transitions: s (N, *obs), a (N, *act), s' (N, *obs); coverage: M samples of A (M, *act) and of S (M, *obs). All
    expectations share these samples: potential shaping then cancels exactly, not only in the limit of many samples.
    The noise is the rounding error to expect of it.
    """
    observations, _, next_observations = transitions
    raw = _evaluate(reward, *transitions)
    after = _expected_reward(reward, next_observations, *coverage)
    before = _expected_reward(reward, observations, *coverage)
    anywhere = _expected_reward(reward, coverage[1], *coverage).mean()
    return raw + gamma * after - before - gamma * anywhere, _rounding(raw)


def _expected_reward(
    reward: RewardFunction, states: np.ndarray, actions: np.ndarray, next_states: np.ndarray
) -> np.ndarray:
    """Mean reward from each state over M sampled (action, next state) pairs. (N, *obs), (M, *act), (M, *obs) -> (N,)"""
    samples = len(actions)
    batch = max(1, LARGEST_BATCH // next_states.size)  # states per call
    means = []
    for start in range(0, len(states), batch):  # a loop, because N * M observations at once may not fit in memory
        some = states[start : start + batch]
        every = np.tile(np.arange(samples), len(some))
        values = _evaluate(reward, np.repeat(some, samples, axis=0), actions[every], next_states[every])
        means.append(values.reshape(len(some), samples).mean(-1, dtype=float))
    return np.concatenate(means)


def _evaluate(reward: RewardFunction, states: np.ndarray, actions: np.ndarray, next_states: np.ndarray) -> np.ndarray:
    values = np.asarray(reward(states, actions, next_states))
    if values.shape != (len(states),):  # (N, 1) would broadcast to (N, N) unseen
        raise ValueError(f"a reward function must return shape ({len(states)},) for as many steps, got {values.shape}")
    if not np.isfinite(values).all():
        raise NonFiniteError(
            f"a reward function gave {np.sum(~np.isfinite(values))} non-finite values for {len(values)} steps;"
            " EPIC asks for unusual transitions: bound the reward there, or use reward_agreement"
        )
    return values


def _unit(values: np.ndarray, noise: float | None = None) -> np.ndarray | None:
    """Flattened, centred and scaled to length 1; None if it does not vary beyond the noise. (...) -> (N,)"""
    values = np.asarray(values)
    if not values.size or np.ptp(values) <= (_rounding(values) if noise is None else noise):
        return None
    centred = values.ravel() - values.mean(dtype=float)
    centred = centred / np.abs(centred).max()  # squares of very small or large rewards would leave the floats
    return centred / np.linalg.norm(centred)


def _rounding(values: np.ndarray) -> float:
    """How much a constant of this size may vary by rounding alone."""
    precision = np.finfo(np.result_type(values.dtype, np.float32)).eps
    return 64 * float(precision) * float(np.abs(values).max(initial=0))


def _correlation(a: np.ndarray | None, b: np.ndarray | None) -> float:
    return np.nan if a is None or b is None else float(np.clip(a @ b, -1, 1))


def _distance(a: np.ndarray | None, b: np.ndarray | None) -> float:
    """sqrt((1 - a.b) / 2) = |a - b| / 2 for unit vectors; the right side keeps its digits near 0."""
    return np.nan if a is None or b is None else min(1.0, float(np.linalg.norm(a - b)) / 2)


def pendulum(observations: np.ndarray, actions: np.ndarray, next_observations: np.ndarray) -> np.ndarray:
    """-(angle^2 + .1 speed^2 + .001 torque^2), of the state before the step and the torque after clipping at 2."""
    angle = np.arctan2(observations[:, 1], observations[:, 0])
    torque = np.clip(actions[:, 0], -2, 2)
    return -(angle**2 + 0.1 * observations[:, 2] ** 2 + 0.001 * torque**2)


def mountain_car_continuous(observations: np.ndarray, actions: np.ndarray, next_observations: np.ndarray) -> np.ndarray:
    """100 for reaching the flag (position .45, not rolling back) minus .1 action^2, of the action before clipping."""
    reached = (next_observations[:, 0] >= 0.45) & (next_observations[:, 1] >= 0)
    return 100.0 * reached - 0.1 * actions[:, 0] ** 2


def reacher(observations: np.ndarray, actions: np.ndarray, next_observations: np.ndarray) -> np.ndarray:
    """-(distance of fingertip and target after the step) - action^2; gymnasium's page says .1 action^2, its code 1."""
    return -np.linalg.norm(next_observations[:, 8:10], axis=-1) - np.square(actions).sum(-1)


TRUE_REWARDS: dict[str, RewardFunction] = {
    "Pendulum-v1": pendulum,
    "MountainCarContinuous-v0": mountain_car_continuous,
    "Reacher-v5": reacher,
}
"""True rewards that are exact functions of (obs, act, next_obs), for the environments' default arguments.

HalfCheetah, Hopper, Walker2d, Ant, Humanoid and Swimmer are missing on purpose: they pay for the mean forward velocity
over a step, and the position it comes from is left out of their observations.
"""
