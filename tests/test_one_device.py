"""Whole runs on a device that is not the CPU: no operation mixes devices, and nothing is left behind on the wrong one.

It stands in for a GPU on machines without one; values mean nothing here.
"""

import sys

import numpy as np
import pytest
import torch
from dicts import task
from elsewhere import ELSEWHERE, OneDevice

from prefrl.mechanisms.base import Mechanism
from prefrl.runs.api import resume
from prefrl.store.store import LabelStore

QUICK = {
    "steps": 256, "agent.n_steps": 32, "agent.n_epochs": 1, "questions.budget": 8, "questions.length": 5,
    "record.checkpoints": 2, "record.evaluation_episodes": 1, "agent.device": ELSEWHERE,
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*episodes of", "ignore:.*of segment pairs tie", "ignore:nothing was learned"
)


@pytest.fixture(autouse=True)
def fused(monkeypatch):
    """Adam in one call is refused on devices that torch does not list, though it works on this one."""
    monkeypatch.setattr(sys.modules["torch.optim.adam"], "_device_dtype_check_for_fused", lambda *_, **__: None)


CASES = {
    "choices, a2c": ("prefrl/CartPole-v0", {"questions.strategy": "entropy", "agent.algorithm": "a2c"}),
    "pictures": ("prefrl/Dot-v0", {"questions.strategy": "kcenter"}),
    "a dict with pictures": (task("picture"), {"reward.members": 2, "questions.strategy": "uniform"}),
    "vectors, returns, from scratch": ("Pendulum-v1", {"reward.objective": "returns", "reward.warm": False}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_on_one_device(case, short):
    env, settings = CASES[case]
    with OneDevice():
        done = short(env, **QUICK, **settings)
    assert done.run.reward_model.version > 0
    assert {each.device.type for each in done.reward_model.ensemble.parameters()} == {ELSEWHERE}
    assert {each.device.type for each in done.model.policy.parameters()} == {ELSEWHERE}
    with LabelStore.open(done.folder) as store:
        assert store.counts().answered == 8


class Drawn(Mechanism):
    """A further loss towards an action that is made on this device."""

    device = ELSEWHERE

    def loss(self, batch, distribution):
        mean = distribution.distribution.mean
        return (mean - torch.ones(mean.shape, device=self.device)).square().mean()


def test_with_a_further_loss_it_is_stopped_and_resumed(short):
    with OneDevice():
        folder = short(mechanisms=[Drawn()], **QUICK).folder
        newest = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
        for file in newest.iterdir():
            file.unlink()
        newest.rmdir()
        assert resume(folder, mechanisms=[Drawn()], quiet=True).run.agent.step == 256


def test_a_tensor_on_another_device_is_found(short):
    stray = Drawn()
    stray.device = "cpu"
    with OneDevice(), pytest.raises(RuntimeError, match="of tensors on cpu and meta"):
        short(mechanisms=[stray], **QUICK)
    with OneDevice():
        assert torch.ones(3, device=ELSEWHERE).cpu().numpy() == pytest.approx(np.ones(3))
        with pytest.raises(RuntimeError, match="aten::mm"):
            torch.ones(2, 2) @ torch.ones(2, 2, device=ELSEWHERE)
        with pytest.raises(RuntimeError, match="aten::index"):
            torch.ones(2)[torch.zeros(1, dtype=torch.long, device=ELSEWHERE)]
