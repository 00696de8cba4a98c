"""The reward model: learns from answers and predicts rewards. The preference loop's interface to reward learning."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefrl.config.settings import RewardConfig
from prefrl.core.data import Feedback, Segments
from prefrl.core.errors import NonFiniteError
from prefrl.core.streams import stream
from prefrl.core.tensors import Tensors
from prefrl.kinds import kind_of
from prefrl.rewards.base import FitReport, Steps
from prefrl.rewards.encoding import Inputs
from prefrl.rewards.ensemble import MakeNetwork, RewardEnsemble
from prefrl.rewards.fits import FITS, Fitted, Labelled, TrainingData
from prefrl.rewards.mixed import Layout, MixedEnsemble
from prefrl.rewards.sequences import of_rollout
from prefrl.rewards.training_answers import Answers, metrics_of_kinds

FEWEST = 4  # decisive answers before a reward is worth following
FEW = 50  # answers up to which each new one is worth a fit, which is cheap by then
PAUSE = 3  # turns without new answers, after which even a few are learned from
LATEST = 100  # answers of a kind over which rewards are standardised and validated: about recent behaviour


class RewardModel:
    """An ensemble fitted to answers of any kinds. Its reward is constant between fits, and zero before the first."""

    def __init__(
        self,
        settings: RewardConfig,
        inputs: Inputs,
        network: MakeNetwork,
        seed: int,
        device: torch.device | str = "cpu",
        unlabelled: Callable[[np.random.Generator], Segments] | None = None,
    ):
        """unlabelled: draws segments (N,) of the agent's recent steps"""
        self.settings, self.inputs, self.seed, self.unlabelled = settings, inputs, seed, unlabelled
        make: Callable[..., RewardEnsemble] = MixedEnsemble if isinstance(inputs.size, Layout) else RewardEnsemble
        self.ensemble = make(inputs.size, network, settings.members).to(device)
        self.fitter = FITS[settings.fit][0](self.ensemble, settings, seed)
        self.answers: dict[str, Answers] = {}  # by kind
        self.version = 0  # fits so far
        self.known = 0  # answers in the last fit
        self.idle_turns = 0  # since answers came
        self.cpu_seconds = 0.0  # spent on fitting
        self._received = False  # whether answers came in this turn

    # -- rewards and predictions

    def rewards(self, rollout: Steps) -> np.ndarray:
        """What the agent is paid for a rollout: (n, n_envs)"""
        if self.ensemble.sequential:
            features, begins = of_rollout(self.inputs.of_steps, rollout)
            rewards = self.ensemble.rewards(features, begins).T[-len(rollout.actions) :].cpu().numpy()
        else:
            features = self.inputs.of_steps(rollout)
            rewards = self.ensemble.rewards(features.flatten(0, 1)).reshape(features.shape[:2]).cpu().numpy()
        self._require_finite(bool(np.isfinite(rewards).all()))
        return rewards

    def _require_finite(self, finite: bool) -> None:
        if not finite:
            raise NonFiniteError(
                f"the reward model (fit {self.version}) gave NaN or infinite rewards;"
                " lower reward.learning_rate, or look at the observations' scale"
            )

    def member_rewards(self, segments: Segments) -> Tensor | None:
        """Each member's rewards, in the units of its log-odds: (N,) -> (E, N, T). None before the first fit."""
        return self._member_rewards(segments) if self.version else None

    def _member_rewards(self, segments: Segments) -> Tensor:
        """Not standardised, on the CPU: (N,) -> (E, N, T)"""
        block = self.inputs.block
        rewards = [
            self.ensemble.per_member(self.inputs.of_segments(segments[start : start + block])).cpu()
            for start in range(0, max(1, len(segments)), block)
        ]
        return torch.cat(rewards, 1)

    def predict(self, kind: str, segments: Segments) -> tuple[np.ndarray, np.ndarray]:
        """Each step's reward, and the chances of a question's outcomes: (Q, K) -> (Q, K, T), (Q, A)"""
        rewards = self._member_rewards(segments.flat()).unflatten(1, segments.true_rewards.shape[:2])  # (E, Q, K, T)
        if not kind_of(kind).outcomes:
            return rewards.mean(0).numpy(), np.zeros((len(segments), 0))
        return rewards.mean(0).numpy(), kind_of(kind).predict(rewards, self.settings.error).mean(0).numpy()

    # -- answers

    def hear(self, feedback: Feedback) -> None:
        """Remember answers; if they are all of their kind that stand (`whole`), in place of earlier ones."""
        self._received = True
        if feedback.kind not in self.answers:
            self.answers[feedback.kind] = Answers(kind_of(feedback.kind), self.inputs, self.settings.window)
            self.answers = dict(sorted(self.answers.items()))  # fits draw in this order
        self.answers[feedback.kind].add(feedback)

    def due(self) -> bool:
        """Whether a fit is worth its time now. To be called once a turn: it counts those without answers.

        It is as long as there are FEW answers, later once the new ones are a share `refit` of those known to the last
        fit, or none have come for PAUSE turns.
        """
        self.idle_turns, self._received = 0 if self._received else self.idle_turns + 1, False
        fresh = sum(answers.fresh for answers in self.answers.values())
        return fresh > 0 and (self.idle_turns >= PAUSE or fresh >= self.settings.refit * (self.known - FEW))

    def recent_queries(self, most: int) -> list[int]:
        """The numbers of the questions that were answered last, of each kind."""
        return [query for answers in self.answers.values() for query in answers.query[-most:].tolist()]

    # -- fits

    def fit(self, step: int) -> FitReport:
        """Learn from all answers received so far."""
        started = time.process_time()
        data = self.training_data()
        self.known, decisive = sum(map(len, self.answers.values())), sum(a.decisive for a in self.answers.values())
        for answers in self.answers.values():
            answers.fresh = 0
        if decisive < FEWEST:
            note = f"only {decisive} decisive answers so far; the reward model starts at {FEWEST} of them"
            fitted, metrics = Fitted(0, 0, np.nan, np.nan), dict[str, float]()
        else:
            fitted, metrics, note = self._fitted(data, step)
        seconds = time.process_time() - started
        self.cpu_seconds += seconds
        return FitReport(
            self.known, decisive, fitted.epochs, fitted.updates, fitted.train_loss, fitted.held_out_loss, fitted.l2,
            seconds, metrics, note,
        )  # fmt: skip

    def _fitted(self, data: TrainingData, step: int) -> tuple[Fitted, dict[str, float], str]:
        """Fit the ensemble and standardise its rewards. Returns also metrics, and why the reward stayed, if it did."""
        before = copy.deepcopy(self.ensemble.state_dict())
        fitted = self.fitter.fit(data, stream(self.seed, "fit", step))
        self.version += 1
        answered = [self.answers[part.kind.name] for part in data.labelled]
        rewards = [  # (E, N, K, T) of each kind's latest answers
            torch.cat([self.ensemble.per_member(block) for block in answers.memory.latest(LATEST)], 1)
            for answers in answered
        ]
        each = torch.cat([own.flatten(1) for own in rewards], 1)
        self._require_finite(bool(torch.isfinite(each).all()))
        note = ""
        if not self.ensemble.standardise(each, self.settings.scale):
            self.ensemble.load_state_dict(before)
            note = "the answers made all rewards alike; the reward of the previous fit was kept"
        metrics = {
            answers.kind.name: answers.metrics(own.cpu(), held_out, self.settings.error)
            for answers, own, held_out in zip(answered, rewards, fitted.held_out or [[]] * len(rewards), strict=True)
        }
        return fitted, metrics_of_kinds(metrics), note

    def training_data(self) -> TrainingData:
        """All answers as training data; features are standardised over their segments."""
        answered = [answers for answers in self.answers.values() if len(answers)]
        if answered and len(self.inputs.feature_kinds):
            self.set_input_scale(torch.cat([answers.memory.numbers.flatten(0, 2) for answers in answered]))
        every = torch.cat([answers.returns.flatten() for answers in answered]) if answered else torch.zeros(0)
        device = self.ensemble.scale.device
        labelled = [
            Labelled(
                kind=answers.kind,
                inputs=answers.memory.prepared(self.ensemble),
                answer={name: values.to(device) for name, values in answers.answer.items()},
                returns=((answers.returns - every.mean()) / every.std().clamp(min=1e-6)).to(device),
                query=answers.query,
                places=answers.places,
                length=answers.memory.numbers.shape[2],
                fresh=max(0, len(answers) - answers.fresh),  # what was corrected comes last, too
            )
            for answers in answered
        ]
        return TrainingData(labelled, self.version, self._unlabelled)

    def _unlabelled(self, most: int, rng: np.random.Generator) -> Tensor:
        """Unlabelled segments as members take them: (N, T, *features)"""
        assert self.unlabelled is not None, "this reward model was made without a source of unlabelled segments"
        segments = self.unlabelled(rng)
        chosen = segments[np.sort(rng.permutation(len(segments))[:most])]
        return self.ensemble.scaled(self.inputs.of_segments(chosen).to(self.ensemble.scale.device))

    def set_input_scale(self, features: Tensor) -> None:
        """Standardise features by the statistics of these (N, d)."""
        change, push = self.settings.change_scale, self.settings.action_scale
        weights = {"state": 1.0, "choice": 1.0, "change": change, "push": push}
        device = self.ensemble.scale.device
        weight = torch.tensor([weights[kind] for kind in self.inputs.feature_kinds])
        self.ensemble.set_input_scale(features.mean(0).to(device), features.std(0).to(device), weight.to(device))

    # -- checkpoints

    def tensors(self) -> Tensors:
        """The networks' and the fitter's tensors."""
        return {f"ensemble.{name}": v for name, v in self.ensemble.state_dict().items()} | self.fitter.tensors()

    def state(self) -> dict[str, object]:
        """The rest of what a checkpoint keeps, as JSON. The answers are in the label store."""
        fresh = {kind: answers.fresh for kind, answers in self.answers.items()}
        counts = {"version": self.version, "known": self.known, "fresh": fresh, "silence": self.idle_turns}
        return self.fitter.state() | counts | {"cpu_seconds": self.cpu_seconds}

    def restore(self, tensors: Tensors, state: dict[str, Any]) -> None:
        """Restore what `tensors` and `state` returned, after `hear` was given the answers."""
        own = {k.removeprefix("ensemble."): v for k, v in tensors.items() if k.startswith("ensemble.")}
        self.ensemble.load_state_dict(own)
        self.fitter.restore({k: v for k, v in tensors.items() if not k.startswith("ensemble.")}, state)
        self.version, self.known, self.idle_turns = state["version"], state["known"], state["silence"]
        self.cpu_seconds, self._received = state["cpu_seconds"], False
        for kind, answers in self.answers.items():  # the first release knew one kind, and kept its number alone
            answers.fresh = state["fresh"].get(kind, 0) if isinstance(state["fresh"], dict) else state["fresh"]
