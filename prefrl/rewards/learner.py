"""Fitting a reward ensemble to answers: bootstrap, held-out answers, adaptive L2, early stopping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefrl.config.settings import RewardConfig
from prefrl.rewards.ensemble import RewardEnsemble
from prefrl.rewards.objectives import OBJECTIVES

RATIO = (1.1, 1.5)  # wanted held-out loss over training loss (Christiano et al. 2017, 2.2.3)
L2_STEP, L2_LEAST, L2_MOST = 1.5, 1e-6, 0.1
ENOUGH = 1e-3  # nats: a smaller gain on held-out answers is none
PASS, CHECK = 96, 50  # most answers in a pass, and most held-out ones in a check: a fit's cost does not grow for ever
SHORT = 5  # passes of a fit that nobody would stop early: one look at held-out answers, at its end, adapts the L2
FEW_PICTURES = 8  # answers that are checked at a time where each shows hundreds of pictures


Part = tuple[int, Tensor]  # a member, and the rows of some of its answers


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
            self.ensemble.start_over()
            self.optimiser = self._fresh_optimiser()
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
            checks = self._held_out_losses(answers, checked)
            self._adapt_l2(losses, checks)
            train, held_out = float(losses.mean()), _mean(checks)
            if np.isfinite(held_out):  # else nothing is held out, and nothing says when to stop
                best, idle = (held_out, 0) if held_out < best - ENOUGH else (best, idle + 1)
        return Fitted(done, updates, train, held_out, float(np.mean(self.l2)))

    def _pass(self, answers: Answers, rng: np.random.Generator) -> np.ndarray:
        """One pass of every member over its answers, or PASS of them, in minibatches. Returns training losses (E,)"""
        orders = [draw(rows, answers.fresh, rng) for rows in answers.train]
        found: list[list[Tensor]] = [[] for _ in orders]
        for block in blocks(orders, self.settings.batch_size):
            self.optimiser.zero_grad(set_to_none=True)
            for part in [block] if self.all_at_once else [[one] for one in block]:
                losses = [self._loss(one, predicted, answers) for one, predicted in self._returns(part, answers)]
                sum(losses, torch.zeros((), device=losses[0].device)).backward()
                for (member, rows), loss in zip(part, losses, strict=True):
                    found[member].append(loss.detach() * len(rows))
            self.optimiser.step()
        sums = [sum(torch.stack(losses).tolist()) if losses else 0.0 for losses in found]  # read once, for a GPU's sake
        return np.array(sums) / np.maximum([len(order) for order in orders], 1)

    @property
    def all_at_once(self) -> bool:
        """Whether members share a backward pass: what one remembers of pictures is large, of one member at a time."""
        return self.ensemble.axes == 1 or self.ensemble.together is not None

    def _loss(self, one: Part, predicted: Tensor, answers: Answers) -> Tensor:
        member, rows = one
        weights = answers.weights[member, rows]
        losses = self.loss(predicted, answers.preferences[rows], answers.returns[rows], self.settings.error)
        return (weights * losses).sum() / weights.sum()

    @torch.no_grad()
    def _held_out_losses(self, answers: Answers, checked: list[np.ndarray]) -> np.ndarray:
        """Mean loss of each member over answers that it has not learned from, NaN where there are none: (E,)"""
        found: list[list[Tensor]] = [[] for _ in checked]
        for block in blocks(checked, CHECK if self.ensemble.axes == 1 else FEW_PICTURES):
            for (member, rows), predicted in self._returns(block, answers):
                told = answers.preferences[rows], answers.returns[rows]
                found[member].append(self.loss(predicted, *told, self.settings.error))
        return np.array([torch.cat(losses).mean().item() if losses else np.nan for losses in found])

    def _returns(self, block: list[Part], answers: Answers) -> Iterator[tuple[Part, Tensor]]:
        """Each part with the returns that its member predicts for it: (B, 2)"""
        alike = len(block) == len(self.ensemble.members) and len({len(rows) for _, rows in block}) == 1
        if self.ensemble.together and alike:
            features = torch.stack([answers.features[rows] for _, rows in block])  # (E, B, 2, T, *features)
            together = self.ensemble.of_all(features.flatten(1, 3)).reshape(features.shape[:4]).sum(-1)
            yield from zip(block, together, strict=True)
            return
        for member, rows in block:
            features = answers.features[rows]  # (B, 2, T, *features)
            rewards = self.ensemble.of(member, features.flatten(0, 2)).reshape(features.shape[:3])
            yield (member, rows), rewards.sum(-1)

    def _adapt_l2(self, train: np.ndarray, held_out: np.ndarray) -> None:
        for e, group in enumerate(self.optimiser.param_groups):
            if held_out[e] > RATIO[1] * train[e] > 0:  # 0: this member has drawn no answer yet
                self.l2[e] = min(self.l2[e] * L2_STEP, L2_MOST)
            elif held_out[e] < RATIO[0] * train[e]:
                self.l2[e] = max(self.l2[e] / L2_STEP, L2_LEAST)
            group["weight_decay"] = self.l2[e]


def blocks(orders: list[np.ndarray], size: int) -> Iterator[list[Part]]:
    """The members' answers in their order, `size` of each at a time; who has none left is left out."""
    for start in range(0, max(map(len, orders)), size):
        yield [
            (e, torch.from_numpy(order[start : start + size])) for e, order in enumerate(orders) if start < len(order)
        ]


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
