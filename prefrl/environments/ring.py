"""What every environment of a vector did last: steps go in, rollouts and segments come out."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from prefrl.core.data import Segments
from prefrl.core.frames import Frames

BLOCK = 256  # steps that wait to be written into the arrays at once: writing each by itself costs ten times as much
BLOCK_BYTES = 16 * 2**20  # of observations that wait, at most


@dataclass(frozen=True)
class Rollout:
    """The last n steps of all environments."""

    observations: np.ndarray  # (n, n_envs, *obs)
    actions: np.ndarray  # (n, n_envs, *act) as executed
    next_observations: np.ndarray  # (n, n_envs, *obs) the true successor, also at an episode's end
    true_rewards: np.ndarray  # (n, n_envs)
    finished: np.ndarray  # (n, n_envs) whether a whole episode ended with the step, one that was not cut short
    begins: np.ndarray  # (n, n_envs) whether an episode began with the step, or what is remembered does
    earlier: Rollout | None = None  # the steps just before these, where somebody looks at sequences

    def __getitem__(self, steps: slice) -> Rollout:
        arrays = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "earlier"}
        return Rollout(**{name: array[steps] for name, array in arrays.items()})


class Ring:
    """The last `capacity` steps of each environment, in arrays that are allocated once.

    Of observations that are stacks of frames only the newest frame is kept, and the stack is put together again when it
    is read.
    """

    def __init__(self, venv: VecEnv, capacity: int, copies: bool = True):
        """copies: whether the arrays that are pushed may change afterwards"""
        self.n_envs, self.copies = venv.num_envs, copies
        self.observation_space, self.action_space = venv.observation_space, venv.action_space
        self.frame, self.history = frame_of(venv)  # (*frame), and how many older ones an observation shows
        self.steps = 0  # steps each environment has taken in this run
        self.oldest = 0  # the first step still remembered
        self._first_frame = 0  # the first step whose newest frame is: an older one, for the history of the oldest
        self.now: np.ndarray = np.zeros(0)  # (n_envs, *obs) what is seen after the last step
        self._block: list[tuple[np.ndarray, ...]] = []  # the last steps, not in the arrays yet
        self._last: dict[tuple[int, int], np.ndarray] = {}  # (step, env) -> the observation that ended an episode
        self.returns = np.zeros(self.n_envs)  # of the running episodes
        self.ages = np.zeros(self.n_envs, int)  # their steps
        self.resize(capacity)

    def resize(self, capacity: int) -> None:
        """Allocate memory for `capacity` steps of each environment; what was remembered is forgotten."""
        shape = (capacity, self.n_envs)
        self.capacity = capacity
        self.observations = np.zeros((*shape, *self.frame), self.observation_space.dtype)
        self.actions = allocate(shape, self.action_space)
        self.true_rewards = np.zeros(shape, np.float32)
        self.dones = np.zeros(shape, bool)  # no segment goes on after these
        self.finishes = np.zeros(shape, bool)  # those of them that the environment ended itself
        one = self.observations[:1].nbytes
        self._block_size = max(1, min(BLOCK, capacity, BLOCK_BYTES // max(1, one)))

    def push(self, actions: np.ndarray, rewards: np.ndarray, dones: np.ndarray, seen: np.ndarray) -> None:
        """A step of all environments, and what is seen after it."""
        block = (self._newest(self.now), actions, rewards, dones)
        self._block.append(tuple(map(np.array, block)) if self.copies else block)
        self.steps += 1
        self.now = seen
        if len(self._block) >= self._block_size:
            self.settle()

    def _newest(self, observations: np.ndarray) -> np.ndarray:
        """The newest frames of stacked observations, copied out of them: (n_envs, *obs) -> (n_envs, *frame)"""
        return observations[:, -self.frame[0] :].copy() if self.history else observations

    def settle(self) -> None:
        """Write the last steps into the arrays. Whoever reads the arrays calls it first, and where an episode ends."""
        if not self._block:
            return
        seen, acted, rewards, dones = map(np.stack, zip(*self._block, strict=True))
        at = np.arange(self.steps - len(self._block), self.steps) % self.capacity
        self._block = []
        self.observations[at], self.actions[at] = seen, acted
        self.true_rewards[at], self.dones[at], self.finishes[at] = rewards, dones, dones
        self.returns += rewards.sum(0, dtype=float)  # no episode ends within a block
        self.ages += len(at)
        if self.steps - self.capacity > self._first_frame:
            self._first_frame = self.steps - self.capacity
            self.oldest = max(self.oldest, self._first_frame + self.history)
        if at[-1] < len(at):  # the ring began anew
            self._last = {key: value for key, value in self._last.items() if key[0] >= self.oldest}

    def end_episode(self, env: int, observation: np.ndarray) -> tuple[float, int]:
        """With the last step, which is settled, an episode ended on this observation. Returns its true return and length."""
        self._last[(self.steps - 1, env)] = self._newest(observation[None])[0]
        ended = float(self.returns[env]), int(self.ages[env])
        self.returns[env], self.ages[env] = 0, 0
        return ended

    def break_off(self) -> None:
        """End the running episodes in memory: what follows a reset does not follow from what came before."""
        self.settle()
        self.returns[:], self.ages[:] = 0, 0
        if self.steps == self.oldest:
            return
        at = (self.steps - 1) % self.capacity
        for env in np.flatnonzero(~self.dones[at]):
            self._last[(self.steps - 1, int(env))] = self._newest(self.now[env : env + 1])[0].copy()
        self.dones[at] = True

    def begin_at(self, steps: int) -> None:
        """Go on as if so many steps had been taken, all of which are forgotten. The next one begins an episode."""
        self.settle()
        self.steps = self.oldest = self._first_frame = steps
        self._last.clear()

    def latest(self, n: int, context: int = 0) -> Rollout:
        """The last n steps: arrays (n, n_envs, ...). context: so many steps before them, if remembered, are `earlier`."""
        self.settle()
        context = max(0, min(context, self.steps - n - self.oldest))
        found = self._rollout(np.arange(self.steps - n - context, self.steps))
        return replace(found[context:], earlier=found[:context]) if context else found

    def _rollout(self, steps: np.ndarray) -> Rollout:
        """These steps, up to the last."""
        at = steps % self.capacity
        before, after = self._seen(steps)
        for (step, env), observation in reversed(self._last.items()):  # in the order of steps: the newest first
            if step < steps[0]:
                break
            if self.history:
                observation = np.concatenate([before[step - steps[0], env][len(observation) :], observation])
            after[step - steps[0], env] = observation
        begins = self.dones[(steps - 1) % self.capacity] | (steps <= self.oldest)[:, None]
        return Rollout(before, self.actions[at], after, self.true_rewards[at], self.finishes[at], begins)

    def _seen(self, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Observations before these consecutive steps and, but for the last ones of episodes, after: (n, n_envs, *obs)"""
        if not self.history:
            before = self.observations[steps % self.capacity]
            return before, np.concatenate([before[1:], self.now[None]])
        places = self._shown_at(steps[:, None], np.arange(self.n_envs))  # (n, n_envs, history + 1)
        frames = self.observations[places % self.capacity, np.arange(self.n_envs)[:, None]]
        before = frames.reshape(*frames.shape[:2], *self.observation_space.shape)  # type: ignore[misc]
        return before, np.concatenate([before[1:], self.now[None]])

    def _shown_at(self, steps: np.ndarray, envs: np.ndarray) -> np.ndarray:
        """Which steps' newest frames make up the observations before these steps, the newest last: (..., history + 1)"""
        places = [steps + 0 * envs]
        for _ in range(self.history):  # an episode's first frame stands in for those before it
            before = places[-1] - 1
            begins = (before < self._first_frame) | self.dones[before % self.capacity, envs]
            places.append(np.where(begins, places[-1], before))
        return np.stack(places[::-1], axis=-1)

    def stretches(self, since: int, envs: int) -> list[tuple[int, int, int]]:
        """Remembered stretches of single episodes of the first environments as (env, first step, end)."""
        self.settle()
        since = max(since, self.oldest)
        steps = np.arange(since, self.steps)
        dones = self.dones[steps % self.capacity]  # (n, n_envs)
        found = []
        for env in range(envs):
            ends = [*(steps[dones[:, env]] + 1), self.steps]
            found += [
                (env, int(first), int(end)) for first, end in zip([since, *ends[:-1]], ends, strict=True) if end > first
            ]
        return found

    def in_one_episode(self, env: int, first: int, end: int) -> bool:
        """Whether no episode of the environment ended in these steps."""
        return not self.dones[np.arange(first, end) % self.capacity, env].any()

    def segments_at(self, starts: np.ndarray, envs: np.ndarray, length: int) -> Segments:
        """The segments that begin at these steps of these environments: batch shape (N,)"""
        self.settle()
        at, env = (starts[:, None] + np.arange(length)) % self.capacity, envs[:, None]  # (N, T)
        if self.history:
            each = (self.history + length + 1, *self.frame)
            observations: np.ndarray | Frames = Frames(
                partial(self._frames, length=length), starts * self.n_envs + envs, each
            )
        else:
            observations = self._shown(starts, envs, length)
        return Segments(observations, self.actions[at, env], self.true_rewards[at, env], envs, starts)

    def _shown(self, starts: np.ndarray, envs: np.ndarray, length: int) -> np.ndarray:
        """What was seen from these steps on, of stacks the newest frames: (N, length + 1, *frame)"""
        at = (starts[:, None] + np.arange(length)) % self.capacity  # (N, T)
        last = self.observations[(starts + length) % self.capacity, envs]
        ends = starts + length
        now = ends == self.steps
        last[now] = self._newest(self.now)[envs[now]]
        for row in np.flatnonzero(self.dones[(ends - 1) % self.capacity, envs]):
            last[row] = self._last[(int(ends[row]) - 1, int(envs[row]))]
        return np.concatenate([self.observations[at, envs[:, None]], last[:, None]], axis=1)

    def _frames(self, places: np.ndarray, length: int) -> np.ndarray:
        """The frames of segments, those before them that their first stack shows as well: (N, history + length + 1, *frame)"""
        starts, envs = np.divmod(places, self.n_envs)
        before = self._shown_at(starts, envs)[:, :-1] % self.capacity
        return np.concatenate([self.observations[before, envs[:, None]], self._shown(starts, envs, length)], axis=1)


def allocate(lead: tuple[int, int], space: Any) -> np.ndarray:
    return np.zeros((*lead, *(space.shape or ())), space.dtype)


def frame_of(venv: VecEnv) -> tuple[tuple[int, ...], int]:
    """The shape of the newest frame in an observation, and how many older ones are stacked before it on the first axis."""
    shape = tuple(venv.observation_space.shape or ())
    stack = int(venv.get_attr("frames_stacked")[0]) if venv.has_attr("frames_stacked") else 1
    if stack == 1 or venv.observation_space.dtype != np.uint8 or len(shape) != 3 or shape[0] % stack:
        return shape, 0
    return (shape[0] // stack, *shape[1:]), stack - 1


def steps_that_fit(megabytes: float, venv: VecEnv) -> int:
    """How many steps per environment fit into this much memory."""
    observation, action = venv.observation_space, venv.action_space
    sizes = [
        int(np.prod(shape or (1,))) * np.dtype(space.dtype).itemsize
        for shape, space in ((frame_of(venv)[0], observation), (action.shape, action))
    ]
    return int(megabytes * 2**20 / (venv.num_envs * (sum(sizes) + 6)))  # and a float32, two bools
