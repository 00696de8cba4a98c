"""Redraw a segment: replay its actions and render each state; a replay that is not bit for bit the same is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import gymnasium as gym
import numpy as np

from prefrl.core.data import Origin, Segments
from prefrl.core.errors import UserError
from prefrl.core.frames import stacked
from prefrl.core.observations import PLAIN, parts
from prefrl.environments.making import MakeEnv
from prefrl.environments.origins import reopen
from prefrl.rendering.drawing import close, drawn, draws_in_software, fps_of, picture_of, simplify
from prefrl.rendering.sheets import shrinkage, shrunk

FADING = 10  # pictures after which Gymnasium's lunar lander has forgotten its exhaust, which ages when it is drawn


class Unfaithful(UserError):
    """A segment's replay differs from its recording."""


def redraw(make_env: MakeEnv, segment: Segments, origin: Origin | None) -> np.ndarray:
    """The frames of one segment, (T + 1, H, W, 3) uint8. segment: no batch axis; make_env: with rgb_array rendering"""
    with closing(Redrawer(make_env)) as redrawer:
        return redrawer.redraw(segment, origin)


class Redrawer:
    """An environment in which segments are replayed and rendered."""

    def __init__(self, make_env: MakeEnv):
        self.make_env = make_env
        self.single = False  # make an environment for every segment: a reused one has differed
        self.used = False
        self.env = drawn(make_env)
        try:
            _render_once(self.env)
        except UserError:
            close(self.env)
            raise
        self.simple = draws_in_software(self.env)  # whether MuJoCo renders with the cheap settings of `simplify`
        if self.simple:
            self._renew()
        self.fps = fps_of(self.env)

    def redraw(self, segment: Segments, origin: Origin | None) -> np.ndarray:
        """The frames of one segment, (T + 1, H, W, 3) uint8, so small that they fit on a sheet."""
        if self.used and self.single:
            self._renew()
        used, self.used = self.used, True
        try:
            return self._frames(segment, origin)
        except Unfaithful:
            if not used or origin is None:
                raise
        self._renew()
        frames = self._frames(segment, origin)
        self.used = self.single = True
        return frames

    def close(self) -> None:
        close(self.env)

    def _frames(self, segment: Segments, origin: Origin | None) -> np.ndarray:
        frames, factor = np.zeros(0, np.uint8), 1
        lead = FADING if hasattr(self.env.unwrapped, "particles") else 0
        for step in replay(self.env, segment, origin, lead):
            frame = picture_of(self.env)
            if step < 0:
                continue
            if step == 0:
                factor = shrinkage(segment.length + 1, *frame.shape[:2])
                frames = np.empty((segment.length + 1, *shrunk(frame, factor).shape), np.uint8)
            frames[step] = shrunk(frame, factor)
        return frames

    def _renew(self) -> None:
        close(self.env)
        self.env, self.used = drawn(self.make_env), False
        if self.simple:
            simplify(self.env)
        _render_once(self.env)


def replay(env: gym.Env, segment: Segments, origin: Origin | None, lead: int = 0) -> Iterator[int]:
    """Bring the environment to each of the segment's T + 1 states in turn. Raises Unfaithful where one differs.

    Yields the step of each; up to `lead` states before the segment come first, as negative steps.
    """
    if origin is None:
        raise Unfaithful("how its episode began is no longer known, so it cannot be drawn")
    try:
        yield from _states(env, segment, origin, lead)
    except UserError:
        raise
    except Exception as fault:  # an environment in another state than recorded may raise anything
        raise Unfaithful(f"the environment raised {fault!r} when the segment was acted again") from fault


def _states(env: gym.Env, segment: Segments, origin: Origin, lead: int) -> Iterator[int]:
    observation, over = reopen(env, origin.opening), False
    for age, action in enumerate(origin.actions):
        if over:
            raise Unfaithful(f"the episode ended after {age} steps, {len(origin.actions)} came before the segment")
        if age >= len(origin.actions) - lead:
            yield age - len(origin.actions)
        observation, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    recorded = {  # as the environment gave it: (T + 1, *obs)
        key: stacked(np.asarray(part), segment.history_of(part), time_axis=0)
        for key, part in parts(segment.observations).items()
    }
    for step, action in enumerate([*segment.actions.astype(origin.actions.dtype), None]):
        for key, part in recorded.items():
            name = f"observation {step}" if key == PLAIN else f"observation {step}, {key!r},"
            _compare(parts(observation)[key], part[step], name)
        yield step
        if action is not None:
            if over:
                raise Unfaithful(f"the episode ended at step {step} of the segment's {segment.length}")
            observation, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated


def _compare(observed: object, recorded: np.ndarray, name: str) -> None:
    """Bit for bit, so that NaN equals NaN and a change in the last digit counts."""
    again = np.empty(recorded.shape, recorded.dtype)
    again[...] = observed  # the cast that the recorder's memory made
    if again.tobytes() != recorded.tobytes():
        different = np.flatnonzero(again.ravel() != recorded.ravel())
        where = int(different[0]) if len(different) else 0
        raise Unfaithful(
            f"acted again, {name} differs in {len(different)} of {recorded.size} places: place {where} is"
            f" {again.ravel()[where]!r}, recorded was {recorded.ravel()[where]!r}"
        )


def _render_once(env: gym.Env) -> None:
    """Draw one state, always the same: a free camera keeps looking at what it saw first."""
    env.reset(seed=0)
    picture_of(env)
