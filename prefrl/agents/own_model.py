"""The user's own SB3 model: insert the recorder below its wrappers, and refuse wrappers that would change the reward."""

from __future__ import annotations

import gymnasium
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize, VecTransposeImage

from prefrl.core.errors import UserError
from prefrl.environments.recorder import Recorder


def insert_recorder(venv: VecEnv | None) -> tuple[Recorder, VecEnv]:
    """Put a recorder below all wrappers of a model's environments; one from an earlier run is removed."""
    if venv is None:
        raise UserError("agent= has no environment; make it with one: PPO('MlpPolicy', env)")
    wrappers = []
    lowest = venv
    while isinstance(lowest, VecEnvWrapper):
        if not isinstance(lowest, Recorder):
            wrappers.append(lowest)
        lowest = lowest.venv
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


def refuse_moving_scale(venv: VecEnv | None) -> None:
    """Raise UserError for wrappers that rescale the learned reward."""
    while isinstance(venv, VecEnvWrapper):
        if isinstance(venv, VecNormalize) and venv.norm_reward:
            raise UserError(
                "VecNormalize(norm_reward=True) rescales a reward that the reward model has standardised; set it to False"
            )
        venv = venv.venv
