"""Make the parts of a run from the names in its settings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from prefrl.agents import AGENTS, agent_maker
from prefrl.agents.agent import Agent, torch_device
from prefrl.agents.agent_maker import EXPECTED as OWN_AGENT
from prefrl.config.settings import Config, RewardConfig
from prefrl.core.errors import UserError, brief, pick
from prefrl.core.streams import number, stream
from prefrl.environments.making import MakeEnv, env_maker
from prefrl.environments.native_atari import NativeAtari
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.mechanisms import Mechanism, make_mechanisms
from prefrl.queries.schedules import Schedule
from prefrl.queries.strategies import Score
from prefrl.rewards.controls import ConstantReward, RandomReward, TrueReward
from prefrl.rewards.encoding import INPUTS, Features, Pictures, is_image, pictures_in
from prefrl.rewards.mixed import Mixed
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import ALL_NETWORKS, MIXED_NETWORKS, PICTURE_NETWORKS, default_network
from prefrl.rewards.own_network import EXPECTED as OWN_NETWORK
from prefrl.rewards.own_network import checked
from prefrl.teachers import make_teacher, recorded, synthetic
from prefrl.teachers.replay import Replay
from prefrl.teachers.stored import AnswerFunction, Shuffled


@dataclass(frozen=True)
class Own:
    """The user's own parts, given as objects in place of names."""

    env: MakeEnv | None = None  # () -> gymnasium.Env
    agent: OnPolicyAlgorithm | Callable[[VecEnv], OnPolicyAlgorithm] | None = None  # an SB3 model, or how to make one
    teacher: AnswerFunction | None = None  # queries -> preferences (Q,)
    reward_network: Callable[[Any], nn.Module] | None = None  # number of features, or (C, H, W) -> (N, ...) to (N, 1)
    strategy: Score | None = None  # member returns (E, N, 2) -> scores (N,)
    schedule: Schedule | None = None  # progress in [0, 1] -> share of the budget
    mechanisms: Sequence[Mechanism] = ()  # in addition to those that the settings name

    def __post_init__(self) -> None:
        for m in self.mechanisms:
            if not isinstance(m, Mechanism):
                raise UserError(f"mechanisms= has {brief(m)}; expected objects of subclasses of prefrl.Mechanism")
        for name, part in vars(self).items():
            if name == "mechanisms":
                continue
            if part is not None and not callable(part) and not isinstance(part, OnPolicyAlgorithm):
                raise UserError(
                    f"{name}={brief(part)} is of type {type(part).__name__}; expected a name, or {EXPECTED[name]}"
                )

    def names(self) -> dict[str, str]:
        """Which parts are the user's own, for the run's folder."""
        return {name: repr(part) for name, part in vars(self).items() if part is not None and part != ()}


EXPECTED = {
    "env": "a function that makes a gymnasium.Env",
    "agent": OWN_AGENT,
    "teacher": "a function of queries that gives preferences (Q,)",
    "reward_network": OWN_NETWORK,
    "strategy": "a function of member returns (E, N, 2) that gives scores (N,)",
    "schedule": "a function of progress in [0, 1] that gives the share of the budget asked by then",
}


def maker(config: Config, own: Own, render_mode: str | None = None) -> MakeEnv:
    """How to make one environment."""
    return env_maker(own.env or config.env, render_mode, config.pixels)


def vector_env(config: Config, own: Own) -> VecEnv:
    """The environments of a run, side by side."""
    if not config.pixels.native:
        return make_venv(maker(config, own), config.agent.n_envs)
    if own.env is not None:
        raise UserError("pixels.native is for Atari games by name, and env= is a function; leave one of them out")
    if config.teacher.name == "human" and config.reward.source == "learned":
        raise UserError("people need clips, and with pixels.native none can be drawn; leave it out")
    maker(config, own)().close()  # for the checks that only single environments make
    return NativeAtari(config.env, config.agent.n_envs, config.pixels)


def make_reward_model(config: Config, own: Own, recorder: Recorder) -> RewardModel | TrueReward:
    """The reward model, or the control that replaces it."""
    settings = config.reward
    if learns_itself(config):
        return ConstantReward(0.0)
    if settings.source == "true":
        return TrueReward(settings.scale, settings.raw)
    if settings.source in ("zero", "constant"):
        return ConstantReward(settings.constant if settings.source == "constant" else 0.0)
    features = _features(config, recorder, bool(own.reward_network))
    size = features.size
    network = checked(own.reward_network, size) if own.reward_network else _network(settings, size)
    torch.manual_seed(number(config.seed, "reward"))  # the same networks whatever agent was made before
    device = torch_device(config.agent.device, recorder)
    unlabelled = partial(recorder.cut_segments, config.questions.length)
    make = RandomReward if settings.source == "random" else RewardModel
    model = make(settings, features, network, config.seed, device, unlabelled)
    recorder.context = settings.context if model.ensemble.sequential else 0
    return model


def _features(config: Config, recorder: Recorder, own_network: bool) -> Features | Pictures | Mixed:
    """The reward network's inputs: pictures if observations are pictures, unless a network for vectors was named."""
    space, inputs = recorder.observation_space, config.reward.inputs
    name = "auto" if own_network else config.reward.network
    if isinstance(space, spaces.Dict) and pictures_in(space) and name in ("auto", *MIXED_NETWORKS):
        if "observation" in pick(INPUTS, inputs, "reward input"):
            return Mixed(space, recorder.action_space, inputs)
    elif name in MIXED_NETWORKS:
        raise UserError(f"reward.network={name!r} is for a Dict with pictures in it, and observations are {space};"
                        " leave it at auto")  # fmt: skip
    kind = Pictures if name in PICTURE_NETWORKS or (name == "auto" and is_image(space)) else Features
    return kind(space, recorder.action_space, inputs)


def _network(settings: RewardConfig, size: int | tuple[int, ...]) -> Callable[[Any], nn.Module]:
    name = default_network(size) if settings.network == "auto" else settings.network
    named = pick(ALL_NETWORKS, name, "reward network")[0]

    def make(size: int | tuple[int, ...]) -> nn.Module:
        try:
            return named(size, hidden=settings.hidden)
        except RuntimeError as fault:  # convolutions that leave nothing of a picture
            raise UserError(
                f"reward.network={name!r} cannot take pictures of shape {size} ({fault}); choose"
                " small_cnn, or larger pictures (--pixels.size)"
            ) from fault

    return make


def make_answer_function(config: Config, own: Own, recorder: Recorder) -> tuple[str, AnswerFunction]:
    """The labeller's name under which answers are stored, and the function that answers."""
    t, rng = config.teacher, stream(config.seed, "teacher")
    if own.teacher is not None:
        name, function = getattr(own.teacher, "__name__", type(own.teacher).__name__), own.teacher
    else:
        name = t.name
        named = partial(
            make_teacher, beta=t.beta, gamma=t.gamma, mistake=t.mistake, skip=t.skip, equal=t.equal, units=t.units,
            rng=rng, recent_return=recorder.recent_return,
        )  # fmt: skip
        function = named(t.name) if not recorded(t.name) else Replay(named("oracle") if t.unknown == "oracle" else None)
    if config.reward.source == "shuffled":
        if not synthetic(t.name):
            raise UserError("reward.source='shuffled' deals answers out as they are given; people give them later")
        return f"shuffled {name}", Shuffled(function, config.seed)
    return name, function


def make_agent(config: Config, own: Own) -> Agent:
    """The agent in its environments, with its mechanisms."""
    mechanisms = make_mechanisms(config, own.mechanisms)
    return agent_maker.make_agent(config, own.agent, maker(config, own), partial(vector_env, config, own), mechanisms)


def check_parts(config: Config) -> None:
    """Make agent and reward model once, with few environments, so that errors come before the run starts."""
    few = min(2, config.agent.n_envs)
    megabytes = config.record.memory_mb * few / config.agent.n_envs
    small = replace(config, agent=replace(config.agent, n_envs=few), record=replace(config.record, memory_mb=megabytes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will warn
        recorder = make_agent(small, Own()).memory
        make_reward_model(small, Own(), recorder)
    recorder.close()


def learns_itself(config: Config) -> bool:
    """Whether the agent learns from feedback directly, without a reward model."""
    return pick(AGENTS, config.agent.algorithm, "agent.algorithm").learns


def asks(config: Config) -> bool:
    """Whether the run asks questions: controls other than `shuffled` ask none."""
    return (config.reward.source in ("learned", "shuffled") or learns_itself(config)) and config.questions.budget > 0
