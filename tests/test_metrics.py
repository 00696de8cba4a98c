import numpy as np
import pytest
from stable_baselines3.common.logger import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from prefrl.core.rollout import Rollout
from prefrl.runs.metrics import STEP, Log, MetricsFile, TensorBoardFile, read_metrics


def row(file: MetricsFile, step: int, **values) -> None:
    file.write({STEP: step, **values}, {})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def test_rows_are_read_as_they_were_written(path):
    file = MetricsFile(path)
    row(file, 1, a=0.1, b=2)
    row(file, 2, a=1e-30)
    assert read_metrics(path) == [{STEP: 1, "a": 0.1, "b": 2}, {STEP: 2, "a": 1e-30}]


def test_new_columns_leave_old_rows_as_they_were(path):
    file = MetricsFile(path)
    row(file, 1, b=1)
    row(file, 2, b=2, a=5)
    row(file, 3, c=6)
    assert read_metrics(path) == [{STEP: 1, "b": 1}, {STEP: 2, "b": 2, "a": 5}, {STEP: 3, "c": 6}]
    assert path.read_text().splitlines()[0] == f"{STEP},a,b,c"


def test_what_is_not_a_number_or_not_for_csv_is_left_out(path):
    file = MetricsFile(path)
    file.write(
        {STEP: 1, "text": "yes", "hidden": 3.0, "shown": np.float32(0.5)}, {"hidden": ("csv",), "shown": ("stdout",)}
    )
    assert read_metrics(path) == [{STEP: 1, "shown": 0.5}]


@pytest.mark.parametrize("kept", [1, 2, 3, 4, 6, 9, 99])
def test_a_torn_last_line_is_no_row(path, kept):
    file = MetricsFile(path)
    row(file, 1000, a=0.12345, b=7)
    whole = path.read_bytes()
    row(file, 2000, a=0.54321, b=8)
    last = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + last[: min(kept, len(last) - 2)])
    assert read_metrics(path) == [{STEP: 1000, "a": 0.12345, "b": 7}]


def test_a_resumed_run_drops_rows_beyond_its_checkpoint(path):
    file = MetricsFile(path)
    for step in (100, 200, 300):
        row(file, step, a=step)
    again = MetricsFile(path, until=200)
    row(again, 300, a=-1, b=0)
    assert read_metrics(path) == [{STEP: 100, "a": 100}, {STEP: 200, "a": 200}, {STEP: 300, "a": -1, "b": 0}]


def test_going_on_after_a_torn_line_starts_a_new_one(path):
    row(MetricsFile(path), 100, a=1)
    path.write_bytes(path.read_bytes() + b"2")
    row(MetricsFile(path, until=100), 200, a=2)
    assert read_metrics(path) == [{STEP: 100, "a": 1}, {STEP: 200, "a": 2}]


def rollout(finished: np.ndarray, true_rewards: np.ndarray | None = None) -> Rollout:
    nothing = np.zeros((*finished.shape, 1))
    true_rewards = np.zeros(finished.shape) if true_rewards is None else true_rewards
    return Rollout(nothing, nothing, nothing, true_rewards, finished, np.zeros(finished.shape, bool))


def shown(log: Log) -> dict[str, float]:
    found = dict(log.logger.name_to_value)
    log.logger.name_to_value.clear()
    return found


@pytest.mark.parametrize("checkpoint", [0, 200])
def test_tensorboard_shows_each_step_of_a_resumed_run_once(tmp_path, checkpoint):
    first = TensorBoardFile(tmp_path)
    for step in (100, 200, 300):
        first.write({"reward/mean": 1.0}, {}, step)
    first.close()
    resumed = TensorBoardFile(tmp_path, checkpoint)
    again = [step for step in (100, 200, 300, 400) if step > checkpoint]
    for step in again:
        resumed.write({"reward/mean": 2.0}, {}, step)
    resumed.close()
    shown = EventAccumulator(str(tmp_path)).Reload().Scalars("reward/mean")
    assert [event.step for event in shown] == [100, 200, 300, 400]
    assert [event.value for event in shown] == [2.0 if event.step in again else 1.0 for event in shown]


@pytest.fixture
def log():
    return Log(Logger(None, []))


def test_the_learned_return_by_hand(log):
    """Two environments: episodes of 2 and 3 steps, and one of 4 that began in the rollout before."""
    rewards = np.array([[1, 10], [2, 20], [3, 30]], float)
    log.paid(rollout(np.array([[0, 0], [1, 0], [0, 0]], bool)), rewards)
    assert shown(log)["reward/learned_return"] == 3  # 1 + 2
    log.paid(rollout(np.array([[0, 1], [1, 0], [0, 0]], bool)), rewards)
    assert shown(log)["reward/learned_return"] == ((3 + 1 + 2) + (60 + 10)) / 2


def test_learned_returns_equal_sums_over_episodes(log):
    rng = np.random.default_rng(0)
    rewards, finished = rng.normal(size=(60, 3)), rng.random((60, 3)) < 0.1
    found = []
    for at in range(0, 60, 12):
        log.paid(rollout(finished[at : at + 12]), rewards[at : at + 12])
        found.append(shown(log).get("reward/learned_return", np.nan) * finished[at : at + 12].sum())
    expected = 0.0
    for env in range(3):
        ends = np.flatnonzero(finished[:, env])
        expected += rewards[: ends[-1] + 1, env].sum()
    assert np.nansum(found) == pytest.approx(expected)


def test_episodes_that_were_cut_do_not_count(log):
    rewards = np.ones((3, 1))
    log.paid(rollout(np.zeros((3, 1), bool)), rewards)
    log.forget_episodes()
    log.paid(rollout(np.array([[0], [1], [0]], bool)), rewards)
    assert shown(log)["reward/learned_return"] == 2


def test_agreement_of_learned_and_true_reward(log):
    true = np.arange(6.0).reshape(3, 2)
    log.paid(rollout(np.zeros((3, 2), bool), true), 5 - 2 * true)
    log.asked(7)
    found = shown(log)
    assert found["reward/true_correlation"] == pytest.approx(-1) and found["reward/mean"] == 0
    assert found["preferences/asked"] == 7
    assert "reward/learned_return" not in found


def test_a_constant_reward_has_no_correlation(log):
    log.paid(rollout(np.zeros((3, 2), bool), np.arange(6.0).reshape(3, 2)), np.ones((3, 2)))
    assert "reward/true_correlation" not in shown(log)


def test_a_run_without_cuts_logs_the_return_of_whole_episodes(short):
    """With a reward of 2 a step and 200 steps an episode every learned return is 400, cut episodes or not."""
    run = short(**{"reward.source": "constant", "reward.constant": 2.0, "steps": 4096}).run
    found = [
        each["reward/learned_return"]
        for each in read_metrics(run.folder / "metrics.csv")
        if "reward/learned_return" in each
    ]
    assert len(found) > 1 and found == [400.0] * len(found)
