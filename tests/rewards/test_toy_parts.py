"""Parts of one's own: kinds of feedback, a way of fitting, a bonus and a reward network that looks at sequences.

Each is registered with one line, and nothing else of the package is edited.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pydantic import BaseModel
from torch import nn

from prefrl.config.settings import RewardConfig
from prefrl.core.data import Feedback, Segments
from prefrl.kinds import KINDS, Kind
from prefrl.rewards.bonuses import BONUSES, Bonus, PaidReward
from prefrl.rewards.controls import TrueReward
from prefrl.rewards.encoding import Features
from prefrl.rewards.ensemble import RewardEnsemble
from prefrl.rewards.fits import FITS, Fitted
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import ALL_NETWORKS, NETWORKS, mlp
from prefrl.rewards.sequences import first_steps

# -- kinds


class Good(BaseModel):
    good: float


class Rating(Kind):
    """Is this segment good? Of one segment: P(good) = sigmoid(its return)."""

    name, about, segments = "rating", "good or bad", 1
    places, outcomes, schema = ("clip",), ("bad", "good"), Good

    def loss(self, rewards, answer, error):
        return nn.functional.binary_cross_entropy(
            self.predict(rewards, error)[..., 1], answer["good"], reduction="none"
        )

    def predict(self, rewards, error=0.0):
        good = (1 - error) * rewards.sum((-1, -2)).sigmoid() + error / 2
        return torch.stack((1 - good, good), -1)

    def chances_of(self, answer):
        return np.stack([1 - answer["good"], answer["good"]], -1)


class Best(BaseModel):
    best: int


class BestOfThree(Kind):
    """Which of three segments is the best? A softmax of their returns."""

    name, about, segments = "best", "the best of three", 3
    places, outcomes, schema = ("a", "b", "c"), ("a", "b", "c"), Best

    def loss(self, rewards, answer, error):
        return -self.predict(rewards, error).log().gather(-1, answer["best"].long()[..., None])[..., 0]

    def predict(self, rewards, error=0.0):
        return (1 - error) * rewards.sum(-1).softmax(-1) + error / 3

    def chances_of(self, answer):
        return np.eye(3)[answer["best"].astype(int)]


class Scalar(Rating):
    """A number that the return should come to: a kind without outcomes."""

    name, outcomes = "scalar", ()

    def loss(self, rewards, answer, error):
        return (rewards.sum((-1, -2)) - answer["good"]).square()


ANSWERS = {
    "rating": lambda returns: {"good": (returns[:, 0] > 0).astype(float)},
    "best": lambda returns: {"best": returns.argmax(-1)},
    "scalar": lambda returns: {"good": returns[:, 0] / returns.std()},
}


@pytest.fixture
def asked(answered, monkeypatch):
    """A function: kind, count -> answers of a toy kind, which is registered; question numbers differ between kinds."""
    for kind in (Rating(), BestOfThree(), Scalar()):
        monkeypatch.setitem(KINDS, kind.name, kind)

    def made(kind: str, count: int, seed: int = 0) -> Feedback:
        shown = answered(2 * count, seed=100 + seed).segments.flat()
        chosen = shown[np.arange(KINDS[kind].segments * count).reshape(count, -1)]
        number = 1000 * (1 + list(ANSWERS).index(kind)) + np.arange(count)
        return Feedback(kind, chosen, ANSWERS[kind](chosen.true_returns), number, number)

    return made


def correlation(model: RewardModel, segments: Segments) -> float:
    """Between true returns and the members' mean prediction."""
    predicted = model.member_rewards(segments.flat()).sum(-1).mean(0)
    return float(np.corrcoef(predicted, segments.flat().true_returns)[0, 1])


@pytest.mark.parametrize("kind, chance", [("rating", 1 / 2), ("best", 1 / 3)])
def test_a_kind_alone_teaches_the_reward(kind, chance, asked, make_model, answered):
    model = make_model()
    model.hear(asked(kind, 120))
    assert model.due()
    report = model.fit(0)
    assert report.answers == report.decisive == 120 and report.metrics["accuracy"] > chance + 0.3
    assert correlation(model, answered(100, seed=1).segments) > 0.9
    unseen = asked(kind, 50, seed=9)
    rewards, chances = model.predict(kind, unseen.segments)
    assert rewards.shape == unseen.segments.true_rewards.shape and chances.shape == (50, len(KINDS[kind].outcomes))
    assert (chances.argmax(-1) == KINDS[kind].chances_of(unseen.answer).argmax(-1)).mean() > chance + 0.3


def test_a_kind_without_outcomes_teaches_the_reward_as_well(asked, make_model, answered):
    model = make_model()
    model.hear(asked("scalar", 120))
    report = model.fit(0)
    assert report.decisive == 120 and set(report.metrics) == {"log_loss"}
    assert correlation(model, answered(100, seed=1).segments) > 0.9
    assert model.predict("scalar", asked("scalar", 5).segments)[1].shape == (5, 0)


def test_several_kinds_are_learned_from_together(asked, make_model, answered):
    model, pairs_alone = make_model(), make_model()
    model.hear(answered(40))
    model.hear(asked("rating", 60))
    model.hear(asked("best", 60))
    pairs_alone.hear(answered(40))
    report, alone = model.fit(0), pairs_alone.fit(0)
    assert report.answers == 160 and report.updates > 3 * alone.updates
    metrics = report.metrics
    assert metrics["pair/accuracy"] > 0.7 and metrics["rating/accuracy"] > 0.7 and metrics["best/accuracy"] > 0.6
    assert metrics["accuracy"] == pytest.approx(np.mean([metrics[f"{k}/accuracy"] for k in ("pair", "rating", "best")]))
    unseen = answered(200, seed=1).segments
    assert correlation(model, unseen) > max(0.9, correlation(pairs_alone, unseen))
    assert set(model.recent_queries(2)) == {39, 40, 1058, 1059, 2058, 2059}


def test_the_order_in_which_kinds_are_heard_does_not_matter(asked, make_model, answered):
    """A resumed run hears all answers of each kind at once."""
    one, other, unseen = make_model(), make_model(), answered(20, seed=1).segments.flat()
    one.hear(answered(20))
    one.hear(asked("rating", 20))
    other.hear(asked("rating", 20)[:10])
    other.hear(answered(20))
    other.hear(asked("rating", 20)[10:])
    one.fit(0), other.fit(0)
    assert torch.equal(one.member_rewards(unseen), other.member_rewards(unseen))


def test_a_restored_model_knows_which_answers_of_each_kind_are_new(asked, make_model, answered, steps):
    model, again, unseen = make_model(), make_model(), steps(answered(20, seed=2))
    for feedback in (answered(30), asked("best", 30)):
        model.hear(feedback)
        again.hear(feedback)
    model.fit(0)
    model.hear(asked("rating", 5))
    again.hear(asked("rating", 5))
    again.restore({name: values.clone() for name, values in model.tensors().items()}, model.state())
    assert {kind: answers.fresh for kind, answers in again.answers.items()} == {"pair": 0, "best": 0, "rating": 5}
    model.fit(1), again.fit(1)
    assert np.array_equal(again.rewards(unseen), model.rewards(unseen))


def test_a_state_of_the_first_release_is_restored(make_model, answered):
    """It counted new answers of its one kind."""
    model, again = make_model(), make_model()
    for each in (model, again):
        each.hear(answered(20))
    model.fit(0)
    again.restore(model.tensors(), model.state() | {"fresh": 7})
    assert again.answers["pair"].fresh == 7 and again.due()


def test_no_member_is_validated_on_steps_that_another_kind_taught_it(asked, make_model, answered):
    model, pairs = make_model(), answered(80)
    ratings = asked("rating", 80)
    same_steps = Segments(**{**vars(ratings.segments), "start_step": pairs.segments.start_step[:, :1]})
    model.hear(pairs)
    model.hear(Feedback("rating", same_steps, ratings.answer, ratings.seq, ratings.query))
    first, second = model.fitter.splits(model.training_data())
    for task, other in ((first, second), (second, first)):
        for held_out, taught in zip(task.held_out, other.train, strict=True):
            shared = set(task.labelled.places[held_out].ravel()) & set(other.labelled.places[taught].ravel())
            assert len(held_out) and not shared


def test_answers_of_one_kind_can_be_withdrawn_while_others_stand(asked, make_model, answered):
    model = make_model()
    model.hear(answered(20))
    model.hear(asked("rating", 20))
    model.hear(Feedback.nothing("rating", whole=True))
    assert model.fit(0).answers == 20


def test_true_returns_are_learned_whatever_is_asked(asked, make_model, answered):
    model, nonsense = make_model(objective="returns"), asked("best", 120)
    nonsense.answer["best"] = np.random.default_rng(0).integers(0, 3, 120)
    model.hear(nonsense)
    model.fit(0)
    assert correlation(model, answered(100, seed=1).segments) > 0.9


# -- a way of fitting


class Descent:
    """Plain gradient descent on all answers at once. It counts its fits, and looks at what nobody has judged."""

    def __init__(self, ensemble, settings, seed):
        self.ensemble, self.error = ensemble, settings.error
        self.optimiser = torch.optim.SGD(ensemble.parameters(), lr=0.01)
        self.fits, self.centre = 0, torch.zeros(())

    def fit(self, data, rng):
        self.fits += 1
        self.centre = data.unlabelled(8, rng).mean()
        for _ in range(50):
            losses = [self._loss(part, e) for part in data.labelled for e in range(len(self.ensemble.members))]
            self.optimiser.zero_grad()
            sum(losses).backward()
            self.optimiser.step()
        return Fitted(50, 50 * len(losses), float(losses[-1].detach()), float("nan"))

    def _loss(self, part, member):
        inputs = part.inputs(torch.arange(len(part.query)))
        rewards = self.ensemble.of(member, inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        return part.kind.loss(rewards, part.answer, self.error).mean()

    def tensors(self):
        return {"centre": self.centre}

    def state(self):
        return {"descents": self.fits}

    def restore(self, tensors, state):
        self.centre, self.fits = tensors["centre"], state["descents"]


def test_a_way_of_fitting_of_ones_own(monkeypatch, answered, asked):
    monkeypatch.setitem(FITS, "descent", (Descent, "gradient descent on all answers at once"))
    lately = answered(6, seed=8).segments.flat()

    def made():
        torch.manual_seed(0)
        seen = Features(spaces.Box(-np.inf, np.inf, (4,)), spaces.Box(-1, 1, (1,)), "observation")
        settings = RewardConfig(fit="descent", hidden=(16,))
        return RewardModel(settings, seen, lambda size: mlp(size, (16,)), 0, unlabelled=lambda rng: lately)

    model, again = made(), made()
    model.hear(answered(100))
    model.hear(asked("rating", 50))
    report = model.fit(0)
    assert report.note == "" and report.epochs == 50 and report.metrics == {}
    assert correlation(model, answered(100, seed=1).segments) > 0.9
    again.restore(model.tensors(), model.state())
    assert again.fitter.fits == 1 and torch.equal(again.fitter.centre, model.fitter.centre) and model.fitter.centre != 0
    assert torch.equal(again.member_rewards(lately), model.member_rewards(lately))


# -- a bonus


class Far(Bonus):
    """Pays for the first number of an observation, and counts rollouts."""

    def __init__(self, settings):
        self.rollouts = 0

    def of(self, rollout, reward):
        self.rollouts += 1
        return np.abs(rollout.observations[..., 0])

    def state(self):
        return {"rollouts": self.rollouts}

    def restore(self, tensors, state):
        self.rollouts = state["rollouts"]


def test_a_bonus_of_ones_own_is_paid_beside_the_reward(monkeypatch, answered, steps):
    monkeypatch.setitem(BONUSES, "far", (Far, "far from the middle"))
    rollout, reward = steps(answered(10)), TrueReward(raw=True)
    paid = PaidReward(reward, RewardConfig(bonus="far", bonus_weight=0.5))
    assert np.allclose(paid.rewards(rollout), rollout.true_rewards + 0.5 * np.abs(rollout.observations[..., 0]))
    again = PaidReward(reward, RewardConfig(bonus="far", bonus_weight=0.5))
    again.bonus.restore(paid.bonus.tensors(), paid.bonus.state())
    assert again.bonus.state() == {"rollouts": 1}


def test_without_a_bonus_rewards_are_paid_as_they_are(answered, steps):
    rollout = steps(answered(10))
    for settings in (RewardConfig(), RewardConfig(bonus_weight=1.0)):
        assert PaidReward(TrueReward(raw=True), settings).rewards(rollout) is rollout.true_rewards


# -- a network that looks at sequences


class Previous(nn.Module):
    """A step's reward depends on it and on the step before."""

    sequential = True

    def __init__(self, features, hidden):
        super().__init__()
        self.inner = mlp(2 * features, hidden)

    def forward(self, sequences, begins):
        before = torch.cat([torch.zeros_like(sequences[:, :1]), sequences[:, :-1]], 1)
        before = before.masked_fill(begins[..., None], 0.0)
        return self.inner(torch.cat([sequences, before], -1))[..., 0]


def signs(count: int, seed: int = 0) -> Feedback:
    """Pairs of segments of random signs. A step's reward is its sign times the one before: no step alone tells it."""
    rng = np.random.default_rng(seed)
    observations = rng.choice([-1.0, 1.0], (count, 2, 9, 1))
    rewards = np.zeros((count, 2, 8))
    rewards[..., 1:] = (observations[..., 1:-1, 0]) * observations[..., :-2, 0]
    starts = 8 * np.arange(2 * count).reshape(count, 2)
    shown = Segments(observations, np.zeros((count, 2, 8, 1)), rewards, np.zeros((count, 2), int), starts)
    gap = shown.true_returns[:, 0] - shown.true_returns[:, 1]
    chosen = shown[gap != 0]
    number = np.arange(1, len(chosen) + 1)
    return Feedback("pair", chosen, {"preference": (gap[gap != 0] > 0).astype(float)}, number, number)


def taught(network: str, answers: Feedback) -> tuple[RewardModel, dict[str, float]]:
    torch.manual_seed(0)
    seen = Features(spaces.Box(-1, 1, (1,)), spaces.Box(-1, 1, (1,)), "observation")
    settings = RewardConfig(network=network, hidden=(32,), first_epochs=60, learning_rate=3e-3, patience=60)
    make = ALL_NETWORKS[network][0]
    model = RewardModel(settings, seen, lambda size: make(size, settings.hidden), 0)
    model.hear(answers)
    return model, model.fit(0).metrics


@pytest.fixture
def sequences(monkeypatch):
    monkeypatch.setitem(NETWORKS, "previous", (Previous, "sees the step before as well"))


def test_what_only_a_sequence_tells_is_learned_by_a_network_that_looks_at_sequences(sequences):
    answers, unseen = signs(250), signs(250, seed=1)
    models = {name: taught(name, answers) for name in ("mlp", "previous")}
    _, metrics = models["previous"]
    assert metrics["accuracy"] > 0.9 > 0.65 > models["mlp"][1]["accuracy"]
    for name, (model, _) in models.items():
        chances = model.predict("pair", unseen.segments)[1]
        right = ((chances[:, 0] > 0.5) == (unseen.answer["preference"] == 1)).mean()
        assert right > 0.9 if name == "previous" else right < 0.65, (name, right)


def steps_of(observations: np.ndarray, begins: np.ndarray, earlier: SimpleNamespace | None = None) -> SimpleNamespace:
    """A rollout of these observations (n + 1, n_envs, 1)."""
    return SimpleNamespace(
        observations=observations[:-1], next_observations=observations[1:], actions=np.zeros((len(begins), 2, 1)),
        true_rewards=np.zeros(begins.shape), begins=begins, earlier=earlier,
    )  # fmt: skip


def test_each_environment_of_a_rollout_is_a_sequence_that_knows_its_past_and_its_episodes(sequences):
    model, _ = taught("previous", signs(100))
    seen = np.random.default_rng(3).choice([-1.0, 1.0], (13, 2, 1))
    begins = np.zeros((12, 2), bool)
    begins[7, 1] = True
    whole = model.rewards(steps_of(seen, begins))
    assert whole.shape == (12, 2)
    part = steps_of(seen[4:], begins[4:])
    with_context = steps_of(seen[4:], begins[4:], earlier=steps_of(seen[:5], begins[:4]))
    assert np.allclose(model.rewards(with_context), whole[4:], atol=1e-6)
    assert np.allclose(model.rewards(part)[1:], whole[5:], atol=1e-6)
    assert not np.allclose(model.rewards(part)[0], whole[4], atol=1e-3)
    changed = seen.copy()
    changed[6, 1] *= -1  # the step before an episode begins tells nothing about it
    assert np.allclose(model.rewards(steps_of(changed, begins))[7:], whole[7:], atol=1e-6)
    changed[6, 0] *= -1  # in the other environment the episode goes on
    assert not np.allclose(model.rewards(steps_of(changed, begins))[7, 0], whole[7, 0], atol=1e-3)


def test_an_ensemble_may_hold_networks_of_both_forms():
    made = iter([mlp(1, (8,)), Previous(1, (8,))])
    ensemble = RewardEnsemble(1, lambda size: next(made), 2)
    sequences = torch.randn(4, 9, 1)
    both = ensemble.per_member(sequences)
    with torch.no_grad():
        assert torch.allclose(both[0], ensemble.members[0](sequences.flatten(0, 1)).reshape(4, 9))
        assert torch.allclose(both[1], ensemble.members[1](sequences, first_steps(sequences)))


def test_a_run_pays_by_sequences(sequences, short):
    run = short(**{"reward.network": "previous", "reward.context": 5, "reward.inputs": "observation"}).run
    rollout = run.agent.rollout()
    assert run.reward_model.version and rollout.earlier is not None and len(rollout.earlier.actions) == 5
    rewards = run.reward_model.rewards(rollout)
    assert rewards.shape == rollout.true_rewards.shape and rewards.std() > 0.1


def test_a_sequence_network_of_the_users_own(short):
    def own(features):
        return Previous(features, (8,))

    run = short(reward_network=own).run
    assert run.reward_model.version and run.reward_model.ensemble.sequential
