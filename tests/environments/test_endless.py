"""An agent that is not told where episodes end: its value goes on, everybody else knows."""

import numpy as np
from counting import counting, played

from prefrl.environments.recorder import Recorder


def told(endless, cut_every=None, steps=20):
    recorder = Recorder(counting([[7], [5]]), 100, cut_every, lambda step: step)
    recorder.endless = endless
    recorder.reset()
    dones = []
    for _ in range(steps):
        dones.append(recorder.step(np.zeros((2, 1)))[2])
    return recorder, np.stack(dones)


def test_the_learner_hears_of_no_end_and_segments_keep_to_episodes():
    recorder, dones = told(endless=True)
    open_recorder, open_dones = told(endless=False)
    assert not dones.any() and open_dones.any()
    segments = recorder.cut_segments(3, np.random.default_rng(0))
    assert (segments.observations[..., 1] == segments.observations[:, :1, 1]).all()  # the episode's number
    assert recorder.finished == open_recorder.finished != []
    assert np.array_equal(recorder.latest(20).finished, open_recorder.latest(20).finished)


def test_where_all_episodes_are_cut_the_learner_is_told_all_the_same():
    _, dones = told(endless=True, cut_every=8)
    assert np.flatnonzero(dones.all(1)).tolist() == [7, 15] and dones.sum() == 4


def test_what_is_remembered_does_not_depend_on_it():
    one, other = (Recorder(counting([[7], [5]]), 100) for _ in range(2))
    other.endless = True
    for recorder in (one, other):
        played(recorder, 30)
    assert np.array_equal(one.latest(30).next_observations, other.latest(30).next_observations)
