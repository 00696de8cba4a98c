import numpy as np
import pytest

from prefrl.core.data import Queries, Segments


def _ask(true_rewards) -> Queries:
    """Queries that show nothing but their true rewards, (Q, 2, T)."""
    rewards = np.asarray(true_rewards, dtype=np.float64)
    batch, length = rewards.shape[:2], rewards.shape[2]
    segments = Segments(
        observations=np.zeros((*batch, length + 1, 1)),
        actions=np.zeros((*batch, length, 1)),
        true_rewards=rewards,
        env_index=np.zeros(batch, dtype=np.int64),
        start_step=np.zeros(batch, dtype=np.int64),
    )
    return Queries(segments, np.full(len(rewards), np.nan))


@pytest.fixture(scope="session")
def preferences():
    """A function: answers to pairs -> preferences, NaN where skipped."""
    return lambda answers: np.array([np.nan if answer is None else answer["preference"] for answer in answers])


@pytest.fixture(scope="session")
def ask():
    """A function: true rewards (Q, 2, T) -> queries."""
    return _ask


@pytest.fixture(scope="session")
def many() -> Queries:
    """20,000 random pairs of 5 steps, in odd units: returns around -300 with a spread of 40."""
    rng = np.random.default_rng(7)
    return _ask(-60 + 40 / np.sqrt(5) * rng.standard_normal((20_000, 2, 5)))
