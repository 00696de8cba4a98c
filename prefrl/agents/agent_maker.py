"""Makes the agent of a run: one by name, a Stable-Baselines3 model of the user's, or one that a function makes."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize, VecTransposeImage

from prefrl.agents import AGENTS
from prefrl.agents.agent import Agent
from prefrl.agents.on_policy import OnPolicyAgent
from prefrl.config.settings import Config
from prefrl.core.errors import UserError, pick
from prefrl.core.streams import number
from prefrl.environments.making import MakeEnv
from prefrl.environments.recorder import Recorder
from prefrl.environments.ring import steps_that_fit
from prefrl.mechanisms import Mechanisms

EXPECTED = "a Stable-Baselines3 on-policy model (PPO, A2C), or a function of a VecEnv that makes one"


def make_agent(
    config: Config,
    own: OnPolicyAlgorithm | Callable[[VecEnv], OnPolicyAlgorithm] | None,
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
    recorder.seed_at = lambda step: number(config.seed, "environment", step)
    recorder.memory.resize(_capacity(config, recorder, agent.turn_steps // recorder.num_envs))
    return agent


def _of_model(config: Config, model: OnPolicyAlgorithm, recorder: Recorder, mechanisms: Mechanisms) -> OnPolicyAgent:
    if not isinstance(model, OnPolicyAlgorithm):
        raise UserError(f"agent= gave {type(model).__name__}; expected {EXPECTED}")
    if any(isinstance(wrapper, VecNormalize) and wrapper.norm_reward for wrapper in wrappers_of(model.get_env())):
        raise UserError(
            "VecNormalize(norm_reward=True) rescales a reward that the reward model has standardised; set it to False"
        )
    return OnPolicyAgent(config, model, recorder, mechanisms)


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


def wrappers_of(venv: VecEnv | None) -> list[VecEnvWrapper]:
    """The wrappers around a vector of environments, the outermost first."""
    wrappers = []
    while isinstance(venv, VecEnvWrapper):
        wrappers.append(venv)
        venv = venv.venv
    return wrappers


def insert_recorder(venv: VecEnv | None) -> tuple[Recorder, VecEnv]:
    """Put a recorder below all wrappers of a model's environments; one from an earlier run is removed."""
    if venv is None:
        raise UserError("agent= has no environment; make it with one: PPO('MlpPolicy', env)")
    lowest = venv.unwrapped
    wrappers = [wrapper for wrapper in wrappers_of(venv) if not isinstance(wrapper, Recorder)]
    for wrapper in wrappers:
        allowed = isinstance(wrapper, VecNormalize | VecTransposeImage)  # a model transposes pictures by itself
        if not allowed and wrapper.observation_space != lowest.observation_space:
            raise UserError(
                f"agent= sees its environments through {type(wrapper).__name__}, which an evaluation would lack;"
                " wrap each single environment instead (gymnasium.wrappers has the same)"
            )
    recorder = Recorder(lowest, capacity=1)
    if not wrappers:
        return recorder, recorder
    wrappers[-1].venv = recorder
    return recorder, wrappers[0]


def require_same_spaces(recorder: Recorder, env: gymnasium.Env, named: str) -> None:
    """The evaluation makes environments anew, so they must be those that the user's agent acts in."""
    for name in ("observation_space", "action_space"):
        acts_in, has = getattr(recorder, name), getattr(env, name)
        if acts_in != has:
            raise UserError(
                f"agent= acts in an environment with {name} {acts_in}, but env={named!r} has {has}; give its env"
            )
    env.close()
