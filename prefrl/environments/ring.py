"""A ring buffer of the last steps of a vector of environments: steps go in, rollouts and segments come out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from prefrl.core.data import Segments
from prefrl.core.frames import Frames
from prefrl.core.observations import Observations, combined, mapped, whole
from prefrl.core.rollout import Rollout
from prefrl.environments.tracks import Track, tracks_of

BLOCK = 256  # steps written into the arrays at once: writing each by itself costs ten times as much
BLOCK_BYTES = 16 * 2**20  # of observations in a block, at most


class Ring:
    """The last `capacity` steps of each environment, in arrays that are allocated once.

    Observations are kept part by part, in tracks; a plain Box is one part.
    """

    def __init__(self, venv: VecEnv, capacity: int, copies: bool = True):
        """copies: whether the arrays that are pushed may change afterwards"""
        self.n_envs, self.copies, self.action_space = venv.num_envs, copies, venv.action_space
        self.tracks = tracks_of(venv)
        self.history = max(track.history for track in self.tracks.values())  # most older frames that a part shows
        self.steps = 0  # steps each environment has taken in this run
        self.oldest = 0  # the first step still remembered
        self._first_frame = 0  # the first step whose newest frame is kept, for the stack of the oldest
        self.now: Observations = np.zeros(
            0
        )  # (n_envs, *obs) what was observed after the last step, or a dict of such arrays
        self._block: list[tuple[Any, ...]] = []  # the last steps, not in the arrays yet
        self.returns = np.zeros(self.n_envs)  # of the running episodes
        self.ages = np.zeros(self.n_envs, int)  # their steps
        self.resize(capacity)

    def resize(self, capacity: int) -> None:
        """Allocate memory for `capacity` steps of each environment; what was stored is dropped."""
        shape = (capacity, self.n_envs)
        self.capacity = capacity
        for track in self.tracks.values():
            track.kept = np.zeros((*shape, *track.frame), track.dtype)
        self.actions = np.zeros((*shape, *(self.action_space.shape or ())), self.action_space.dtype)
        self.true_rewards = np.zeros(shape, np.float32)
        self.dones = np.zeros(shape, bool)  # no segment goes on after these
        self.finishes = np.zeros(shape, bool)  # those of them that the environment ended itself
        step_size = self.n_envs * sum(track.nbytes for track in self.tracks.values())
        self._block_size = max(1, min(BLOCK, capacity, BLOCK_BYTES // max(1, step_size)))

    @property
    def observations(self) -> Observations:
        """The arrays (capacity, n_envs, *frame) of all parts."""
        return whole({key: track.kept for key, track in self.tracks.items()})

    def begin(self, observations: Observations) -> None:
        """Set the observations after a reset."""
        self.now = mapped(np.array, observations) if self.copies else observations

    def push(self, actions: np.ndarray, rewards: np.ndarray, dones: np.ndarray, observations: Observations) -> None:
        """Add a step of all environments, and the observations after it."""
        before = self.now
        if self.history:  # of stacks of frames, copies of the newest
            before = whole({key: track.newest(before) for key, track in self.tracks.items()})
        if self.copies:
            actions, rewards, dones = map(np.array, (actions, rewards, dones))
            observations = mapped(np.array, observations)
        self._block.append((before, actions, rewards, dones))
        self.steps += 1
        self.now = observations
        if len(self._block) >= self._block_size:
            self.settle()

    def settle(self) -> None:
        """Write the last steps into the arrays. Call it before reading the arrays, and where an episode ends."""
        if not self._block:
            return
        observed, *others = zip(*self._block, strict=True)
        before, (acted, rewards, dones) = combined(np.stack, observed), map(np.stack, others)
        at = np.arange(self.steps - len(self._block), self.steps) % self.capacity
        self._block = []
        for track in self.tracks.values():
            track.kept[at] = track.of(before)
        self.actions[at], self.true_rewards[at] = acted, rewards
        self.dones[at], self.finishes[at] = dones, dones
        self.returns += rewards.sum(0, dtype=float)  # no episode ends within a block
        self.ages += len(at)
        if self.steps - self.capacity > self._first_frame:
            self._first_frame = self.steps - self.capacity
            self.oldest = max(self.oldest, self._first_frame + self.history)
        if at[-1] < len(at):  # the ring wrapped around
            for track in self.tracks.values():
                track.last = {end: frame for end, frame in track.last.items() if end[0] >= self.oldest}

    def end_episode(self, env: int, observation: Observations) -> tuple[float, int]:
        """End an episode with the last step, which is settled, on this observation. Returns its true return and length."""
        self._keep_last(env, mapped(lambda part: part[None], observation))
        ended = float(self.returns[env]), int(self.ages[env])
        self.returns[env], self.ages[env] = 0, 0
        return ended

    def _keep_last(self, env: int, observations: Observations) -> None:
        """Copy the last observations (1, *obs) of an episode that ended with the last step."""
        for track in self.tracks.values():
            track.last[(self.steps - 1, env)] = track.newest(observations)[0].copy()

    def break_off(self) -> None:
        """End the running episodes, so that no segment continues across a reset."""
        self.settle()
        self.returns[:], self.ages[:] = 0, 0
        if self.steps == self.oldest:
            return
        at = (self.steps - 1) % self.capacity
        for env in map(int, np.flatnonzero(~self.dones[at])):
            self._keep_last(env, mapped(itemgetter(slice(env, env + 1)), self.now))
        self.dones[at] = True

    def begin_at(self, steps: int) -> None:
        """Set the step count, with an empty buffer. The next step begins an episode."""
        self.settle()
        self.steps = self.oldest = self._first_frame = steps
        for track in self.tracks.values():
            track.last.clear()

    def latest(self, n: int, context: int = 0) -> Rollout:
        """The last n steps: arrays (n, n_envs, ...). context: up to so many steps before them become `earlier`."""
        self.settle()
        context = max(0, min(context, self.steps - n - self.oldest))
        rollout = self._rollout(np.arange(self.steps - n - context, self.steps))
        return replace(rollout[context:], earlier=rollout[:context]) if context else rollout

    def _rollout(self, steps: np.ndarray) -> Rollout:
        """The rollout of these steps, which end with the last."""
        at = steps % self.capacity
        each = {key: self._before_and_after(track, steps) for key, track in self.tracks.items()}
        before, after = (whole({key: pair[k] for key, pair in each.items()}) for k in (0, 1))
        begins = self.dones[(steps - 1) % self.capacity] | (steps <= self.oldest)[:, None]
        return Rollout(before, self.actions[at], after, self.true_rewards[at], self.finishes[at], begins)

    def _before_and_after(self, track: Track, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A part of the observations before these latest steps and after each of them: (n, n_envs, *obs)"""
        if track.history:
            envs = np.arange(self.n_envs)
            places = self._shown_at(steps[:, None], envs, track.history) % self.capacity  # (n, n_envs, history + 1)
            before = track.kept[places, envs[:, None]].reshape(*places.shape[:2], *track.shape)
        else:
            before = track.kept[steps % self.capacity]
        after = np.concatenate([before[1:], track.of(self.now)[None]])
        for (step, env), frame in reversed(track.last.items()):  # the last end first
            if step < steps[0]:
                break
            if track.history:
                frame = np.concatenate([before[step - steps[0], env][len(frame) :], frame])
            after[step - steps[0], env] = frame
        return before, after

    def _shown_at(self, steps: np.ndarray, envs: np.ndarray, history: int) -> np.ndarray:
        """Which steps' newest frames make up the observations before these steps, the newest last: (..., history + 1)"""
        places = [steps + 0 * envs]
        for _ in range(history):  # an episode's first frame stands in for those before it
            before = places[-1] - 1
            begins = (before < self._first_frame) | self.dones[before % self.capacity, envs]
            places.append(np.where(begins, places[-1], before))
        return np.stack(places[::-1], axis=-1)

    def stretches(self, since: int, envs: int) -> list[tuple[int, int, int]]:
        """Stored stretches of single episodes of the first environments as (env, first step, end)."""
        self.settle()
        since = max(since, self.oldest)
        steps = np.arange(since, self.steps)
        dones = self.dones[steps % self.capacity]  # (n, n_envs)
        stretches = []
        for env in range(envs):
            ends = [*(steps[dones[:, env]] + 1), self.steps]
            stretches += [
                (env, int(first), int(end)) for first, end in zip([since, *ends[:-1]], ends, strict=True) if end > first
            ]
        return stretches

    def in_one_episode(self, env: int, first: int, end: int) -> bool:
        """Whether no episode of the environment ended in these steps."""
        return not self.dones[np.arange(first, end) % self.capacity, env].any()

    def segments_at(self, starts: np.ndarray, envs: np.ndarray, length: int) -> Segments:
        """The segments that begin at these steps of these environments: batch shape (N,)"""
        self.settle()
        at, env = (starts[:, None] + np.arange(length)) % self.capacity, envs[:, None]  # (N, T)
        observations = whole(
            {key: self._segments_of(track, starts, envs, length) for key, track in self.tracks.items()}
        )
        return Segments(observations, self.actions[at, env], self.true_rewards[at, env], envs, starts)

    def _segments_of(self, track: Track, starts: np.ndarray, envs: np.ndarray, length: int) -> np.ndarray | Frames:
        """A part of the observations of segments: (N, length + 1, *obs), or the frames of stacks, not read yet"""
        if not track.history:
            return self._shown(track, starts, envs, length)
        each = (track.history + length + 1, *track.frame)
        return Frames(partial(self._frames, track, length=length), starts * self.n_envs + envs, each)

    def _shown(self, track: Track, starts: np.ndarray, envs: np.ndarray, length: int) -> np.ndarray:
        """What was observed from these steps on, of stacks the newest frames: (N, length + 1, *frame)"""
        at = (starts[:, None] + np.arange(length)) % self.capacity  # (N, T)
        last = track.kept[(starts + length) % self.capacity, envs]
        ends = starts + length
        now = ends == self.steps
        last[now] = track.newest(self.now)[envs[now]]
        for row in np.flatnonzero(self.dones[(ends - 1) % self.capacity, envs]):
            last[row] = track.last[(int(ends[row]) - 1, int(envs[row]))]
        return np.concatenate([track.kept[at, envs[:, None]], last[:, None]], axis=1)

    def _frames(self, track: Track, places: np.ndarray, length: int) -> np.ndarray:
        """The frames of segments, with the older frames of their first stack: (N, history + length + 1, *frame)"""
        starts, envs = np.divmod(places, self.n_envs)
        before = self._shown_at(starts, envs, track.history)[:, :-1] % self.capacity
        return np.concatenate([track.kept[before, envs[:, None]], self._shown(track, starts, envs, length)], axis=1)


def step_bytes(venv: VecEnv) -> int:
    """Bytes of the observation and the action of a step of one environment, of stacks of frames the newest alone."""
    action = np.zeros(venv.action_space.shape or (), venv.action_space.dtype)
    return action.nbytes + sum(track.nbytes for track in tracks_of(venv).values())


def steps_that_fit(megabytes: float, venv: VecEnv) -> int:
    """How many steps per environment fit into this much memory."""
    return int(megabytes * 2**20 / (venv.num_envs * (step_bytes(venv) + 6)))  # and a float32, two bools
