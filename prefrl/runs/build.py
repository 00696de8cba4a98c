"""Names become objects here, and only here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from prefrl.environments.making import MakeEnv, env_maker
from prefrl.environments.native_atari import NativeAtari
from prefrl.agents.own_model import insert_recorder, refuse_moving_scale, require_same_spaces
from prefrl.environments.recorder import Recorder
from prefrl.environments.ring import steps_that_fit
from prefrl.agents.small_cnn import LEAST, SmallCNN
from prefrl.environments.vector import make_venv
from prefrl.config.settings import AgentConfig, Config, RewardConfig
from prefrl.core.errors import UserError, brief, pick
from prefrl.queries.schedules import Schedule
from prefrl.queries.strategies import Score
from prefrl.rewards.controls import ConstantReward, RandomReward, TrueReward
from prefrl.rewards.encoding import Features
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import ALL_NETWORKS, PICTURE_NETWORKS, default_network
from prefrl.rewards.own_network import EXPECTED as OWN_NETWORK
from prefrl.rewards.own_network import checked
from prefrl.rewards.pictures import Pictures, is_image
from prefrl.core.streams import number, stream
from prefrl.teachers import make_teacher, recorded, synthetic
from prefrl.teachers.stored import AnswerFunction, Shuffled
from prefrl.teachers.replay import Replay

Model = OnPolicyAlgorithm


@dataclass(frozen=True)
class Own:
    """Parts that the user brings along instead of naming ours."""

    env: MakeEnv | None = None  # () -> gymnasium.Env
    agent: Model | Callable[[VecEnv], Model] | None = None  # an SB3 on-policy model, or how to make one
    teacher: AnswerFunction | None = None  # queries -> preferences (Q,)
    reward_network: Callable[[Any], nn.Module] | None = None  # number of features, or (C, H, W) -> (N, ...) to (N, 1)
    strategy: Score | None = None  # member returns (E, N, 2) -> scores (N,)
    schedule: Schedule | None = None  # progress in [0, 1] -> share of the budget

    def __post_init__(self) -> None:
        for name, part in vars(self).items():
            if part is not None and not callable(part) and not isinstance(part, OnPolicyAlgorithm):
                raise UserError(
                    f"{name}={brief(part)} is of type {type(part).__name__}; expected a name, or {EXPECTED[name]}"
                )

    def names(self) -> dict[str, str]:
        """Which parts are the user's own, for the run's folder."""
        return {name: repr(part) for name, part in vars(self).items() if part is not None}


EXPECTED = {
    "env": "a function that makes a gymnasium.Env",
    "agent": "a Stable-Baselines3 on-policy model (PPO, A2C), or a function of a VecEnv that makes one",
    "teacher": "a function of queries that gives preferences (Q,)",
    "reward_network": OWN_NETWORK,
    "strategy": "a function of member returns (E, N, 2) that gives scores (N,)",
    "schedule": "a function of progress in [0, 1] that gives the share of the budget asked by then",
}


def maker(config: Config, own: Own, render_mode: str | None = None) -> MakeEnv:
    """How to make one environment."""
    return env_maker(own.env or config.env, render_mode, config.pixels)


def _seed_at(seed: int, step: int) -> int:
    return number(seed, "environment", step)


def make_recorded_agent(config: Config, own: Own) -> tuple[Model, Recorder]:
    """The SB3 model and the recorder that sits directly above its environments."""
    if isinstance(own.agent, OnPolicyAlgorithm):
        model = own.agent
        recorder, venv = insert_recorder(model.get_env())
        model.set_env(venv)
        require_same_spaces(recorder, maker(config, own)(), config.env)
    else:
        recorder = Recorder(vector_env(config, own), capacity=1)
        set_random_seed(config.seed)  # the user's function may not pass a seed
        model = own.agent(recorder) if own.agent else make_agent(config.agent, recorder, config.seed)
        if not isinstance(model, OnPolicyAlgorithm):
            raise UserError(f"agent= gave {type(model).__name__}; expected {EXPECTED['agent']}")
    refuse_moving_scale(model.get_env())
    recorder.endless = config.agent.endless
    recorder.seed_at = partial(_seed_at, config.seed)
    recorder.memory.resize(_capacity(config, recorder, model.n_steps))
    return model, recorder


def vector_env(config: Config, own: Own) -> VecEnv:
    """The environments of a run, side by side."""
    if not config.pixels.native:
        return make_venv(maker(config, own), config.agent.n_envs)
    if own.env is not None:
        raise UserError("pixels.native is for Atari games by name, and env= is a function; leave one of them out")
    if config.teacher.name == "human" and config.reward.source == "learned":
        raise UserError("people need clips, and with pixels.native none can be drawn; leave it out")
    maker(config, own)().close()  # with the errors and the ways out of environments that step one by one
    return NativeAtari(config.env, config.agent.n_envs, config.pixels)


def _capacity(config: Config, recorder: Recorder, n_steps: int) -> int:
    """Steps per environment that the recorder remembers."""
    fits = steps_that_fit(config.record.memory_mb, recorder)
    least = max(n_steps, config.questions.length + 1) + recorder.memory.history
    if fits < least:
        raise UserError(
            f"record.memory_mb={config.record.memory_mb:g} holds {fits} steps of each environment; a rollout and a"
            f" segment need {least}. Raise it"
        )
    return min(fits, max(least, -(-config.steps // recorder.num_envs) + n_steps + recorder.memory.history))


AGENTS: dict[str, tuple[Callable[..., Model], str]] = {
    "ppo": (PPO, "Proximal Policy Optimisation (Stable-Baselines3)"),
    "a2c": (A2C, "Advantage Actor-Critic (Stable-Baselines3)"),
}


def make_agent(settings: AgentConfig, venv: VecEnv, seed: int) -> Model:
    """An SB3 model from settings."""
    s = settings
    cls = pick(AGENTS, s.algorithm, "agent.algorithm")[0]
    rate: Any = (lambda left: s.learning_rate * min(1.0, left / s.anneal)) if s.anneal else s.learning_rate
    policy, kwargs = _policy(s, venv)
    only_ppo = {"batch_size": s.batch_size, "n_epochs": s.n_epochs, "clip_range": s.clip_range} if cls is PPO else {}
    device = torch_device(s.device, venv)
    if cls is PPO:
        kwargs["optimizer_kwargs"] = {"fused": True}  # Adam in one call, which takes a tenth off PPO's updates
    try:
        return cls(
            policy, venv, learning_rate=rate, n_steps=s.n_steps, gamma=s.gamma, gae_lambda=s.gae_lambda,
            ent_coef=s.ent_coef, vf_coef=s.vf_coef, max_grad_norm=s.max_grad_norm,
            policy_kwargs=kwargs, seed=seed, device=device, **only_ppo,
        )  # fmt: skip
    except (ValueError, AssertionError, MemoryError) as fault:  # what SB3 raises for spaces, policies and sizes
        raise UserError(f"{s.algorithm.upper()} with agent.policy={policy!r} cannot be made here: {fault}") from fault


def _policy(settings: AgentConfig, venv: VecEnv) -> tuple[str, dict[str, Any]]:
    """SB3's name of the policy, and its keyword arguments."""
    pictures, kwargs = is_image(venv.observation_space), {"net_arch": list(settings.hidden)}
    name = settings.policy if settings.policy != "auto" else "CnnPolicy" if pictures else "MlpPolicy"
    if name == "CnnPolicy" and pictures and sorted(venv.observation_space.shape or ())[1] < LEAST:
        kwargs["features_extractor_class"] = SmallCNN  # type: ignore[assignment]
    return name, kwargs


def torch_device(name: str, venv: VecEnv) -> torch.device:
    """Where networks live. `auto`: on a GPU for pictures if there is one; small networks are faster on a CPU."""
    if name == "auto":
        return torch.device("cuda" if is_image(venv.observation_space) and torch.cuda.is_available() else "cpu")
    try:  # SB3 falls back to the CPU without a word where there is no such GPU
        there = torch.zeros(1, device=name)
        there.cpu()  # fails where a device keeps no numbers
        return there.device
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        raise UserError(f"agent.device={name!r} cannot be used here: {str(fault).splitlines()[0]}; use cpu") from fault


def make_reward_model(config: Config, own: Own, recorder: Recorder) -> RewardModel | TrueReward:
    """The reward model, or the control that stands in its place."""
    settings = config.reward
    if settings.source == "true":
        return TrueReward(settings.scale, settings.raw)
    if settings.source in ("zero", "constant"):
        return ConstantReward(settings.constant if settings.source == "constant" else 0.0)
    features = _features(config, recorder, bool(own.reward_network))
    size = features.size
    network = checked(own.reward_network, size, settings) if own.reward_network else _network(settings, size)
    torch.manual_seed(number(config.seed, "reward"))  # the same networks whatever agent was made before
    device = torch_device(config.agent.device, recorder)
    model = RewardModel(settings, features, network, config.seed, device)
    return RandomReward(model) if settings.source == "random" else model


def _features(config: Config, recorder: Recorder, own_network: bool) -> Features | Pictures:
    """What reward networks see: pictures where observations are pictures, unless a network for vectors was named."""
    name, image = config.reward.network, is_image(recorder.observation_space)
    wants = name in PICTURE_NETWORKS if name != "auto" and not own_network else image
    kind = Pictures if wants else Features
    return kind(recorder.observation_space, recorder.action_space, config.reward.inputs)


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


def make_judge(config: Config, own: Own, recorder: Recorder) -> tuple[str, AnswerFunction]:
    """Who answers, and the name under which answers are kept."""
    t, rng = config.teacher, stream(config.seed, "teacher")
    if own.teacher is not None:
        name, judge = getattr(own.teacher, "__name__", type(own.teacher).__name__), own.teacher
    else:
        name = t.name
        named = partial(
            make_teacher, beta=t.beta, gamma=t.gamma, mistake=t.mistake, skip=t.skip, equal=t.equal, units=t.units,
            rng=rng, recent_return=recorder.recent_return,
        )  # fmt: skip
        judge = named(t.name) if not recorded(t.name) else Replay(named("oracle") if t.unknown == "oracle" else None)
    if config.reward.source == "shuffled":
        if not synthetic(t.name):
            raise UserError("reward.source='shuffled' deals answers out as they are given; people give them later")
        return f"shuffled {name}", Shuffled(judge, config.seed)
    return name, judge


def check_parts(config: Config) -> None:
    """Make agent and reward model once, with few environments, and throw them away: what cannot be made is said now."""
    few = min(2, config.agent.n_envs)
    megabytes = config.record.memory_mb * few / config.agent.n_envs
    small = replace(config, agent=replace(config.agent, n_envs=few), record=replace(config.record, memory_mb=megabytes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will say it
        _, recorder = make_recorded_agent(small, Own())
        make_reward_model(small, Own(), recorder)
    recorder.close()


def asks(config: Config) -> bool:
    """Whether the run has anything to ask: controls other than `shuffled` have not."""
    return config.reward.source in ("learned", "shuffled") and config.questions.budget > 0


def total_steps(config: Config, of: Model | AgentConfig) -> int:
    """SB3 acts in whole rollouts: the steps of the run, rounded up."""
    rollout = of.n_steps * of.n_envs
    return -(-config.steps // rollout) * rollout


def cut_every(config: Config, of: Model | AgentConfig) -> int | None:
    """Steps of each environment between checkpoints, at which episodes are cut; None if there are to be none."""
    if not config.record.checkpoints:
        return None
    rollouts = total_steps(config, of) // (of.n_steps * of.n_envs)
    return max(1, rollouts // config.record.checkpoints) * of.n_steps
