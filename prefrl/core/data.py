"""Core data types: batches of segments, the queries made of them, and their answers (feedback)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from prefrl.core.observations import Observations, Part, combined, concatenated, flattened, mapped, parts


@dataclass(frozen=True)
class Segments:
    """Segments of T steps, each inside one episode. All arrays share a leading batch shape, written N here.

    The learner may read observations and actions. `true_rewards` are for oracles, metrics and plots only.
    """

    # (N, T + 1, *obs) what the environment showed before each step, and after the last one; a dict where it shows several
    # things. Stacks of frames are (N, history + T + 1, *frame), each frame once, the oldest first; perhaps not read yet
    observations: Observations
    actions: np.ndarray  # (N, T, *act) as the environment executed them: clipped, in its own units
    true_rewards: np.ndarray  # (N, T) the environment's own reward
    env_index: np.ndarray  # (N,) which environment of the vector acted
    start_step: np.ndarray  # (N,) steps which that environment had taken in this run when the segment began

    def __post_init__(self) -> None:
        batch = self.true_rewards.shape[:-1]
        for field in fields(self):
            for array in parts(getattr(self, field.name)).values():
                if array.shape[: len(batch)] != batch:
                    raise ValueError(
                        f"segments disagree on their batch shape: {field.name} has {array.shape[: len(batch)]},"
                        f" rewards have {batch}"
                    )
        for part in parts(self.observations).values():
            history = self.history_of(part)
            if history < 0 or (history and part.dtype != np.uint8):
                raise ValueError(
                    f"{self.length} actions need {self.length + 1} observations (one before each step, one after the"
                    f" last), got {part.shape[len(batch)]}"
                )

    def __len__(self) -> int:
        return len(self.true_rewards)

    def __getitem__(self, index: Any) -> Segments:
        """Index the leading axis like an array; an index array of shape (Q, K) gives a batch of shape (Q, K)."""
        return Segments(**{f.name: mapped(lambda array: array[index], getattr(self, f.name)) for f in fields(self)})

    @property
    def length(self) -> int:
        """Steps in each segment, T."""
        return int(self.true_rewards.shape[-1])

    @property
    def history(self) -> int:
        """Frames before the first step's own that its observation shows as well; 0 where observations are not stacks."""
        return max(map(self.history_of, parts(self.observations).values()))

    def history_of(self, part: Part) -> int:
        """`history` of one part of the observations."""
        return int(part.shape[self.true_rewards.ndim - 1]) - self.length - 1

    @property
    def true_returns(self) -> np.ndarray:
        """Undiscounted sum of the true reward: (N,)"""
        return self.true_rewards.sum(-1)

    def flat(self) -> Segments:
        """The same segments with one batch axis: (Q, K, ...) -> (Q * K, ...)"""
        lead = self.true_rewards.ndim - 1
        return Segments(
            **{f.name: mapped(lambda array: flattened(array, lead), getattr(self, f.name)) for f in fields(self)}
        )

    @staticmethod
    def concatenate(batches: Sequence[Segments]) -> Segments:
        """Join batches along their leading axis."""
        names = [field.name for field in fields(Segments)]
        return Segments(**{name: combined(concatenated, [getattr(b, name) for b in batches]) for name in names})


@dataclass(frozen=True)
class Origin:
    """How to reproduce a segment's first observation: the opening of an episode, and the actions from there on."""

    opening: bytes  # JSON: what the reset drew its randomness from, or an emulator's state
    actions: np.ndarray  # (n, *act) from there on


@dataclass(frozen=True)
class Origins:
    """The origins of N segments, concatenated. An empty opening stands for a missing one."""

    openings: np.ndarray  # (bytes of all openings,) uint8
    opening_ends: np.ndarray  # (N,) where each opening ends
    actions: np.ndarray  # (steps of all origins, *act)
    action_ends: np.ndarray  # (N,)

    def __post_init__(self) -> None:
        if self.openings.dtype != np.uint8 or len(self.opening_ends) != len(self.action_ends):
            raise ValueError(f"origins need bytes and as many ends of each kind, got {self.openings.dtype}")
        for ends, line in ((self.opening_ends, self.openings), (self.action_ends, self.actions)):
            if ends.dtype != np.int64 or ends.ndim != 1 or not line.ndim or (np.diff(ends, prepend=0) < 0).any():
                raise ValueError(f"origins end in order, got {ends.dtype} {ends[:9]}")
            if len(line) != (ends[-1] if len(ends) else 0):
                raise ValueError(f"origins with the ends {ends[-9:]} cannot fill {len(line)}")

    def __len__(self) -> int:
        return len(self.opening_ends)

    def __getitem__(self, place: int) -> Origin | None:
        (first, last), (start, end) = (
            (int(ends[place - 1]) if place else 0, int(ends[place])) for ends in (self.opening_ends, self.action_ends)
        )
        return Origin(self.openings[first:last].tobytes(), self.actions[start:end]) if last > first else None

    @staticmethod
    def of(origins: Sequence[Origin | None]) -> Origins:
        """Concatenate origins whose actions have one shape."""
        openings = [origin.opening if origin else b"" for origin in origins]
        actions = [origin.actions for origin in origins if origin]
        return Origins(
            np.frombuffer(b"".join(openings), np.uint8),
            np.cumsum([len(opening) for opening in openings], dtype=np.int64),
            np.concatenate(actions) if actions else np.zeros(0),
            np.cumsum([len(origin.actions) if origin else 0 for origin in origins], dtype=np.int64),
        )


@dataclass(frozen=True)
class Queries:
    """Q questions of one kind, each showing K segments: batch shape (Q, K)."""

    segments: Segments  # batch shape (Q, K)
    scores: np.ndarray  # (Q,) the strategy's score of each question; NaN where it has none
    strategy: str = "uniform"
    step: int = 0  # environment steps of the run when the questions were asked
    model_version: int = 0  # how often the reward model had been fitted by then
    kind: str = "pair"  # of prefrl.kinds

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, index: Any) -> Queries:
        return replace(self, segments=self.segments[index], scores=self.scores[index])


@dataclass(frozen=True)
class Feedback:
    """Answered queries of one kind, in the order in which the answers came. Skipped questions are left out."""

    kind: str  # of prefrl.kinds
    segments: Segments  # batch shape (Q, K)
    answer: dict[str, np.ndarray]  # the answers by field, each (Q, ...)
    seq: np.ndarray  # (Q,) the store's number of each answer, increasing
    query: np.ndarray  # (Q,) the store's number of the question, from 1; a correction shares it with what it corrects
    whole: bool = False  # all answers of this kind that stand, replacing those read before; else only new ones

    def __len__(self) -> int:
        return len(self.seq)

    def __getitem__(self, index: Any) -> Feedback:
        answer = {name: values[index] for name, values in self.answer.items()}
        return replace(self, segments=self.segments[index], answer=answer, seq=self.seq[index], query=self.query[index])

    @staticmethod
    def nothing(kind: str, whole: bool = False) -> Feedback:
        """Feedback without answers: all were skipped; or, if `whole`, none stands any more."""
        empty = np.zeros((0, 1, 1))
        segments = Segments(np.zeros((0, 1, 2)), empty, empty, empty[..., 0], empty[..., 0])
        return Feedback(kind, segments, {}, np.zeros(0, int), np.zeros(0, int), whole)
