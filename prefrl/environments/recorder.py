"""The recorder: stores observations, actions and true rewards of a vector of environments, and hides the true reward."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper

from prefrl.core.data import Origin, Origins, Segments
from prefrl.core.errors import UserError
from prefrl.core.observations import Observations, mapped, parts
from prefrl.core.rollout import Rollout
from prefrl.environments.faults import HUGE_REWARD, environment_errors, require_finite
from prefrl.environments.film import Film, Filmed, number
from prefrl.environments.making import check_spaces
from prefrl.environments.origins import STATE_INTERVAL, Openings, possible_notes, snapshot
from prefrl.environments.ring import Ring
from prefrl.environments.vector import OpeningMonitor


class Recorder(VecEnvWrapper):
    """The VecEnv wrapper directly around the environments. Returns zero reward; the learned one is added per rollout.

    Its memory is a ring of `capacity` steps per environment. Every `cut_every` steps all episodes are truncated (and so
    bootstrapped by SB3) and the environments are seeded anew with `seed_at(round)`: a checkpoint taken there needs no
    state of any environment.
    """

    def __init__(
        self, venv: VecEnv, capacity: int, cut_every: int | None = None, seed_at: Callable[[int], int] | None = None
    ):
        super().__init__(venv)
        check_spaces(venv)
        self.cut_every, self.seed_at = cut_every, seed_at
        self.context = 0  # older steps that a rollout comes with
        self.endless = False  # whether episodes' ends are hidden from the learner, except where all are cut
        # each step's arrays are new where SB3's own vectors made them, so need no copy
        self.memory = Ring(venv, capacity, copies=not isinstance(venv, DummyVecEnv | SubprocVecEnv))
        self._floats = [track for track in self.memory.tracks.values() if np.dtype(track.dtype).kind == "f"]
        self.finished: list[tuple[float, int]] = []  # (true return, length) of the last whole episodes
        self._waiting_since: float | None = None  # when the call that the environments have not returned from began
        self._openings = Openings(venv.num_envs)
        self._actions_before: np.ndarray = np.full(venv.num_envs, -1)
        self._snapshots = False  # whether the environments' states are noted between resets
        self.film: Film | None = None  # of the first environment, where it is filmed
        self._environments = venv.envs if isinstance(venv, DummyVecEnv) else []  # none of those in other processes

    @property
    def steps(self) -> int:
        """Steps that each environment has taken in this run."""
        return self.memory.steps

    @contextmanager
    def watched(self, timeout: float) -> Iterator[None]:
        """End the process if an environment does not return within `timeout` seconds; SB3 would wait for ever.

        The last checkpoint stands.
        """
        done = threading.Event()
        threading.Thread(target=self._watch, args=(timeout, done), daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _watch(self, timeout: float, done: threading.Event) -> None:
        while not done.wait(min(1.0, timeout / 4)):
            since = self._waiting_since
            if since is not None and time.monotonic() - since > timeout:
                print(
                    f"\nerror: an environment has not answered for {timeout:g} s after step {self.steps};"
                    " mend it, or raise record.step_timeout. If there is a checkpoint, prefrl resume goes on from it",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
                os._exit(70)

    @contextmanager
    def _waiting(self, doing: str) -> Iterator[None]:
        """The context of a call of the environments. doing: for the error that names the one that raised"""
        self._waiting_since = time.monotonic()
        try:
            with environment_errors(doing):
                yield
        finally:
            self._waiting_since = None

    def reset(self) -> Observations:
        self.memory.break_off()
        if self.seed_at is not None:
            self.venv.seed(self.seed_at(self.steps))
        with self._waiting(f"in the reset after step {self.steps}"):
            self.memory.begin(mapped(np.asarray, self.venv.reset()))
        self._require_finite(self.memory.now, "observation")
        for env in range(self.num_envs):
            self._note_opening(env)
        return self.memory.now

    def _require_finite(self, observations: Observations, what: str, env: int | None = None) -> None:
        for key, part in parts(observations).items():
            require_finite(part, f"{what}, {key!r}," if key else what, self.steps + 1, env)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions
        self.venv.step_async(actions)

    def step_wait(self) -> tuple[Observations, np.ndarray, np.ndarray, list[dict]]:
        with self._waiting(f"in step {self.steps + 1}"):
            returned, rewards, dones, infos = self.venv.step_wait()
        observations = mapped(np.asarray, returned)
        # one cheap check that NaN, infinity and huge numbers all fail
        size = np.vdot(rewards, rewards)
        for track in self._floats:
            size = size + np.vdot(part := track.of(observations), part)
        if not size < HUGE_REWARD**2:
            self._require_finite(observations, "observation")
            require_finite(rewards, "reward", self.steps + 1)
        last = {}
        if 1 in dones.tobytes():
            last = {int(env): mapped(np.asarray, infos[env]["terminal_observation"]) for env in np.flatnonzero(dones)}
            for env, observation in last.items():
                self._require_finite(observation, "last observation of an episode", env)
        self.memory.push(self._actions, rewards, dones, observations)
        if last:
            self.memory.settle()
        for env, observation in last.items():
            self.finished = [*self.finished[-99:], self.memory.end_episode(env, observation)]
            self._note_opening(env)
        if self._snapshots:
            self._note_states(dones)
        shown_dones = np.zeros_like(dones) if self.endless else dones
        if self.cut_every and self.steps % self.cut_every == 0:
            shown_dones = self._cut(infos, dones)
        return self.memory.now, np.zeros(self.num_envs, np.float32), shown_dones, infos

    def _note_opening(self, env: int) -> None:
        """Record the opening of the episode that begins now, where the environment has it."""
        if self._environments:
            self._note(env, getattr(self._environments[env], "opening", b""))

    def _note(self, env: int, opening: bytes) -> None:
        self._openings.forget(self.memory.oldest)
        self._openings.add(env, self.steps, opening)

    def _note_states(self, dones: np.ndarray) -> None:
        """Record emulator states in the middle of episodes, so that redrawing a segment need not replay the whole game.

        Only after a repeated action, so that the one that sticks is known.
        """
        again = (self._actions == self._actions_before) & ~dones
        self._actions_before = self._actions
        for env in np.flatnonzero(again):
            noted = self._openings.noted[env]
            if not noted or self.steps - noted[-1][0] >= STATE_INTERVAL:
                self._note(int(env), snapshot(self._environments[env], self._actions[env]))

    def _cut(self, infos: list[dict], dones: np.ndarray) -> np.ndarray:
        """Truncate every running episode, and start all of them from fresh seeds."""
        for env in np.flatnonzero(~dones):
            infos[env]["terminal_observation"] = mapped(itemgetter(env), self.memory.now)
            infos[env]["TimeLimit.truncated"] = True
        self.reset()
        return np.ones_like(dones)

    def begin_at(self, steps: int) -> None:
        """Set the step count, with an empty memory. The next step begins an episode."""
        self.memory.begin_at(steps)
        self._openings.forget(steps)

    def latest(self, n: int) -> Rollout:
        """The last n steps: arrays (n, n_envs, ...)"""
        return self.memory.latest(n, self.context)

    def cut_segments(self, length: int, rng: np.random.Generator, since: int = 0) -> Segments:
        """All whole segments since step `since`, without overlap: every stretch of an episode from a random offset on."""
        starts, envs = [np.zeros(0, int)], [np.zeros(0, int)]
        stretches = self.memory.stretches(since, 1 if self.film else self.num_envs)
        for env, first, end in [self._filmed_part(*each) for each in stretches] if self.film else stretches:
            count = (end - first) // length
            offset = first + rng.integers((end - first) - count * length + 1)
            starts.append(offset + length * np.arange(count))
            envs.append(np.full(count, env))
        return self.memory.segments_at(np.concatenate(starts), np.concatenate(envs), length)

    def _filmed_part(self, env: int, first: int, end: int) -> tuple[int, int, int]:
        """The part of a stretch whose frames are kept."""
        opened = self._openings.find(env, first)
        if self.film is None or opened is None:
            return env, end, end
        missing = self.film.first - (number(opened[1]) + first - opened[0])
        return env, min(end, first + max(0, missing)), end

    def note_openings(self, notes: str) -> None:
        """From the next reset on, record openings of episodes (NOTES of prefrl.environments.origins), which origins need."""
        if not self._environments:
            raise UserError(
                f"{type(self.venv).__name__} keeps its environments to itself, so nobody can note how episodes begin and"
                " draw them for people; give the agent a DummyVecEnv"
            )
        for place, env in enumerate(self._environments):
            monitor = self._environments[place] = env if isinstance(env, OpeningMonitor) else OpeningMonitor(env)
            monitor.notes = notes
        self._snapshots = notes == "state"

    def cheapest_notes(self) -> str:
        """The first of NOTES that the environments support."""
        return possible_notes(self._environments[0])[0] if self._environments else "rng"

    def film_first(self, env: gym.Env, megabytes: float) -> None:
        """Replace the first environment by this one, and film it. Questions are about it alone from then on."""
        self.note_openings("")
        self.film = Film(int(megabytes * 2**20))
        self._environments[0] = Filmed(env, self.film)

    def origins(self, segments: Segments) -> Origins:
        """How to reproduce each of these segments: (N,) or (Q, K) segments of this memory -> N, or Q * K origins."""
        self.memory.settle()
        places = zip(segments.env_index.ravel().tolist(), segments.start_step.ravel().tolist(), strict=True)
        return Origins.of([self._origin(env, start) for env, start in places])

    def _origin(self, env: int, start: int) -> Origin | None:
        """The origin of a segment; None where the opening of its episode is not, or no longer, known."""
        opened = self._openings.find(env, start)
        if self._snapshots:  # after a state is restored, stacks hold older frames for some steps
            earlier = self._openings.find(env, start - self.memory.history - 1)
            if earlier and self.memory.in_one_episode(env, earlier[0], start):
                opened = earlier
        if opened is None or opened[0] < self.memory.oldest or not opened[1]:
            return None
        actions = self.memory.actions[np.arange(opened[0], start) % self.memory.capacity, env]
        return Origin(opened[1], actions.astype(self._actions.dtype))  # as they were given: 0.1 is not float32(0.1)

    def recent_return(self) -> tuple[float, float]:
        """Mean true return and length of the last ten whole episodes (B-Pref's R_avg and T); NaN before the first."""
        if not self.finished:
            return np.nan, np.nan
        returns, lengths = zip(*self.finished[-10:], strict=True)
        return float(np.mean(returns)), float(np.mean(lengths))
