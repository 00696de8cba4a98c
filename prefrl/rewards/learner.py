"""Fitting a reward ensemble to answers: bootstrap, held-out answers, adaptive L2, early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefrl.config import RewardConfig
from prefrl.rewards.ensemble import RewardEnsemble
from prefrl.rewards.objectives import OBJECTIVES

RATIO = (1.1, 1.5)  # wanted held-out loss over training loss (Christiano et al. 2017, 2.2.3)
L2_STEP, L2_LEAST, L2_MOST = 1.5, 1e-6, 0.1
ENOUGH = 1e-3  # nats: a smaller gain on held-out answers is none
PASS, CHECK = 96, 50  # most answers in a pass, and most held-out ones in a check: a fit's cost does not grow for ever
SHORT = 5  # passes of a fit that nobody would stop early: one look at held-out answers, at its end, adapts the L2
FEW_PICTURES = 8  # answers that are checked at a time where each shows hundreds of pictures


@dataclass
class Answers:
    """What a fit learns from, and which members may see which answer."""

    features: Any  # rows (B,) -> (B, 2, T, d) standardised features, or pictures (B, 2, T, C, H, W)
    preferences: Tensor  # (Q,) probability that the first is better
    returns: Tensor  # (Q, 2) true returns of the segments, over all answers of zero mean and unit spread
    weights: Tensor  # (E, Q) how often a member has drawn the answer
    train: list[np.ndarray]  # per member: the answers that it learns from
    held_out: list[np.ndarray]  # per member: those that it is validated on
    fresh: int = 0  # index of the first that no fit has seen yet


@dataclass(frozen=True)
class Fitted:
    """How a fit went; losses are means over members and answers (preferences: in nats)."""

    epochs: int
    updates: int  # pair-member updates
    train_loss: float
    held_out_loss: float
    l2: float


class Fitter:
    """Owns the optimiser and each member's L2. Both live from fit to fit, so that a warm start is one."""

    def __init__(self, ensemble: RewardEnsemble, settings: RewardConfig):
        self.ensemble, self.settings = ensemble, settings
        self.loss = OBJECTIVES[settings.objective].loss
        self.l2 = [settings.l2] * len(ensemble.members)
        self.optimiser = self._fresh_optimiser()

    def _fresh_optimiser(self) -> torch.optim.Adam:
        groups = [
            {"params": list(m.parameters()), "weight_decay": l2}
            for m, l2 in zip(self.ensemble.members, self.l2, strict=True)
        ]
        return torch.optim.Adam(groups, lr=self.settings.learning_rate, fused=True)

    def fit(self, answers: Answers, epochs: int, rng: np.random.Generator) -> Fitted:
        """Train for at most `epochs` passes, fewer once held-out answers stop improving."""
        if not self.settings.warm:
            self._start_over()
        best, idle, done, updates, train, held_out = np.inf, 0, 0, 0, np.nan, np.nan
        checked = [rng.permutation(rows)[:CHECK] for rows in answers.held_out]
        while done < epochs and idle < self.settings.patience:
            done += 1
            self.ensemble.train()
            losses = self._pass(answers, rng)
            updates += sum(min(len(rows), PASS) for rows in answers.train)
            if epochs <= SHORT and done < epochs:
                continue
            self.ensemble.eval()
            checks = np.array([self._held_out_loss(e, answers, rows) for e, rows in enumerate(checked)])
            self._adapt_l2(losses, checks)
            train, held_out = float(losses.mean()), _mean(checks)
            if np.isfinite(held_out):  # else nothing is held out, and nothing says when to stop
                best, idle = (held_out, 0) if held_out < best - ENOUGH else (best, idle + 1)
        return Fitted(done, updates, train, held_out, float(np.mean(self.l2)))

    def _start_over(self) -> None:
        for layer in self.ensemble.members.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()  # type: ignore[operator]
        self.optimiser = self._fresh_optimiser()

    def _pass(self, answers: Answers, rng: np.random.Generator) -> np.ndarray:
        """One pass of every member over its answers, or PASS of them, in minibatches. Returns training losses (E,)"""
        size = self.settings.batch_size
        orders = [torch.from_numpy(draw(rows, answers.fresh, rng)) for rows in answers.train]
        sums = np.zeros(len(orders))
        for start in range(0, max(map(len, orders)), size):
            total = torch.zeros((), device=answers.weights.device)
            self.optimiser.zero_grad(set_to_none=True)
            for e, order in enumerate(orders):  # a summed loss over members beats batched matrix products on a CPU
                rows = order[start : start + size]
                if not len(rows):
                    continue
                loss = self._loss(e, answers, rows)
                sums[e] += loss.item() * len(rows)
                if self.ensemble.axes == 1:
                    total = total + loss
                else:
                    loss.backward()  # what a step over pictures remembers is large: of one member at a time
            if self.ensemble.axes == 1:
                total.backward()
            self.optimiser.step()
        return sums / np.maximum([len(order) for order in orders], 1)

    def _loss(self, member: int, answers: Answers, rows: Tensor) -> Tensor:
        weights, predicted = answers.weights[member, rows], self._returns(member, answers.features[rows])
        losses = self.loss(predicted, answers.preferences[rows], answers.returns[rows], self.settings.error)
        return (weights * losses).sum() / weights.sum()

    @torch.no_grad()
    def _held_out_loss(self, member: int, answers: Answers, rows: np.ndarray) -> float:
        if not len(rows):
            return np.nan
        size = CHECK if self.ensemble.axes == 1 else FEW_PICTURES
        blocks = [self._returns(member, answers.features[rows[at : at + size]]) for at in range(0, len(rows), size)]
        predicted = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        told = answers.preferences[rows], answers.returns[rows]
        return self.loss(predicted, *told, self.settings.error).mean().item()

    def _returns(self, member: int, features: Tensor) -> Tensor:
        """Predicted returns: (B, 2, T, *features) -> (B, 2)"""
        return self.ensemble.members[member](features.flatten(0, 2)).reshape(features.shape[:3]).sum(-1)

    def _adapt_l2(self, train: np.ndarray, held_out: np.ndarray) -> None:
        for e, group in enumerate(self.optimiser.param_groups):
            if held_out[e] > RATIO[1] * train[e] > 0:  # 0: this member has drawn no answer yet
                self.l2[e] = min(self.l2[e] * L2_STEP, L2_MOST)
            elif held_out[e] < RATIO[0] * train[e]:
                self.l2[e] = max(self.l2[e] / L2_STEP, L2_LEAST)
            group["weight_decay"] = self.l2[e]


def draw(rows: np.ndarray, fresh: int, rng: np.random.Generator) -> np.ndarray:
    """At most PASS of a member's answers in random order: half of them fresh ones, if there are so many.

    Drawn from all alike, few passes over many answers would hardly look at what the agent has done since.
    """
    old, new = rng.permutation(rows[rows < fresh]), rng.permutation(rows[rows >= fresh])
    old = old[: max(PASS // 2, PASS - len(new))]
    return rng.permutation(np.concatenate([old, new[: PASS - len(old)]]))


def _mean(values: np.ndarray) -> float:
    """The mean of the numbers among the values, infinity if there are none: then nothing can be said to improve."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else np.inf
