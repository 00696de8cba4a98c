"""A mechanism is one file and one line: it pays, adds a loss, proposes actions, and keeps what it needs in checkpoints."""

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

import prefrl
from prefrl.core.errors import UserError
from prefrl.mechanisms import MECHANISMS
from prefrl.mechanisms.base import Mechanism
from prefrl.runs import checkpoint


class Penalty(Mechanism):
    """Costs reward where the pole, or the pendulum, moves fast."""

    @dataclass
    class Settings:
        weight: float = 0.5

    def begin(self, agent) -> None:
        self.paid = []

    def pay(self, rollout, rewards):
        self.paid.append((rewards, self.cost(rollout)))
        return rewards - self.cost(rollout)

    def cost(self, rollout):
        return self.settings.weight * np.abs(rollout.observations[..., -1])


class Towards(Mechanism):
    """A further loss: the policy's mean action is drawn towards 1."""

    def __init__(self, weight: float):
        super().__init__()
        self.weight, self.seen = weight, []

    def loss(self, batch, distribution):
        self.seen.append((batch, distribution))
        return self.weight * ((distribution.distribution.mean - 1) ** 2).mean()


class Half(Mechanism):
    """Proposes half the policy's mean action, at every second decision."""

    decisions = 0

    def propose(self, policy, observations):
        self.decisions += 1
        if self.decisions % 2:
            return None
        return policy.get_distribution(observations).mode() / 2


class Drift(Mechanism):
    """Pays noise around a mean that it learns: it has a state."""

    name = "drifting"

    def begin(self, agent) -> None:
        self.mean, self.rollouts = torch.zeros(1), 0

    def pay(self, rollout, rewards):
        return rewards + self.mean.numpy() + 0.1 * torch.randn(rewards.shape).numpy()

    def after(self, rollout, rewards) -> None:
        self.mean = 0.9 * self.mean + 0.1 * float(rewards.mean())
        self.rollouts += 1

    def tensors(self):
        return {"mean": self.mean}

    def state(self):
        return {"rollouts": self.rollouts}

    def restore(self, tensors, state) -> None:
        self.mean, self.rollouts = tensors["mean"], state["rollouts"]


@pytest.fixture
def penalty(monkeypatch):
    """One line registers it."""
    monkeypatch.setitem(MECHANISMS, "penalty", Penalty)


def weights(result) -> dict[str, torch.Tensor]:
    return {name: values.clone() for name, values in result.model.policy.state_dict().items()}


def same(one, other) -> bool:
    return all(torch.equal(values, weights(other)[name]) for name, values in weights(one).items())


class Paid(BaseCallback):
    """Keeps what SB3 learned from: (n_steps, n_envs) a rollout."""

    def __init__(self):
        super().__init__()
        self.rewards = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.rewards.append(self.model.rollout_buffer.rewards.copy())


def test_a_penalty_is_paid_once_a_rollout(short, penalty):
    paid = Paid()
    result = short(callbacks=[paid], **{"mechanisms.penalty.weight": 2.0, "agent.bounds": 0.0})
    mechanism = result.run.agent.mechanisms.named["penalty"]
    assert mechanism.settings.weight == 2.0 and len(paid.rewards) == len(mechanism.paid) == 8
    for got, (before, cost) in zip(paid.rewards, mechanism.paid, strict=True):
        assert np.allclose(got, before - cost, atol=1e-6) and cost.max() > 0.1
    assert not same(result, short(folder="plain", **{"agent.bounds": 0.0}))


def test_without_settings_a_mechanism_has_its_defaults_and_is_kept_by_the_run(short, penalty):
    result = short(mechanisms={"penalty": {}})
    assert result.run.agent.mechanisms.named["penalty"].settings.weight == 0.5
    again = prefrl.load_run(result.folder)
    assert "penalty" in again.agent.mechanisms.named
    again.close()


def test_mechanisms_and_settings_that_do_not_exist_are_refused(short, penalty):
    with pytest.raises(UserError, match="did you mean 'penalty'"):
        short(mechanisms={"penalti": {}})
    with pytest.raises(UserError, match=r"mechanisms\.penalty\.wight.*did you mean 'mechanisms.penalty.weight'"):
        short(mechanisms={"penalty": {"wight": 1.0}})
    with pytest.raises(UserError, match=r"mechanisms\.penalty\.weight='much' must be"):
        short(mechanisms={"penalty": {"weight": "much"}})
    with pytest.raises(UserError, match="expected objects of subclasses of"):
        short(mechanisms=[Penalty])


@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_a_further_loss_of_weight_zero_changes_no_digit(short, algorithm):
    plain = short(folder="plain", **{"agent.algorithm": algorithm})
    towards = Towards(0.0)
    assert same(plain, short(folder="zero", mechanisms=[towards], **{"agent.algorithm": algorithm}))
    assert towards.seen


def test_a_further_loss_is_learned(short):
    quick = {"agent.n_epochs": 10, "agent.anneal": 0.0, "agent.learning_rate": 3e-3}
    plain, drawn = short(folder="plain", **quick), short(folder="drawn", mechanisms=[Towards(10.0)], **quick)
    seen = torch.as_tensor(plain.run.agent.rollout().observations.reshape(-1, 3))

    def distance(result) -> float:
        with torch.no_grad():
            return float((result.model.policy.get_distribution(seen).mode() - 1).abs().mean())

    assert distance(drawn) < 0.5 * distance(plain)


def test_the_gradient_is_that_of_the_sum_of_the_losses(short):
    """In the first update of two runs, one with a further loss; what comes before it is the same in both."""
    one = {
        "steps": 256,
        "agent.n_epochs": 1,
        "agent.batch_size": 256,
        "agent.max_grad_norm": 1e6,
        "questions.length": 5,
    }
    found, towards = [], Towards(0.3)

    class Gradients(BaseCallback):
        """Notes the gradients of each update, and before the first what the further loss's are."""

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            policy, buffer = self.model.policy, self.model.rollout_buffer
            seen = torch.as_tensor(buffer.observations).flatten(0, 1)
            further = 0.3 * ((policy.get_distribution(seen).mode() - 1) ** 2).mean()
            each = [*policy.parameters()]
            own = torch.autograd.grad(further, each, allow_unused=True)
            self.own = [torch.zeros_like(p) if g is None else g for p, g in zip(each, own, strict=True)]
            policy.optimizer.register_step_pre_hook(lambda *_: found.append([p.grad.clone() for p in each]))

    for mechanisms in ([], [towards]):
        look = Gradients()
        short(folder=str(len(mechanisms)), callbacks=[look], mechanisms=mechanisms, **{**one, "record.checkpoints": 0})
    plain, both = found
    assert all(torch.allclose(p + own, b, atol=1e-5) for p, own, b in zip(plain, look.own, both, strict=True))
    assert max(float(own.abs().max()) for own in look.own) > 1e-2


def test_a_proposal_is_acted_on_and_learned_from(short):
    """Those proposed have the log-probability that the policy gives them."""
    noted = []

    class Look(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            if not noted:
                buffer, policy = self.model.rollout_buffer, self.model.policy
                seen, acted = torch.as_tensor(buffer.observations).flatten(0, 1), torch.as_tensor(buffer.actions)
                with torch.no_grad():
                    distribution = policy.get_distribution(seen)
                    means = distribution.mode().reshape(acted.shape).numpy()
                    likely = distribution.log_prob(acted.flatten(0, 1)).reshape(acted.shape[:2]).numpy()
                noted.append((buffer.actions.copy(), means, likely, buffer.log_probs.copy()))

    half = Half()
    short(mechanisms=[half], callbacks=[Look()])
    actions, means, expected, found = noted[0]
    assert np.allclose(actions[1::2], means[1::2] / 2, atol=1e-6)  # proposed
    assert not np.allclose(actions[::2], means[::2], atol=0.1)  # sampled
    assert np.allclose(expected, found, atol=1e-5)


def test_a_proposal_is_what_predict_gives(short):
    class Always(Mechanism):
        def propose(self, policy, observations):
            return torch.full((len(observations), 1), 0.25)

    result = short(mechanisms=[Always()])
    assert result.model.predict(np.zeros((5, 3), np.float32))[0].tolist() == [[0.25]] * 5
    assert result.run.agent.predict(np.zeros((2, 3), np.float32), deterministic=True)[0].tolist() == [[0.25]] * 2
    with pytest.raises(UserError, match="trained with mechanisms of your own"):
        prefrl.evaluate(result.folder)
    assert prefrl.evaluate(result.folder, mechanisms=[Always()]) == result.true_return


def test_a_mechanism_with_a_state_resumes_exactly(short):
    settings = {"record.keep": 9}
    whole = short(folder="whole", mechanisms=[Drift()], **settings)
    short(folder="stopped", mechanisms=[Drift()], **settings)
    folder = whole.folder.parent / "stopped"
    for late in checkpoint.found(folder / "checkpoints")[:-2]:
        shutil.rmtree(late)
    resumed = prefrl.resume(folder, mechanisms=[Drift()], quiet=True)
    assert same(resumed, whole)
    ends = [result.run.agent.mechanisms.named["drifting"] for result in (resumed, whole)]
    assert ends[0].rollouts == ends[1].rollouts == 8 and torch.equal(ends[0].mean, ends[1].mean)
    tensors, state = checkpoint.read_newest(folder / "checkpoints")
    assert torch.equal(tensors["mechanism.drifting.mean"], ends[0].mean) and state["mechanisms"]["drifting"]


def test_two_mechanisms_need_two_names(short):
    with pytest.raises(UserError, match="two mechanisms are called 'Towards'"):
        short(mechanisms=[Towards(0.1), Towards(0.2)])
