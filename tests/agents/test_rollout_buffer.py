import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from prefrl.agents.on_policy import sb3_model
from prefrl.agents.sb3_hooks import put_learned_reward
from prefrl.config.settings import OnPolicyConfig
from prefrl.core.errors import UserError
from prefrl.core.streams import number
from prefrl.environments.making import env_maker
from prefrl.environments.vector import make_venv
from prefrl.mechanisms.bounds import beyond_bounds
from prefrl.runs.metrics import read_metrics

TRUE = {"reward.source": "true", "reward.raw": True, "record.checkpoints": 0, "record.evaluation_episodes": 1}


def weights(model) -> dict[str, torch.Tensor]:
    return dict(model.policy.named_parameters())


@pytest.mark.parametrize(
    "env, algorithm",
    [("Pendulum-v1", "ppo"), ("CartPole-v1", "ppo"), ("Pendulum-v1", "a2c"), ("MountainCar-v0", "a2c")],
)  # with time limits, terminations, or both
def test_the_true_reward_by_our_way_is_plain_sb3_bit_for_bit(short, env, algorithm):
    ours = short(env, **TRUE, **{"agent.algorithm": algorithm, "questions.length": 2, "seed": 3}).run
    venv = make_venv(env_maker(env), 4)
    plain = sb3_model(ours.config.agent, venv, seed=3)
    venv.seed(number(3, "environment", 0))
    plain.learn(2048)
    theirs = weights(plain)
    assert all(torch.equal(values, theirs[name]) for name, values in weights(ours.model).items())


def test_plain_sb3_without_rewards_is_another_agent(short):
    learned, unpaid = short(folder="a", **TRUE), short(folder="b", **{**TRUE, "reward.source": "zero"})
    theirs = weights(unpaid.model)
    assert any(not torch.equal(values, theirs[name]) for name, values in weights(learned.model).items())


def test_cuts_bootstrap_like_time_limits(short):
    """The value of the state in which we cut is paid on top of the step's reward, discounted."""
    seen = []

    class Look(BaseCallback):
        def _on_step(self) -> bool:
            if self.locals["dones"].all():
                last = np.stack([info["terminal_observation"] for info in self.locals["infos"]])
                seen.append(self.model.policy.predict_values(torch.as_tensor(last)).detach().numpy().ravel())
            return True

        def _on_rollout_end(self) -> None:
            if self.model.num_timesteps == 256:
                seen.append(self.model.rollout_buffer.rewards[-1].copy())

    control = {"reward.source": "constant", "reward.constant": 2.0, "record.checkpoints": 8}
    gamma = short(callbacks=[Look()], **{**TRUE, **control}).model.gamma
    values, paid = seen[:2]
    assert np.allclose(paid, 2.0 + gamma * values, atol=1e-5)


def test_the_log_shows_the_true_return_whatever_the_agent_is_paid(short):
    run = short(**{**TRUE, "reward.source": "constant"}).run
    shown = read_metrics(run.folder / "metrics.csv")[-1]["rollout/ep_rew_mean"]
    assert shown == pytest.approx(np.mean([reward for reward, _ in run.recorder.finished]), rel=1e-5)
    assert shown < -100  # a constant reward would give 200


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_learning_rate_falls_to_zero_over_the_last_share_of_the_run(short, share):
    run = short(**{"agent.anneal": share, "agent.learning_rate": 1e-3}).run
    rates = [row["train/learning_rate"] for row in read_metrics(run.folder / "metrics.csv")[1:]]
    wanted = [1e-3 * min(1, (1 - k / 8) / share) for k in range(1, 8)]  # the k-th update comes after k rollouts
    assert rates == pytest.approx(wanted)
    assert run.model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(0)


class Counts(BaseCallback):
    """Counts what SB3 calls."""

    def __init__(self):
        super().__init__()
        self.starts, self.rollouts, self.ends = 0, 0, 0

    def _on_training_start(self) -> None:
        self.starts += 1

    def _on_rollout_end(self) -> None:
        self.rollouts += 1

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.ends += 1


def test_callbacks_see_one_training_of_all_steps(short):
    counts = Counts()
    short(callbacks=[counts])
    assert (counts.starts, counts.rollouts, counts.ends, counts.n_calls, counts.num_timesteps) == (1, 8, 1, 512, 2048)


def ppo(venv, **settings) -> PPO:
    return PPO(
        "MlpPolicy",
        venv,
        n_steps=64,
        batch_size=64,
        n_epochs=2,
        seed=1,
        policy_kwargs={"log_std_init": 2.0},
        **settings,
    )


class Actions(BaseCallback):
    """Compares SB3's actions with those that the recorder remembers."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        buffer, self.recorder = self.model.rollout_buffer, self.training_env
        while hasattr(self.recorder, "venv") and not hasattr(self.recorder, "latest"):
            self.recorder = self.recorder.venv
        executed = self.recorder.latest(64).actions
        assert np.abs(buffer.actions).max() > 2
        assert np.allclose(executed, np.clip(buffer.actions, -2, 2))


def test_a_ready_made_model_learns_and_its_executed_actions_are_remembered(short):
    model = ppo(make_venv(env_maker("Pendulum-v1"), 2))
    before = {name: values.clone() for name, values in weights(model).items()}
    result = short(agent=model, callbacks=[Actions()])
    assert result.model is model
    assert result.run.asker.asked == 24
    assert any(not torch.equal(values, before[name]) for name, values in weights(model).items())


def test_below_vecnormalize_the_recorder_remembers_what_the_environment_said(short):
    model = ppo(VecNormalize(make_venv(env_maker("Pendulum-v1"), 2), norm_reward=False))
    run = short(agent=model, callbacks=[Actions()]).run
    seen = run.recorder.latest(64).observations
    assert np.allclose(seen[..., 0] ** 2 + seen[..., 1] ** 2, 1, atol=1e-5)  # cosine and sine
    taught = model.rollout_buffer.observations
    assert not np.allclose(taught[..., 0] ** 2 + taught[..., 1] ** 2, 1, atol=0.1)
    assert np.isfinite(run.log.last_fit.held_out_loss)


def test_a_model_that_was_trained_before_trains_all_steps_again(short):
    model = ppo(make_venv(env_maker("Pendulum-v1"), 2)).learn(4096)
    run = short(agent=model).run
    assert run.recorder.steps == 1024 and run.asker.asked == 24


def test_a_moving_reward_scale_is_refused(short):
    model = ppo(VecNormalize(make_venv(env_maker("Pendulum-v1"), 2)))
    with pytest.raises(UserError, match="norm_reward=True.* set it to False"):
        short(agent=model)


def test_models_with_other_buffers_are_refused():
    model = A2C("MlpPolicy", make_venv(env_maker("Pendulum-v1"), 2))
    model.rollout_buffer = None
    with pytest.raises(UserError, match="A2C collects into NoneType; prefrl takes SB3's on-policy models"):
        put_learned_reward(model, lambda actions, bootstraps: np.zeros((5, 2)))


def test_settings_reach_the_agent():
    settings = OnPolicyConfig(n_steps=32, batch_size=64, gamma=0.5, gae_lambda=0.25, ent_coef=0.125, hidden=(8,))
    model = sb3_model(settings, DummyVecEnv([env_maker("Pendulum-v1")] * 2), seed=0)
    assert (model.n_steps, model.batch_size, model.gamma, model.gae_lambda, model.ent_coef) == (
        32,
        64,
        0.5,
        0.25,
        0.125,
    )
    assert weights(model)["mlp_extractor.policy_net.0.weight"].shape == (8, 3)


def test_an_action_beyond_the_bounds_is_measured_in_half_widths():
    space = spaces.Box(np.array([-2.0, 0.0, -np.inf]), np.array([2.0, 1.0, np.inf]), dtype=np.float64)
    inside, above, below = np.array([[2.0, 0.5, 1e9], [4.0, 0.5, 0.0], [0.0, -1.0, 0.0]])
    assert beyond_bounds(np.stack([inside, above, below]), space) == pytest.approx([0, 1, 4])
    assert beyond_bounds(np.array([[1], [0]]), spaces.Discrete(2)).tolist() == [0, 0]


def test_actions_beyond_the_bounds_cost_what_the_setting_says(short):
    """PPO's first samples reach beyond the car's [-1, 1]; two runs are alike until the first rollout is paid for."""

    class Look(BaseCallback):
        paid = None

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            buffer = self.model.rollout_buffer
            if self.paid is None:
                self.paid, self.excess = buffer.rewards.copy(), beyond_bounds(buffer.actions, buffer.action_space)

    free, charged = Look(), Look()
    for look, cost in ((free, 0.0), (charged, 2.0)):
        short(
            folder=str(cost),
            env="MountainCarContinuous-v0",
            callbacks=[look],
            **{"agent.bounds": cost, "reward.source": "random", "questions.budget": 0},
        )
    assert free.excess.max() > 0.1
    assert charged.paid == pytest.approx(free.paid - 2.0 * free.excess, abs=1e-5)


def test_where_the_reward_tells_nothing_apart_actions_cost_nothing(short):
    """Else an agent without a reward would learn to stay within its bounds, and the control would not be one."""
    control = {**TRUE, "reward.source": "constant"}
    run, free = (short(folder=str(c), **control, **{"agent.bounds": c}).run for c in (5.0, 0.0))
    theirs = weights(free.model)
    assert all(torch.equal(values, theirs[name]) for name, values in weights(run.model).items())
