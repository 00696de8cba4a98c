"""The recorder: remembers what every environment of a vector saw, did and earned, and hides the true reward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper

from prefrl.agents.blame import HUGE_REWARD, Answering, require_finite
from prefrl.agents.environments import check_spaces
from prefrl.agents.film import Film, Filmed, number
from prefrl.agents.ring import allocate, frame_of
from prefrl.agents.snapshot import EVERY
from prefrl.agents.tape import Openings, possible_notes
from prefrl.agents.vector import Taped
from prefrl.data import Segments, Tape, Tapes
from prefrl.errors import UserError
from prefrl.frames import Frames

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


class Recorder(VecEnvWrapper):
    """Sits directly above the environments. The learner gets zero reward from it; the learned one is added per rollout.

    Memory is a ring of `capacity` steps per environment, allocated once. Every `cut_every` steps all episodes are
    truncated (and so bootstrapped by SB3) and the environments are seeded anew with `seed_at(round)`: a checkpoint
    taken there needs no state of any environment. Of observations that are stacks of frames only the newest frame is
    kept, and the stack is put together again when it is read.
    """

    def __init__(
        self, venv: VecEnv, capacity: int, cut_every: int | None = None, seed_at: Callable[[int], int] | None = None
    ):
        super().__init__(venv)
        check_spaces(venv)
        self.cut_every, self.seed_at = cut_every, seed_at
        self.endless = False  # whether the learner is told nothing of an episode's end but where all are cut
        self.frame, self.history = frame_of(venv)  # (*frame), and how many older ones an observation shows
        self.resize(capacity)
        self._block: list[tuple[np.ndarray, ...]] = []  # the last steps, not in the arrays yet
        self._own_arrays = isinstance(venv, DummyVecEnv | SubprocVecEnv)  # each step's are new, so need no copy
        self._floats = venv.observation_space.dtype is not None and venv.observation_space.dtype.kind == "f"
        self.steps = 0  # steps each environment has taken in this run
        self.oldest = 0  # the first step still remembered
        self._first_frame = 0  # the first step whose newest frame is: an older one, for the history of the oldest
        self.finished: list[tuple[float, int]] = []  # (true return, length) of the last whole episodes
        self.waiting_since: float | None = (
            None  # when the environments were last asked for something, until they answer
        )
        self._last: dict[tuple[int, int], np.ndarray] = {}  # (step, env) -> the observation that ended an episode
        self._now: np.ndarray = np.zeros(0)
        self._openings = Openings(venv.num_envs)
        self._actions_before: np.ndarray = np.full(venv.num_envs, -1)
        self._snapshots = False  # whether the environments' states are noted between resets
        self.film: Film | None = None  # of the first environment, where it is filmed
        self._stepping, self._resetting = (
            Answering(self, "in step {next}"),
            Answering(self, "in the reset after step {done}"),
        )
        self._environments = venv.envs if isinstance(venv, DummyVecEnv) else []  # none of those in other processes
        self._sum = np.zeros(venv.num_envs)
        self._age = np.zeros(venv.num_envs, int)

    def resize(self, capacity: int) -> None:
        """Allocate memory for `capacity` steps of each environment; what was remembered is forgotten."""
        shape = (capacity, self.num_envs)
        self.capacity = capacity
        self.observations = np.zeros((*shape, *self.frame), self.observation_space.dtype)
        self.actions = allocate(shape, self.action_space)
        self.true_rewards = np.zeros(shape, np.float32)
        self.dones = np.zeros(shape, bool)  # no segment goes on after these
        self.finishes = np.zeros(shape, bool)  # those of them that the environment ended itself
        one = self.observations[:1].nbytes
        self._block_size = max(1, min(BLOCK, capacity, BLOCK_BYTES // max(1, one)))

    def reset(self) -> np.ndarray:
        self._break_off()
        if self.seed_at is not None:
            self.venv.seed(self.seed_at(self.steps))
        with self._resetting:
            self._now = np.asarray(self.venv.reset())
        require_finite(self._now, "observation", self.steps + 1)
        self._sum[:], self._age[:] = 0, 0
        for env in range(self.num_envs):
            self._note_opening(env)
        return self._now

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions
        self.venv.step_async(actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict]]:
        with self._stepping:
            shown, rewards, dones, infos = self.venv.step_wait()
        observations = np.asarray(shown)
        # one cheap look that NaN, infinity and huge numbers all fail
        size = np.vdot(rewards, rewards) + (np.vdot(observations, observations) if self._floats else 0)
        if not size < HUGE_REWARD**2:
            require_finite(observations, "observation", self.steps + 1)
            require_finite(rewards, "reward", self.steps + 1)
        ended = 1 in dones.tobytes()
        last = {}
        if ended:
            last = {int(env): np.array(infos[env]["terminal_observation"]) for env in np.flatnonzero(dones)}
            for env, observation in last.items():
                require_finite(observation, "last observation of an episode", self.steps + 1, env)
        block = (self._newest(self._now), self._actions, rewards, dones)
        self._block.append(block if self._own_arrays else tuple(map(np.array, block)))
        self.steps += 1
        self._now = observations
        if ended or len(self._block) >= self._block_size:
            self.settle()
        for env, observation in last.items():
            self._end_episode(env, observation)
        if self._snapshots:
            self._note_states(dones)
        told = np.zeros_like(dones) if self.endless else dones
        if self.cut_every and self.steps % self.cut_every == 0:
            told = self._cut(infos, dones)
        return self._now, np.zeros(self.num_envs, np.float32), told, infos

    def _newest(self, observations: np.ndarray) -> np.ndarray:
        """The newest frames of stacked observations, copied out of them: (n_envs, *obs) -> (n_envs, *frame)"""
        return observations[:, -self.frame[0] :].copy() if self.history else observations

    def settle(self) -> None:
        """Write the last steps into the arrays. Whoever reads the arrays calls it first."""
        if not self._block:
            return
        seen, acted, rewards, dones = map(np.stack, zip(*self._block, strict=True))
        at = np.arange(self.steps - len(self._block), self.steps) % self.capacity
        self._block = []
        self.observations[at], self.actions[at] = seen, acted
        self.true_rewards[at], self.dones[at], self.finishes[at] = rewards, dones, dones
        self._sum += rewards.sum(0, dtype=float)  # no episode ends within a block
        self._age += len(at)
        if self.steps - self.capacity > self._first_frame:
            self._first_frame = self.steps - self.capacity
            self.oldest = max(self.oldest, self._first_frame + self.history)
        if at[-1] < len(at):  # the ring began anew
            self._last = {key: value for key, value in self._last.items() if key[0] >= self.oldest}
            self._openings.forget(self.oldest)

    def _end_episode(self, env: int, observation: np.ndarray) -> None:
        self._last[(self.steps - 1, env)] = self._newest(observation[None])[0]
        self.finished = [*self.finished[-99:], (float(self._sum[env]), int(self._age[env]))]
        self._sum[env], self._age[env] = 0, 0
        self._note_opening(env)

    def _note_opening(self, env: int) -> None:
        """Keep how the episode that begins now was opened, where the environment tells."""
        if self._environments:
            self._openings.add(env, self.steps, getattr(self._environments[env], "opening", b""))

    def _note_states(self, dones: np.ndarray) -> None:
        """Openings in the middle of episodes, so that drawing a segment does not begin where the game began.

        Only where an action came twice, so that it is known which one sticks.
        """
        again = (self._actions == self._actions_before) & ~dones
        self._actions_before = self._actions
        for env in np.flatnonzero(again):
            noted = self._openings.starts[env]
            if not noted or self.steps - noted[-1] >= EVERY:
                taped: Any = self._environments[env]
                self._openings.add(int(env), self.steps, taped.snapshot(self._actions[env]))

    def _cut(self, infos: list[dict], dones: np.ndarray) -> np.ndarray:
        """Truncate every running episode, and start all of them from fresh seeds."""
        for env in np.flatnonzero(~dones):
            infos[env]["terminal_observation"] = self._now[env]
            infos[env]["TimeLimit.truncated"] = True
        self.reset()
        return np.ones_like(dones)

    def _break_off(self) -> None:
        """End the running episodes in memory: what follows a reset does not follow from what came before."""
        self.settle()
        if self.steps == self.oldest:
            return
        at = (self.steps - 1) % self.capacity
        for env in np.flatnonzero(~self.dones[at]):
            self._last[(self.steps - 1, int(env))] = self._newest(self._now[env : env + 1])[0].copy()
        self.dones[at] = True

    def forget(self) -> None:
        """Empty the memory, so that nothing from before this step can become a segment."""
        self.settle()
        self.begin_at(self.steps)

    def begin_at(self, steps: int) -> None:
        """Go on as if so many steps had been taken, all of which are forgotten. The next one begins an episode."""
        self.steps = self.oldest = self._first_frame = steps
        self._last.clear()
        self._openings.forget(self.oldest)

    def latest(self, n: int) -> Rollout:
        """The last n steps: arrays (n, n_envs, ...)"""
        self.settle()
        steps = np.arange(self.steps - n, self.steps)
        at = steps % self.capacity
        before, after = self._seen(steps)
        for (step, env), observation in reversed(self._last.items()):  # in the order of steps: the newest first
            if step < steps[0]:
                break
            if self.history:
                observation = np.concatenate([before[step - steps[0], env][len(observation) :], observation])
            after[step - steps[0], env] = observation
        return Rollout(before, self.actions[at], after, self.true_rewards[at], self.finishes[at])

    def _seen(self, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Observations before these consecutive steps and, but for the last ones of episodes, after: (n, n_envs, *obs)"""
        if not self.history:
            before = self.observations[steps % self.capacity]
            return before, np.concatenate([before[1:], self._now[None]])
        places = self._shown_at(steps[:, None], np.arange(self.num_envs))  # (n, n_envs, history + 1)
        frames = self.observations[places % self.capacity, np.arange(self.num_envs)[:, None]]
        before = frames.reshape(*frames.shape[:2], *self.observation_space.shape)  # type: ignore[misc]
        return before, np.concatenate([before[1:], self._now[None]])

    def _shown_at(self, steps: np.ndarray, envs: np.ndarray) -> np.ndarray:
        """Which steps' newest frames make up the observations before these steps, the newest last: (..., history + 1)"""
        places = [steps + 0 * envs]
        for _ in range(self.history):  # an episode's first frame stands in for those before it
            before = places[-1] - 1
            begins = (before < self._first_frame) | self.dones[before % self.capacity, envs]
            places.append(np.where(begins, places[-1], before))
        return np.stack(places[::-1], axis=-1)

    def cut_segments(self, length: int, rng: np.random.Generator, since: int = 0) -> Segments:
        """All whole segments since step `since`, without overlap: every stretch of an episode from a random offset on."""
        self.settle()
        starts, envs = [], []
        for env, first, end in self._stretches(max(since, self.oldest)):
            count = (end - first) // length
            offset = first + rng.integers((end - first) - count * length + 1)
            starts.append(offset + length * np.arange(count))
            envs.append(np.full(count, env))
        if not starts:
            return self.segments_at(np.zeros(0, int), np.zeros(0, int), length)
        return self.segments_at(np.concatenate(starts), np.concatenate(envs), length)

    def _stretches(self, since: int) -> list[tuple[int, int, int]]:
        """Remembered stretches of single episodes as (env, first step, end)."""
        steps = np.arange(since, self.steps)
        dones = self.dones[steps % self.capacity]  # (n, n_envs)
        found = []
        for env in range(1 if self.film else self.num_envs):
            ends = [*(steps[dones[:, env]] + 1), self.steps]
            found += [
                (env, int(first), int(end)) for first, end in zip([since, *ends[:-1]], ends, strict=True) if end > first
            ]
        return [self._filmed_part(*one) for one in found] if self.film else found

    def _filmed_part(self, env: int, first: int, end: int) -> tuple[int, int, int]:
        """What of a stretch there are pictures of."""
        opened = self._openings.find(env, first)
        if self.film is None or opened is None:
            return env, end, end
        missing = self.film.first - (number(opened[1]) + first - opened[0])
        return env, min(end, first + max(0, missing)), end

    def segments_at(self, starts: np.ndarray, envs: np.ndarray, length: int) -> Segments:
        """The segments that begin at these steps of these environments: batch shape (N,)"""
        self.settle()
        at, env = (starts[:, None] + np.arange(length)) % self.capacity, envs[:, None]  # (N, T)
        if self.history:
            each = (self.history + length + 1, *self.frame)
            observations: np.ndarray | Frames = Frames(
                partial(self._frames, length=length), starts * self.num_envs + envs, each
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
        last[now] = self._newest(self._now)[envs[now]]
        for row in np.flatnonzero(self.dones[(ends - 1) % self.capacity, envs]):
            last[row] = self._last[(int(ends[row]) - 1, int(envs[row]))]
        return np.concatenate([self.observations[at, envs[:, None]], last[:, None]], axis=1)

    def _frames(self, places: np.ndarray, length: int) -> np.ndarray:
        """The frames of segments, those before them that their first stack shows as well: (N, history + length + 1, *frame)"""
        starts, envs = np.divmod(places, self.num_envs)
        before = self._shown_at(starts, envs)[:, :-1] % self.capacity
        return np.concatenate([self.observations[before, envs[:, None]], self._shown(starts, envs, length)], axis=1)

    def note_openings(self, notes: str) -> None:
        """From the next reset on, note how episodes begin (NOTES of prefrl.agents.tape), so that there are tapes."""
        if not self._environments:
            raise UserError(
                f"{type(self.venv).__name__} keeps its environments to itself, so nobody can note how episodes begin and"
                " draw them for people; give the agent a DummyVecEnv"
            )
        for place, env in enumerate(self._environments):
            taped = self._environments[place] = env if isinstance(env, Taped) else Taped(env)
            taped.notes = notes
        self._snapshots = notes == "state"

    def cheapest_notes(self) -> str:
        """The first of NOTES that the environments can be asked for."""
        return possible_notes(self._environments[0])[0] if self._environments else "rng"

    def film_first(self, env: gym.Env, megabytes: float) -> None:
        """Let this environment, which draws itself, take the first one's place. Only it is asked about from then on."""
        self.note_openings("")
        self.film = Film(int(megabytes * 2**20))
        self._environments[0] = Filmed(env, self.film)

    def tapes(self, segments: Segments) -> Tapes:
        """How to come to each of these segments again: (N,) or (Q, K) segments of this memory -> N, or Q * K tapes."""
        self.settle()
        places = zip(segments.env_index.ravel().tolist(), segments.start_step.ravel().tolist(), strict=True)
        return Tapes.of([self._tape(env, start) for env, start in places])

    def _tape(self, env: int, start: int) -> Tape | None:
        """None where the beginning of the episode is no longer, or was never, remembered."""
        found = self._openings.find(env, start)
        if self._snapshots:  # from a state on it takes some steps until all that is seen comes from these steps
            earlier = self._openings.find(env, start - self.history - 1)
            if earlier and not self.dones[np.arange(earlier[0], start) % self.capacity, env].any():
                found = earlier
        if found is None or found[0] < self.oldest or not found[1]:
            return None
        actions = self.actions[np.arange(found[0], start) % self.capacity, env]
        return Tape(found[1], actions.astype(self._actions.dtype))  # as they were given: 0.1 is not float32(0.1)

    def recent_return(self) -> tuple[float, float]:
        """Mean true return and length of the last ten whole episodes (B-Pref's R_avg and T); NaN before the first."""
        last = self.finished[-10:]
        return (
            (float(np.mean([r for r, _ in last])), float(np.mean([n for _, n in last]))) if last else (np.nan, np.nan)
        )
