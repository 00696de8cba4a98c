"""The recipe of Christiano et al. 2017 (2.2.3): bootstrap, held-out answers, adaptive L2, early stopping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefrl.config.settings import RewardConfig
from prefrl.core.streams import stream
from prefrl.core.tensors import Tensors, pack_optimiser, unpack_optimiser
from prefrl.rewards.ensemble import RewardEnsemble
from prefrl.rewards.fits.base import OBJECTIVES, Fitted, Labelled, TrainingData

RATIO = (1.1, 1.5)  # wanted held-out loss over training loss (Christiano et al. 2017, 2.2.3)
L2_STEP, L2_LEAST, L2_MOST = 1.5, 1e-6, 0.1
ENOUGH = 1e-3  # nats: a smaller gain on held-out answers is none
PASS, CHECK = 96, 50  # most answers of a kind in a pass, and most held-out ones in a check: a fit's cost stays bounded
MOST = 10_000  # answers times steps of a segment that a member looks at in a warm fit, for the same reason
SHORT = 5  # passes of a fit that nobody would stop early: one look at held-out answers, at its end, adapts the L2
FEW_PICTURES = 8  # answers that are checked at a time where each shows hundreds of pictures

Part = tuple[int, Tensor]  # a member, and the rows of some of its answers


@dataclass(frozen=True)
class Split:
    """The answers of one kind, for each of E members."""

    labelled: Labelled
    weights: Tensor  # (E, Q) how often a member has drawn the answer
    train: list[np.ndarray]  # per member: the answers that it learns from
    held_out: list[np.ndarray]  # per member: those that it is validated on


class Bootstrap:
    """Owns the optimiser and each member's L2, which are kept between fits for a warm start."""

    def __init__(self, ensemble: RewardEnsemble, settings: RewardConfig, seed: int):
        self.ensemble, self.settings, self.seed = ensemble, settings, seed
        self.objective = OBJECTIVES[settings.objective][0]
        self.l2 = [settings.l2] * len(ensemble.members)
        self.optimiser = self._fresh_optimiser()

    def _fresh_optimiser(self) -> torch.optim.Adam:
        groups = [
            {"params": list(m.parameters()), "weight_decay": l2}
            for m, l2 in zip(self.ensemble.members, self.l2, strict=True)
        ]
        return torch.optim.Adam(groups, lr=self.settings.learning_rate, fused=True)

    def fit(self, data: TrainingData, rng: np.random.Generator) -> Fitted:
        """Train for a number of passes at most, fewer once held-out answers stop improving."""
        if not self.settings.warm:
            self.ensemble.start_over()
            self.optimiser = self._fresh_optimiser()
        return self._fit(data, rng)

    def _fit(self, data: TrainingData, rng: np.random.Generator) -> Fitted:
        splits = self.splits(data)
        passes = self._passes(data)
        best, idle, done, updates, train, held_out = np.inf, 0, 0, 0, np.nan, np.nan
        checked = [[rng.permutation(rows)[:CHECK] for rows in own.held_out] for own in splits]
        while done < passes and idle < self.settings.patience:
            done += 1
            self.ensemble.train()
            losses = self._pass(splits, rng)
            updates += sum(min(len(rows), PASS) for own in splits for rows in own.train)
            if passes <= SHORT and done < passes:
                continue
            self.ensemble.eval()
            checks = np.stack(
                [self._held_out_losses(own.labelled, rows) for own, rows in zip(splits, checked, strict=True)]
            )
            self._adapt_l2(*_comparable(losses, checks))
            train, held_out = float(losses.mean()), _mean(checks)
            if np.isfinite(held_out):  # else nothing is held out, and nothing says when to stop
                best, idle = (held_out, 0) if held_out < best - ENOUGH else (best, idle + 1)
        return Fitted(done, updates, train, held_out, float(np.mean(self.l2)), [own.held_out for own in splits])

    def splits(self, data: TrainingData) -> list[Split]:
        """Answers by kind, and how members share them."""
        return split(data.labelled, len(self.l2), self.seed, self.settings.bootstrap)

    def _passes(self, data: TrainingData) -> int:
        """The most passes of a fit over the answers."""
        if data.fits == 0 or not self.settings.warm:
            return self.settings.first_epochs
        steps = sum(min(PASS, len(answers.query)) * answers.length for answers in data.labelled)
        return min(self.settings.epochs, max(1, MOST // steps))

    def _pass(self, splits: list[Split], rng: np.random.Generator) -> np.ndarray:
        """One pass of every member over its answers, or PASS of each kind, in minibatches. Returns training losses (kinds, E)

        A minibatch is of one kind; those of several kinds come in random order.
        """
        orders = [[draw(rows, own.labelled.fresh, rng) for rows in own.train] for own in splits]
        totals: list[list[list[Tensor]]] = [[[] for _ in order] for order in orders]
        batches = [
            (kind, block) for kind, order in enumerate(orders) for block in blocks(order, self.settings.batch_size)
        ]
        if len(splits) > 1:
            batches = [batches[place] for place in rng.permutation(len(batches))]
        for kind, block in batches:
            for (member, rows), loss in zip(block, self._update(block, splits[kind]), strict=True):
                totals[kind][member].append(loss.detach() * len(rows))
        sums = [[sum(torch.stack(losses).tolist()) if losses else 0.0 for losses in each] for each in totals]
        return np.array(sums) / np.maximum([[len(rows) for rows in order] for order in orders], 1)

    def _update(self, block: list[Part], answers: Split) -> list[Tensor]:
        """One step of the optimiser on a minibatch. Returns the loss of each part."""
        self.optimiser.zero_grad(set_to_none=True)
        at_once = self.ensemble.axes == 1  # with pictures, which need much memory, one member at a time
        every: list[Tensor] = []
        for parts in [block] if at_once else [[part] for part in block]:
            losses = [weighted(self._losses(part, answers.labelled), answers.weights[part]) for part in parts]
            sum(losses, torch.zeros((), device=losses[0].device)).backward()
            every += losses
        self.optimiser.step()
        return every

    def _losses(self, part: Part, labelled: Labelled) -> Tensor:
        """The loss of each of a member's answers: (B,)"""
        return self.loss_of(self._rewards(part, labelled), part[1], labelled)

    def _rewards(self, part: Part, labelled: Labelled) -> Tensor:
        """A member's rewards of its answers' segments: (B, K, T)"""
        inputs = labelled.inputs(part[1])  # (B, K, T, *features)
        return self.ensemble.of(part[0], inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])

    def loss_of(self, rewards: Tensor, rows: Tensor, labelled: Labelled) -> Tensor:
        """The loss of each of some answers, given predicted rewards: (B, K, T), rows (B,) -> (B,)"""
        answer = {name: values[rows] for name, values in labelled.answer.items()}
        return self.objective(labelled.kind, rewards, answer, labelled.returns[rows], self.settings.error)

    @torch.no_grad()
    def _held_out_losses(self, labelled: Labelled, checked: list[np.ndarray]) -> np.ndarray:
        """Mean loss of each member over answers that it has not learned from, NaN where there are none: (E,)"""
        by_member: list[list[Tensor]] = [[] for _ in checked]
        for block in blocks(checked, CHECK if self.ensemble.axes == 1 else FEW_PICTURES):
            for part in block:
                by_member[part[0]].append(self._losses(part, labelled))
        return np.array([torch.cat(losses).mean().item() if losses else np.nan for losses in by_member])

    def _adapt_l2(self, train: np.ndarray, held_out: np.ndarray) -> None:
        """Keep held-out losses in RATIO to training losses: (E,) each, NaN where there is nothing to compare"""
        for e, group in enumerate(self.optimiser.param_groups):
            if held_out[e] > RATIO[1] * train[e] > 0:  # 0: this member has drawn no answer yet
                self.l2[e] = min(self.l2[e] * L2_STEP, L2_MOST)
            elif held_out[e] < RATIO[0] * train[e]:
                self.l2[e] = max(self.l2[e] / L2_STEP, L2_LEAST)
            group["weight_decay"] = self.l2[e]

    def tensors(self) -> Tensors:
        return pack_optimiser(self.optimiser, "optimiser.")[0]

    def state(self) -> dict[str, object]:
        return {"l2": self.l2, "groups": pack_optimiser(self.optimiser, "optimiser.")[1]}

    def restore(self, tensors: Tensors, state: dict[str, Any]) -> None:
        unpack_optimiser(self.optimiser, "optimiser.", tensors, state["groups"])
        self.l2 = list(state["l2"])


def weighted(losses: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean: (B,), (B,) -> ()"""
    return (weights * losses).sum() / weights.sum()


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


def _comparable(train: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each member's mean losses over those kinds of which it has answers of both sorts: (kinds, E) -> (E,), NaN if none"""
    both = (train != 0) & ~np.isnan(held_out)
    count = np.where(both.any(0), both.sum(0), np.nan)
    return tuple(np.where(both, losses, 0.0).sum(0) / count for losses in (train, held_out))  # type: ignore[return-value]


def _mean(values: np.ndarray) -> float:
    """The mean of the numbers among the values, infinity if there are none: then nothing can be said to improve."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else np.inf


def split(labelled: Sequence[Labelled], members: int, seed: int, bootstrap: bool) -> list[Split]:
    """Draw answers for each member: one split a kind. Without `bootstrap` an answer that is drawn twice counts once.

    Weights are Poisson(1), the limit of drawing with replacement: 1/e of the answers of each member weigh nothing and are
    held out, and a question keeps its weight for life, also when its answer is corrected, so that a warm start never
    trains on what it is validated on. Held-out answers that share steps with a member's training answers, of whatever
    kind, are left out altogether.
    """
    last = max(int(part.query.max()) for part in labelled)
    drawn = stream(seed, "bootstrap").poisson(1.0, (last, members))
    weights = [drawn[part.query - 1].T for part in labelled]  # (E, Q) each
    train = [[np.flatnonzero(own) for own in each] for each in weights]
    splits = []
    for part, each, rows in zip(labelled, weights, train, strict=True):
        taught = [[(other, train[k][e]) for k, other in enumerate(labelled)] for e in range(members)]
        held_out = [_apart(part, np.flatnonzero(own == 0), taught[e]) for e, own in enumerate(each)]
        counted = torch.from_numpy(each if bootstrap else np.minimum(each, 1)).float().to(part.returns.device)
        splits.append(Split(part, counted, rows, held_out))
    return splits


def _apart(part: Labelled, held_out: np.ndarray, taught: list[tuple[Labelled, np.ndarray]]) -> np.ndarray:
    """The held-out answers no segment of which overlaps with a segment of the training answers (of each kind, rows)."""
    begins = part.places[held_out]  # (H, K)
    clear = np.ones(begins.shape, bool)
    for other, rows in taught:
        if not len(rows):
            continue
        taken = np.sort(other.places[rows].ravel())
        after = np.searchsorted(taken, begins)
        for at in (after - 1, after):
            ahead = taken[np.clip(at, 0, len(taken) - 1)] - begins
            clear &= np.where(ahead >= 0, ahead >= part.length, -ahead >= other.length)
    return held_out[clear.all(1)]
