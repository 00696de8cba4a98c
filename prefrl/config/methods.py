"""Presets: methods by name, each a few settings on top of the defaults, which follow Christiano et al. 2017."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefrl.config.settings import Config, Values
from prefrl.config.values import dotted, read, update
from prefrl.core.errors import pick


@dataclass(frozen=True)
class Method:
    """A named configuration and a line for `prefrl list`."""

    about: str
    settings: Values


DEFAULT = "christiano"
PRESETS: dict[str, Method] = {
    DEFAULT: Method("preferences after Christiano et al. 2017, the default: all settings at their defaults", {}),
    "christiano-paper": Method(
        "the same with the paper's own choices where ours differ: reward of observation and action, no cost of bounds",
        {
            "reward.inputs": "both",
            "reward.change_scale": 1.0,
            "reward.action_scale": 1.0,
            "agent.bounds": 0.0,
            "questions.length": 30,
        },
    ),
    "christiano-atari": Method(
        "the same with the paper's choices for Atari: A2C, no sticky actions, its schedule and number of environments",
        {
            "steps": 50_000_000,
            "pixels.atari": "paper",
            "agent.algorithm": "a2c",
            "agent.n_envs": 16,
            "agent.n_steps": 5,
            "agent.learning_rate": 7e-4,
            "agent.ent_coef": 0.01,
            "reward.network": "cnn",
            "reward.inputs": "observation",
            "questions.initial": 0.09,
        },
    ),
    "uniform": Method(
        "random pairs instead of those that the ensemble disagrees on", {"questions.strategy": "uniform"}
    ),
    "bpref": Method(
        "after PrefPPO of B-Pref (Lee et al. 2021): its network, segments and schedule, in our fitting recipe",
        {
            "reward.network": "tanh_mlp",
            "reward.hidden": (256, 256, 256),
            "reward.inputs": "both",
            "reward.change_scale": 1.0,
            "reward.action_scale": 1.0,
            "reward.learning_rate": 3e-4,
            "reward.error": 0.0,
            "reward.bootstrap": False,
            "questions.length": 50,
            "questions.schedule": "constant",
            "teacher.units": "bpref",
        },
    ),  # fmt: skip
    "human": Method(
        "people answer, on a page in the browser that opens with the run; training waits for them",
        {
            "teacher.name": "human",
            "teacher.wait": 12,
            "teacher.lag": 6,
            "questions.budget": 60,
            "questions.until": 0.8,
            "questions.length": 30,
        },
    ),
    "true": Method(
        "control: the environment's own reward, as plain SB3 is paid", {"reward.source": "true", "reward.raw": True}
    ),
    "true-scaled": Method("control: the same at the spread of a learned reward", {"reward.source": "true"}),
    "zero": Method("control: no reward at all", {"reward.source": "zero"}),
    "constant": Method("control: the same reward for every step", {"reward.source": "constant"}),
    "random": Method("control: an untrained reward model", {"reward.source": "random"}),
    "shuffled": Method(
        "control: the whole pipeline with answers permuted; what it learns is a leak", {"reward.source": "shuffled"}
    ),
}

NOVEL: Values = {  # effect of each: experiments/novel_search.py
    "steps": 500_000,
    "agent.gamma": 0.995,  # both and an entropy bonus: Christiano et al. 2017, appendix A.1
    "agent.gae_lambda": 0.97,
    "agent.ent_coef": 0.03,  # without it the policy settles on lying on the floor before the reward model knows better
    "questions.budget": 900,
    "questions.length": 15,
    "questions.schedule": "constant",  # the behaviour comes late, and needs questions then
}
TUNED: dict[str, Values] = {
    "prefrl/HopperBackflip-v0": NOVEL,
    "prefrl/HalfCheetahOneLeg-v0": NOVEL,
    "Pendulum-v1": {"agent.gamma": 0.9},  # RL Zoo's
    "prefrl/Dot-v0": {
        "steps": 40_000,
        "agent.n_steps": 128,
        "agent.batch_size": 256,
        "agent.n_epochs": 8,
        "agent.learning_rate": 5e-4,
        "agent.gamma": 0.9,
        "agent.ent_coef": 0.02,  # without it the policy converges before it has seen every place, on the true reward too
        "agent.hidden": (),
        "questions.budget": 100,
        "questions.length": 10,
    },
    "ALE/*": {
        "steps": 10_000_000,
        "agent.n_steps": 128,  # the agent: RL Zoo's for Atari
        "agent.batch_size": 256,
        "agent.n_epochs": 4,
        "agent.learning_rate": 2.5e-4,
        "agent.anneal": 1.0,
        "agent.clip_range": 0.1,
        "agent.ent_coef": 0.01,
        "agent.hidden": (),
        "agent.endless": True,  # the rest: Christiano et al. 2017, appendix A.2
        "questions.budget": 5500,
        "questions.length": 25,
        "reward.network": "nature",  # one member has .93 accuracy on unseen pairs of Pong after 1,000 answers, the paper's cnn .84
        "reward.hidden": (64,),
        "reward.batch_size": 16,
        "reward.patience": 25,  # dropout makes progress unsteady: with 4 a fit to Pong ended at .65 accuracy, not .84
        "reward.refit": 0.1,  # a fit to pictures is expensive
        "reward.scale": 0.05,
    },
}
"""Settings for environments, applied below the user's own. A name that ends in * is for all that begin so."""


def tuned(env: str) -> Values:
    """The settings tuned for an environment."""
    begins = (name for name in TUNED if name.endswith("*") and env.startswith(name[:-1]))
    return TUNED.get(env) or TUNED.get(next(begins, ""), {})


def preset(name: str, env: str | None = None) -> Config:
    """A method's configuration, on top of the settings tuned for an environment."""
    method = pick(PRESETS, name, "preset")
    config = Config() if env is None else update(Config(env=env), tuned(env))
    return update(config, method.settings)


def compose(file: Path | str | None, name: str | None = None, env: str | None = None) -> tuple[str, Config]:
    """The preset's name and the configuration: tuned settings, then the preset, then a YAML file, each on top.

    The file may name preset and environment too; the arguments take precedence.
    """
    settings = read(file) if file else {}
    named = settings.pop("preset", None) or DEFAULT
    name = name or ("true" if named is True else str(named))  # YAML reads `true` as yes
    env = env or dotted(settings).get("env", Config.env)
    base = preset(name, env if isinstance(env, str) else None)  # another type is refused below
    return name, update(base, settings, str(file or ""))
