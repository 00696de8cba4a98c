"""Makes the agent of a run: one by name, a Stable-Baselines3 model of the user's, or one that a function makes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from prefrl.agents import AGENTS
from prefrl.agents.agent import Agent
from prefrl.agents.on_policy import OnPolicyAgent
from prefrl.agents.own_model import insert_recorder, refuse_moving_scale, require_same_spaces
from prefrl.config.settings import Config
from prefrl.core.errors import UserError, pick
from prefrl.core.streams import number
from prefrl.environments.making import MakeEnv
from prefrl.environments.recorder import Recorder
from prefrl.environments.ring import steps_that_fit
from prefrl.mechanisms import Mechanisms

Model = OnPolicyAlgorithm
EXPECTED = "a Stable-Baselines3 on-policy model (PPO, A2C), or a function of a VecEnv that makes one"


def make_agent(
    config: Config,
    own: Model | Callable[[VecEnv], Model] | None,
    make_env: MakeEnv,
    make_venv: Callable[[], VecEnv],
    mechanisms: Mechanisms,
) -> Agent:
    """The agent, with a recorder directly above its environments. make_venv: the environments of the run, side by side"""
    if isinstance(own, OnPolicyAlgorithm):
        recorder, venv = insert_recorder(own.get_env())
        own.set_env(venv)
        require_same_spaces(recorder, make_env(), config.env)
        agent: Agent = _of_model(config, own, recorder, mechanisms)
    else:
        recorder = Recorder(make_venv(), capacity=1)
        set_random_seed(config.seed)  # the user's function may not pass a seed
        if own is not None:
            agent = _of_model(config, own(recorder), recorder, mechanisms)
        else:
            agent = pick(AGENTS, config.agent.algorithm, "agent.algorithm").maker()(config, recorder, mechanisms)
    recorder.endless = config.agent.endless
    recorder.seed_at = partial(_seed_at, config.seed)
    recorder.memory.resize(_capacity(config, recorder, agent.turn_steps // recorder.num_envs))
    return agent


def _of_model(config: Config, model: Model, recorder: Recorder, mechanisms: Mechanisms) -> OnPolicyAgent:
    if not isinstance(model, OnPolicyAlgorithm):
        raise UserError(f"agent= gave {type(model).__name__}; expected {EXPECTED}")
    refuse_moving_scale(model.get_env())
    return OnPolicyAgent(config, model, recorder, mechanisms)


def _seed_at(seed: int, step: int) -> int:
    return number(seed, "environment", step)


def _capacity(config: Config, recorder: Recorder, turn: int) -> int:
    """Steps per environment that the recorder keeps. turn: steps per environment in a turn"""
    fits = steps_that_fit(config.record.memory_mb, recorder)
    least = max(turn, config.questions.length + 1) + recorder.memory.history
    if fits < least:
        raise UserError(
            f"record.memory_mb={config.record.memory_mb:g} holds {fits} steps of each environment; a rollout and a"
            f" segment need {least}. Raise it"
        )
    return min(fits, max(least, -(-config.steps // recorder.num_envs) + turn + recorder.memory.history))
