"""A cart whirls its pole round like a windmill, between two walls.

Gymnasium knows only the pole that must not fall. The scripted oracle counts turns: clockwise, per second.

The pole starts upright, so its fall begins the first turn, and the hinge has friction, so that turning on takes work in
step with the pole. Without friction a policy that had learned nothing kept up 1.5 turns a second. With it, one may
still turn by accident, either way round: PPO on a zero reward returned 16 and -314 (true reward: 507 and 507).
"""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from envs.steps import Info, Reset, Step

MAX_SPIN = 4 * np.pi  # [rad/s] two turns a second; the integration is no longer accurate far above
MAX_SPEED = 10.0  # [m/s]
FRICTION = 0.5  # [1/s] the share of its spin that the hinge takes per second


class CartPoleWindmill(CartPoleEnv):
    """Observation (5,): position [m], speed [m/s], cos and sin of the angle (0 = up), angular speed [rad/s].

    Action: 0 pushes left, 1 right. Reward: clockwise turns per second, in [-2, 2]. The walls at +-2.4 m stop the cart.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.kinematics_integrator = "semi-implicit euler"  # the explicit one adds energy: a pole spins up by itself
        high = np.array([self.x_threshold, MAX_SPEED, 1.0, 1.0, MAX_SPIN], dtype=np.float32)
        self.observation_space = spaces.Box(-high, high)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> Reset:
        super().reset(seed=seed, options=options)
        return self._observation(), {}

    def step(self, action: int | np.ndarray) -> Step:
        super().step(action)
        self.steps_beyond_terminated = None  # nothing has ended, so nothing to warn about
        self._rub_and_stop_at_walls()
        spin = float(self._state()[3])
        return self._observation(), spin / (2 * np.pi), False, False, {}

    def _state(self) -> np.ndarray:
        assert self.state is not None  # Gymnasium's step has checked it
        return self.state

    def _rub_and_stop_at_walls(self) -> None:
        position, speed, angle, spin = self._state()
        spin *= 1 - FRICTION * self.tau
        if abs(position) > self.x_threshold:
            position, speed = np.clip(position, -self.x_threshold, self.x_threshold), 0.0
        speed, spin = np.clip(speed, -MAX_SPEED, MAX_SPEED), np.clip(spin, -MAX_SPIN, MAX_SPIN)
        self.state = np.array([position, speed, angle, spin])

    def _observation(self) -> np.ndarray:
        position, speed, angle, spin = self._state()
        return np.array([position, speed, np.cos(angle), np.sin(angle), spin], dtype=np.float32)
