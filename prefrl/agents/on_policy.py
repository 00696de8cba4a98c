"""The agent: a Stable-Baselines3 on-policy model whose environments are recorded and whose reward is learned."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from prefrl.agents.rollout_buffer import put_learned_reward
from prefrl.core.errors import UserError
from prefrl.core.streams import number
from prefrl.environments.recorder import Recorder
from prefrl.environments.ring import Rollout

Turn = Callable[[], np.ndarray]


class Watcher:
    """What may happen around an agent's learning; the run overrides what it needs."""

    def start(self) -> None:
        """Before the first rollout."""

    def rollout(self) -> None:
        """Before each rollout."""

    def boundary(self) -> None:
        """Where all episodes were just cut: the place for a checkpoint."""

    def end(self) -> None:
        """After the last update."""


class Agent:
    """What the loop knows of an agent: how far it is, what it just did, and that it learns."""

    def __init__(
        self,
        model: OnPolicyAlgorithm,
        recorder: Recorder,
        total_steps: int,
        seed: int,
        callbacks: Sequence[BaseCallback] = (),
        watcher: Watcher | None = None,
        bounds: float = 0.0,
    ):
        self.model, self.recorder, self.total_steps, self.seed = model, recorder, total_steps, seed
        self.callbacks, self.watcher, self.bounds = list(callbacks), watcher or Watcher(), bounds
        model.num_timesteps = 0  # a model that was trained before starts this run at its beginning all the same

    @property
    def step(self) -> int:
        """Environment steps of the run so far."""
        return self.model.num_timesteps

    def rollout(self) -> Rollout:
        """What happened since the policy was last improved."""
        return self.recorder.latest(self.model.n_steps)

    def learn(self, turn: Turn) -> None:
        """Run to `total_steps` in one call of SB3's learn. `turn` gives each rollout its rewards: (n_steps, n_envs)"""
        put_learned_reward(self.model, turn, self.bounds)
        left = self.total_steps - self.step
        if left <= 0:
            return
        ours = _Boundaries(self)
        callback = CallbackList([ours, *self.callbacks]) if self.callbacks else ours  # SB3 serves each at every step
        self.model.learn(left, callback, reset_num_timesteps=False)

    def reseed(self) -> None:
        """Derive SB3's random streams anew from (seed, step), so that none has to be saved."""
        seed = number(self.seed, "agent", self.step)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        if getattr(self.model, "use_sde", False):
            self.model.policy.reset_noise(self.recorder.num_envs)  # SB3 drew it just before, from the old stream

    def check_weights(self) -> None:
        """Raise if a parameter is no longer finite: SB3 would go on, and save it."""
        for name, values in self.model.policy.named_parameters():
            if not torch.isfinite(values).all():
                raise UserError(
                    f"the policy's {name} became NaN or infinite before step {self.step}; lower agent.learning_rate"
                    " and resume from the last checkpoint"
                )


class _Boundaries(BaseCallback):
    """Calls the run where the recorder has just cut all episodes: after an update, before the next rollout."""

    def __init__(self, agent: Agent):
        super().__init__()
        self.agent = agent

    def _on_training_start(self) -> None:
        self.agent.watcher.start()

    def _on_training_end(self) -> None:
        self.agent.watcher.end()

    def _on_rollout_start(self) -> None:
        agent, recorder = self.agent, self.agent.recorder
        agent.check_weights()
        agent.watcher.rollout()
        if recorder.cut_every and recorder.steps % recorder.cut_every == 0:
            if recorder.steps:
                recorder.forget()
                agent.watcher.boundary()
            agent.reseed()

    def _on_step(self) -> bool:
        return True
