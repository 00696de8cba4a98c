"""The reward model: answers in, rewards out. What the loop knows of reward learning."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from prefrl.config.settings import RewardConfig
from prefrl.core.data import Feedback, Segments
from prefrl.core.errors import NonFiniteError
from prefrl.core.streams import stream
from prefrl.core.tensors import pack_optimiser, unpack_optimiser
from prefrl.kinds import _old as pair
from prefrl.kinds.metrics import preference_metrics
from prefrl.rewards.encoding import Features
from prefrl.rewards.ensemble import RewardEnsemble
from prefrl.rewards.learner import PASS, Answers, Fitter
from prefrl.rewards.memory import VectorMemory, memory_for
from prefrl.rewards.pictures import Pictures

FEWEST = 4  # decisive answers before a reward is worth following
FEW = 50  # answers up to which each new one is worth a fit, which is cheap by then
MOST = 10_000  # answers times steps of a segment that a member looks at in a warm fit, so that its cost is bounded
PAUSE = 3  # turns without new answers after which those that are there are learned from, few as they may be
UNTRAINED = 1e-7  # untrained networks tell pictures apart by 1e-4, more than they err by
LATEST = 100  # answers over which rewards are standardised and judged: they are about what the agent does now


class Steps(Protocol):
    """Steps of a rollout, batch shape (n, n_envs)."""

    observations: np.ndarray
    actions: np.ndarray
    next_observations: np.ndarray
    true_rewards: np.ndarray


@dataclass(frozen=True)
class FitReport:
    """How a fit went. Metrics are on answers that no member in the average has trained on."""

    answers: int
    decisive: int
    epochs: int
    updates: int
    train_loss: float
    held_out_loss: float
    l2: float
    seconds: float  # CPU
    metrics: dict[str, float]
    note: str = ""  # why the reward was left as it was, if it was


class RewardModel:
    """An ensemble fitted to preferences. Its reward is constant between fits, and zero before the first."""

    def __init__(
        self,
        settings: RewardConfig,
        features: Features | Pictures,
        network: Callable[[Any], nn.Module],
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self.settings, self.features, self.seed = settings, features, seed
        size, how = features.size, (settings.members, settings.together, settings.precision)
        self.ensemble = RewardEnsemble(size, network, *how).to(device)
        self.fitter = Fitter(self.ensemble, settings)
        self.version = 0  # fits so far
        self.known = 0  # answers that the last of them knew
        self.fresh = 0  # answers heard or changed since
        self.silence = 0  # turns since answers came
        self.cpu_seconds = 0.0  # spent on fitting
        self.memory = memory_for(features)  # of the Q latest answers' segments
        self._preferences = torch.zeros(0)  # (Q,)
        self._returns = torch.zeros(0, 2)  # (Q, 2) true ones
        self._query = np.zeros(0, int)  # (Q,) their questions' numbers
        self._where = np.zeros((0, 2, 2), int)  # (Q, 2, [environment, first step])

    def encode(self, segments: Segments) -> Tensor:
        """What networks see of segments: (N,) -> (N, T, *features)"""
        return self.features.of_segments(segments)

    def rewards(self, rollout: Steps) -> np.ndarray:
        """What the agent is paid for a rollout: (n, n_envs)"""
        features = self.features.of_steps(rollout)
        rewards = self.ensemble.rewards(features.flatten(0, 1)).reshape(features.shape[:2]).cpu().numpy()
        self._require_finite(bool(np.isfinite(rewards).all()))
        return rewards

    def _require_finite(self, finite: bool) -> None:
        if not finite:
            raise NonFiniteError(
                f"the reward model (fit {self.version}) gave NaN or infinite rewards;"
                " lower reward.learning_rate, or look at the observations' scale"
            )

    def standardise_over(self, rollout: Steps) -> None:
        """Make rewards over a rollout zero mean and unit spread, without any answer: for an untrained model."""
        features = self.features.of_steps(rollout).flatten(0, 1)
        self._see(features)
        self.ensemble.standardise(self.ensemble.per_member(features), self.settings.scale, UNTRAINED)

    def member_returns(self, segments: Segments) -> np.ndarray | None:
        """Each member's predicted returns, in the units of its log-odds: (N,) -> (E, N). None before the first fit."""
        if self.version == 0:
            return None
        return self._member_rewards(segments).sum(-1).numpy()

    def member_rewards(self, segments: Segments) -> Tensor | None:
        """Each member's rewards, not standardised: (N,) -> (E, N, T). None before the first fit."""
        return self._member_rewards(segments) if self.version else None

    def _member_rewards(self, segments: Segments) -> Tensor:
        """Not standardised, on the CPU: (N,) -> (E, N, T)"""
        block = self.features.block
        found = [
            self.ensemble.per_member(self.encode(segments[start : start + block])).cpu()
            for start in range(0, max(1, len(segments)), block)
        ]
        return found[0] if len(found) == 1 else torch.cat(found, 1)

    def recent_queries(self, most: int) -> list[int]:
        """The numbers of the questions that were answered last."""
        return self._query[-most:].tolist()

    def opinion(self, segments: Segments) -> tuple[np.ndarray, np.ndarray]:
        """For people: each step's reward, and how likely the first is preferred: (Q, 2) -> (Q, 2, T), (Q,)"""
        per_member = self._member_rewards(segments.flat()).unflatten(1, (-1, 2))  # (E, Q, 2, T)
        returns = per_member.sum(-1)
        chosen = pair.probability(returns[..., 0] - returns[..., 1], self.settings.error).mean(0)
        return per_member.mean(0).numpy(), chosen.numpy()

    def add(self, answers: Feedback) -> None:
        """Remember answers; skipped ones teach nothing. Corrected ones (`answers.whole`) take the place of all."""
        told = answers
        self.fresh += self._changed(told) if answers.whole else len(told)
        if answers.whole:
            self.memory.clear()
            self._preferences, self._returns = self._preferences[:0], self._returns[:0]
            self._query, self._where = self._query[:0], self._where[:0]
        if not len(told):
            return
        last = slice(-self.settings.window, None)
        self.memory.add(told.segments, self.settings.window)
        said = torch.as_tensor(told.answer["preference"], dtype=torch.float32)
        self._preferences = torch.cat([self._preferences, said])[last]
        earned = torch.as_tensor(told.segments.true_returns, dtype=torch.float32)
        self._returns = torch.cat([self._returns, earned])[last]
        self._query = np.concatenate([self._query, told.query])[last]
        where = np.stack([told.segments.env_index, told.segments.start_step], -1)
        self._where = np.concatenate([self._where, where])[last]

    def _changed(self, told: Feedback) -> int:
        """How many answers these differ in from those remembered; at least one, as something was corrected."""
        before = set(zip(self._query.tolist(), self._preferences.tolist(), strict=True))
        now = set(zip(told.query.tolist(), told.answer["preference"].astype(np.float32).tolist(), strict=True))
        return max(1, len(now - before), len(before - now))

    def hear(self, answers: Feedback | None) -> bool:
        """Remember new answers, if any. Returns whether a fit is worth its time now.

        It is as long as there are FEW, later once the new ones are a share `refit` of those known to the last fit, or
        none have come for PAUSE turns.
        """
        self.silence = self.silence + 1 if answers is None else 0
        if answers is not None:
            self.add(answers)
        return self.fresh > 0 and (self.silence >= PAUSE or self.fresh >= self.settings.refit * (self.known - FEW))

    def fit(self, step: int) -> FitReport:
        """Learn from all answers heard so far."""
        started = time.process_time()
        fresh, self.known, self.fresh = self.fresh, len(self._preferences), 0
        decisive = int((self._preferences != 0.5).sum())
        if decisive < FEWEST:
            return self._unchanged(
                f"only {decisive} decisive answers so far; the reward model starts at {FEWEST} of them"
            )
        batch = self._batch(fresh)
        before = copy.deepcopy(self.ensemble.state_dict())
        fitted = self.fitter.fit(batch, self._passes(), stream(self.seed, "fit", step))
        self.version += 1
        found = [self.ensemble.per_member(block) for block in self.memory.latest(LATEST)]
        rewards = found[0] if len(found) == 1 else torch.cat(found, 1)  # (E, Q, 2, T)
        self._require_finite(bool(torch.isfinite(rewards).all()))
        informative = self.ensemble.standardise(rewards.flatten(1), self.settings.scale)
        note = "" if informative else "the answers made all rewards alike; the reward of the previous fit was kept"
        if not informative:
            self.ensemble.load_state_dict(before)
        seconds = time.process_time() - started
        self.cpu_seconds += seconds
        return FitReport(
            len(self._preferences), decisive, fitted.epochs, fitted.updates, fitted.train_loss, fitted.held_out_loss,
            fitted.l2, seconds, self._held_out_metrics(rewards.sum(-1).cpu(), batch), note,
        )  # fmt: skip

    def _passes(self) -> int:
        """The most passes of a fit over the answers."""
        if self.version == 0 or not self.settings.warm:
            return self.settings.first_epochs
        steps = min(PASS, len(self._preferences)) * self.memory.length
        return min(self.settings.epochs, max(1, MOST // steps))

    def tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint keeps of the networks and their optimiser."""
        packed, _ = pack_optimiser(self.fitter.optimiser, "optimiser.")
        return {f"ensemble.{name}": values for name, values in self.ensemble.state_dict().items()} | packed

    def state(self) -> dict[str, Any]:
        """The rest of it, as JSON. The answers are in the label store."""
        groups = pack_optimiser(self.fitter.optimiser, "optimiser.")[1]
        counts = {"version": self.version, "known": self.known, "fresh": self.fresh, "silence": self.silence}
        return counts | {"l2": self.fitter.l2, "groups": groups, "cpu_seconds": self.cpu_seconds}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Take up what `tensors` and `state` gave."""
        own = {k.removeprefix("ensemble."): v for k, v in tensors.items() if k.startswith("ensemble.")}
        self.ensemble.load_state_dict(own)
        unpack_optimiser(self.fitter.optimiser, "optimiser.", tensors, state["groups"])
        self.version, self.known, self.silence = state["version"], state["known"], state["silence"]
        self.fresh = state["fresh"]
        self.fitter.l2, self.cpu_seconds = list(state["l2"]), state["cpu_seconds"]

    def _unchanged(self, note: str) -> FitReport:
        nan = float("nan")
        return FitReport(
            len(self._preferences), int((self._preferences != 0.5).sum()), 0, 0, nan, nan, nan, 0.0, {}, note
        )

    def _see(self, features: Tensor) -> None:
        """Take these features (N, d) as the measure by which features are standardised; pictures are their own."""
        if not len(self.features.kinds):
            return
        mean, std = features.mean(0), features.std(0)
        weights = {
            "state": 1.0,
            "choice": 1.0,
            "change": self.settings.change_scale,
            "push": self.settings.action_scale,
        }
        device = self.ensemble.scale.device
        weight = torch.tensor([weights[kind] for kind in self.features.kinds])
        self.ensemble.see(mean.to(device), std.to(device), weight.to(device))

    def _batch(self, fresh: int = 0) -> Answers:
        """The answers as the fitter wants them.

        Bootstrap weights are Poisson(1), the limit of drawing with replacement: 1/e of the answers of each member weigh
        nothing and are held out, and a question keeps its weight for life, also when its answer is corrected, so that a
        warm start never trains on what it is validated on. Held-out answers that share steps with a member's training
        answers are left out altogether.
        """
        if isinstance(self.memory, VectorMemory):
            self._see(self.memory.held.flatten(0, 2))
        features = self.memory.prepared(self.ensemble)
        drawn = stream(self.seed, "bootstrap").poisson(1.0, (self._query.max(), len(self.ensemble.members)))
        weights = drawn[self._query - 1].T  # (E, Q)
        train = [np.flatnonzero(w) for w in weights]
        held_out = [self._apart(np.flatnonzero(w == 0), t) for w, t in zip(weights, train, strict=True)]
        if not self.settings.bootstrap:
            weights = np.minimum(weights, 1)
        first_fresh = max(0, len(self._preferences) - fresh)  # what was corrected comes last, too
        device = self.ensemble.scale.device
        drawn_weights = torch.from_numpy(weights).float().to(device)
        returns = (self._returns - self._returns.mean()) / self._returns.std().clamp(min=1e-6)
        told = self._preferences.to(device), returns.to(device)
        return Answers(features, *told, drawn_weights, train, held_out, first_fresh)

    def _apart(self, held_out: np.ndarray, train: np.ndarray) -> np.ndarray:
        """The held-out answers no segment of which overlaps with a segment of the training answers."""
        if not len(train):
            return held_out
        place = self._where[..., 0] * 2**40 + self._where[..., 1]  # all environments on one line, far apart
        taken = np.sort(place[train].ravel())
        asked = place[held_out]  # (H, 2)
        after = np.searchsorted(taken, asked)
        nearest = [np.abs(taken[np.clip(at, 0, len(taken) - 1)] - asked) for at in (after - 1, after)]
        return held_out[(np.minimum(*nearest) >= self.memory.length).all(1)]

    def _held_out_metrics(self, returns: Tensor, batch: Answers) -> dict[str, float]:
        """Metrics of the mean prediction of those members that have not trained on an answer.

        returns: (E, Q, 2), of the latest Q answers.
        """
        chosen = pair.probability(returns[..., 0] - returns[..., 1], self.settings.error).numpy()
        first = len(self._preferences) - chosen.shape[1]
        votes = np.full(chosen.shape, np.nan)
        for e, rows in enumerate(batch.held_out):
            latest = rows[rows >= first] - first
            votes[e, latest] = chosen[e, latest]
        judged = ~np.isnan(votes).all(0)
        if not judged.any():
            return {}
        return preference_metrics(np.nanmean(votes[:, judged], axis=0), self._preferences.numpy()[first:][judged])
