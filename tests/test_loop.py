import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback

from prefrl.runs.metrics import read_metrics


class Paid(BaseCallback):
    """Keeps what the agent was paid in each rollout: (n_steps, n_envs)"""

    def __init__(self):
        super().__init__()
        self.rewards: list[np.ndarray] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.rewards.append(self.model.rollout_buffer.rewards.copy())


def test_a_run_turns_once_a_rollout_and_asks_its_budget(short):
    run = short().run
    rows = read_metrics(run.folder / "metrics.csv")
    assert len(rows) == 8
    assert rows[-1]["preferences/asked"] == run.config.questions.budget == 24
    assert [row["preferences/answers"] for row in rows if "preferences/answers" in row][-1] == 24


def test_the_agent_is_paid_what_the_model_says_now(short):
    """The last rollout, but for SB3's bootstrap at episodes' ends, and for the cost of actions beyond the bounds."""
    paid = Paid()
    run = short(callbacks=[paid], **{"record.checkpoints": 0, "agent.bounds": 0}).run
    rollout = run.agent.rollout()
    assert np.allclose(
        paid.rewards[-1][~rollout.finished], run.reward_model.rewards(rollout)[~rollout.finished], atol=1e-5
    )
    assert paid.rewards[-1].std() > 0.1


def test_answers_count_from_the_rollout_that_they_are_about(short):
    """Asked, heard, understood and paid in one turn: the first rollout is paid already."""
    paid = Paid()
    run = short(callbacks=[paid], **{"questions.initial": 1.0}).run
    assert run.store.asked(until_step=256) > 4
    assert paid.rewards[0].std() > 0.1


def test_nothing_is_paid_as_long_as_nobody_answers(short):
    paid = Paid()
    short(callbacks=[paid], teacher=lambda queries: np.full(len(queries), np.nan), **{"record.checkpoints": 0})
    assert np.abs(np.concatenate(paid.rewards)).max() < 2  # no more than SB3's guess of what comes after an episode
    assert np.median(np.abs(np.concatenate(paid.rewards))) == 0


def test_less_is_asked_where_less_fits(short):
    with pytest.warns(UserWarning, match="no step is in two questions"):
        run = short(**{"questions.budget": 90, "questions.length": 10, "steps": 1024}).run
    assert 20 < run.asker.asked < 52
