"""Gymnasium's BipedalWalker made reproducible: episodes do not depend on what came before the reset."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


class FreshWorld(gym.Wrapper):
    """Gives the walker a new Box2D world at each reset.

    Gymnasium empties the old one instead, and Box2D's solver goes through contacts in an order that depends
    on earlier episodes: the same seed and actions then differ in the last digits, and soon in all. LunarLander was fixed in
    Gymnasium itself.
    """

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        walker: Any = self.env.unwrapped
        walker._destroy()  # frees the bodies in the old world; nothing is left for Gymnasium to free
        walker.world = type(walker.world)()
        return self.env.reset(**how)


def with_fresh_world(env: gym.Env) -> gym.Env:
    """The environment, wrapped if it is a BipedalWalker."""
    kinds = {(kind.__module__, kind.__name__) for kind in type(env.unwrapped).__mro__}
    return FreshWorld(env) if ("gymnasium.envs.box2d.bipedal_walker", "BipedalWalker") in kinds else env
