"""On-policy agents of Stable-Baselines3: PPO, A2C, or the user's own model. A turn is a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor

from prefrl.agents.agent import Agent, torch_device
from prefrl.agents.extractors import NATURE_CNN_SIDE, PartsExtractor, SmallCNN
from prefrl.agents.fast import Fast, FastA2C, FastPPO
from prefrl.agents.sb3_hooks import add_loss, let_propose, put_learned_reward
from prefrl.config.settings import Config, OnPolicyConfig
from prefrl.core.errors import UserError
from prefrl.core.observations import Observations
from prefrl.core.rollout import Rollout
from prefrl.core.tensors import pack_optimiser, unpack_optimiser
from prefrl.environments.recorder import Recorder
from prefrl.loop import Pay, Turn
from prefrl.mechanisms import Mechanisms
from prefrl.mechanisms.base import PaidRollout
from prefrl.rewards.encoding import is_image

MOMENTS = ("mean", "var", "count")  # of observations, where the user's model normalises them


class OnPolicyAgent(Agent):
    """An SB3 model whose environments are recorded and whose reward is learned."""

    def __init__(self, config: Config, model: OnPolicyAlgorithm, recorder: Recorder, mechanisms: Mechanisms):
        super().__init__(config, recorder, model.n_steps * model.n_envs, mechanisms, model.gamma)
        self.model = model
        self.callbacks: Sequence[BaseCallback] = ()
        self.paid: tuple[PaidRollout, np.ndarray] | None = None  # the last rollout, and its rewards
        self._moments: dict[str, np.ndarray] = {}  # of observations, as the checkpoint had them
        self._episodes: list[tuple[float, int]] = []  # true returns and lengths in the checkpoint, for SB3's log
        model.num_timesteps = 0  # also for a model that was trained before
        mechanisms.begin(self)
        if mechanisms.overriding("loss"):
            add_loss(model, mechanisms.loss)
        if mechanisms.overriding("propose"):
            let_propose(model.policy, mechanisms.propose)

    def __str__(self) -> str:
        fast = isinstance(self.model, Fast) and self.model.is_fast
        by = "numpy (by Stable-Baselines3: --agent.fast off)" if fast else "Stable-Baselines3"
        return f"{self.config.agent.algorithm.upper()}, its policy evaluated and improved by {by}"

    @property
    def policy(self) -> ActorCriticPolicy:
        return self.model.policy

    def rollout(self) -> Rollout:
        """The steps since the policy's last update."""
        return self.memory.latest(self.model.n_steps)

    def predict(
        self, observation: Observations, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Actions for a batch of observations, which are normalised as in training, if they were."""
        normaliser = self.model.get_vec_normalize_env()
        normalised = normaliser.normalize_obs(observation) if normaliser else observation
        return self.model.predict(normalised, state, episode_start, deterministic)

    def learn(self, turn: Turn, pay: Pay) -> None:
        """Run to `total_steps` in one call of SB3's learn."""

        def rewards_of(sampled: np.ndarray, bootstraps: np.ndarray) -> np.ndarray:
            turn()
            rollout = self.rollout()
            paid = PaidRollout(**vars(rollout), sampled_actions=sampled, learned_rewards=pay(rollout))
            rewards = self.mechanisms.pay(paid, (bootstraps + paid.learned_rewards).astype(np.float32))
            self.paid = paid, rewards
            return rewards

        put_learned_reward(self.model, rewards_of)
        remaining = self.total_steps - self.step
        if remaining > 0:
            turns = _Turns(self)
            callback = CallbackList([turns, *self.callbacks]) if self.callbacks else turns  # SB3 calls each every step
            self.model.learn(remaining, callback, reset_num_timesteps=False)

    def start(self) -> None:
        """At the start of SB3's learn: restore what its setup and reset have overwritten."""
        assert self.model.ep_info_buffer is not None
        self.model.ep_info_buffer.extend({"r": reward, "l": length, "t": 0.0} for reward, length in self._episodes)
        normaliser = self.model.get_vec_normalize_env()
        if normaliser is not None and self._moments:
            self._set_moments(normaliser)
            self.model._last_obs = normaliser.normalize_obs(normaliser.get_original_obs())  # type: ignore[assignment]
        self.watcher.start()

    def improved(self) -> None:
        """SB3 has finished its update."""
        if self.paid is not None:
            self.mechanisms.after(*self.paid)
            self.paid = None

    def reseed(self) -> None:
        super().reseed()
        if getattr(self.model, "use_sde", False):
            self.policy.reset_noise(self.memory.num_envs)  # SB3 drew the noise just before, from the old stream

    def log_to(self, logger: Logger) -> None:
        super().log_to(logger)
        self.model.set_logger(logger)

    def tensors(self) -> dict[str, Tensor]:
        tensors = super().tensors() | pack_optimiser(self.policy.optimizer, "policy_optimiser.")[0]
        if (normaliser := self.model.get_vec_normalize_env()) is not None:
            moments = {name: np.asarray(getattr(normaliser.obs_rms, name), float) for name in MOMENTS}
            tensors |= {f"normaliser.{name}": torch.as_tensor(moment) for name, moment in moments.items()}
        return tensors

    def state(self) -> dict[str, Any]:
        return {
            "n_updates": self.model._n_updates,
            "policy_groups": pack_optimiser(self.policy.optimizer, "policy_optimiser.")[1],
            "episodes": [[float(e["r"]), int(e["l"])] for e in self.model.ep_info_buffer or ()],
        }

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        super().restore(tensors, state)
        unpack_optimiser(self.policy.optimizer, "policy_optimiser.", tensors, state["policy_groups"])
        self.model.num_timesteps, self.model._n_updates = self.step, state["n_updates"]
        self._episodes = state["episodes"]
        if (normaliser := self.model.get_vec_normalize_env()) is not None:
            self._moments = {name: tensors[f"normaliser.{name}"].numpy() for name in MOMENTS}
            self._set_moments(normaliser)

    def _set_moments(self, normaliser: VecNormalize) -> None:
        for name, value in self._moments.items():
            setattr(normaliser.obs_rms, name, value)


class _Turns(BaseCallback):
    """SB3 callback that calls the agent's hooks. Between two rollouts the recorder may just have cut all episodes."""

    def __init__(self, agent: OnPolicyAgent):
        super().__init__()
        self.agent = agent

    def _on_training_start(self) -> None:
        self.agent.start()

    def _on_rollout_start(self) -> None:
        self.agent.improved()
        self.agent.between_turns()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.agent.improved()
        self.agent.watcher.end()


def make(config: Config, recorder: Recorder, mechanisms: Mechanisms) -> OnPolicyAgent:
    """The agent that the settings describe."""
    assert isinstance(config.agent, OnPolicyConfig)
    return OnPolicyAgent(config, sb3_model(config.agent, recorder, config.seed), recorder, mechanisms)


def sb3_model(settings: OnPolicyConfig, venv: VecEnv, seed: int) -> OnPolicyAlgorithm:
    """An SB3 model from settings."""
    s = settings
    rate: Any = (lambda left: s.learning_rate * min(1.0, left / s.anneal)) if s.anneal else s.learning_rate
    algorithm, its_own, of_policy = ALGORITHMS[s.algorithm]
    if s.fast == "auto":
        algorithm = FAST.get(algorithm, algorithm)
    policy, further = _policy(s, venv)
    named = {name: getattr(s, name) for name in (*SHARED, *its_own)}
    device = torch_device(s.device, venv)
    try:
        return algorithm(
            policy, venv, learning_rate=rate, policy_kwargs=of_policy | further, seed=seed, device=device, **named
        )
    except (ValueError, AssertionError, MemoryError) as fault:  # what SB3 raises for spaces, policies and sizes
        raise UserError(f"{s.algorithm.upper()} with agent.policy={policy!r} cannot be made here: {fault}") from fault


SHARED = ("n_steps", "gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm")  # settings that SB3 calls the same
FUSED: dict[str, object] = {"optimizer_kwargs": {"fused": True}}  # Adam in one call takes a tenth off PPO's updates
ALGORITHMS: dict[str, tuple[type[OnPolicyAlgorithm], tuple[str, ...], dict[str, object]]] = {
    "ppo": (PPO, ("batch_size", "n_epochs", "clip_range"), FUSED),
    "a2c": (A2C, (), {}),
}
"""Name -> SB3's class, the settings that it alone takes, and keyword arguments of its policy."""
FAST: dict[type[OnPolicyAlgorithm], type[OnPolicyAlgorithm]] = {PPO: FastPPO, A2C: FastA2C}
"""SB3's class -> the subclass that takes its place unless `fast` is off."""


def _policy(settings: OnPolicyConfig, venv: VecEnv) -> tuple[str, dict[str, object]]:
    """SB3's name of the policy, and its keyword arguments."""
    pictures = is_image(venv.observation_space)
    kwargs: dict[str, object] = {"net_arch": list(settings.hidden)}
    if isinstance(venv.observation_space, spaces.Dict) and settings.policy in ("auto", "MultiInputPolicy"):
        return "MultiInputPolicy", kwargs | {"features_extractor_class": PartsExtractor}
    name = settings.policy if settings.policy != "auto" else "CnnPolicy" if pictures else "MlpPolicy"
    if name == "CnnPolicy" and pictures and sorted(venv.observation_space.shape or ())[1] < NATURE_CNN_SIDE:
        kwargs["features_extractor_class"] = SmallCNN
    return name, kwargs
