import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.core.errors import UserError
from prefrl.queries.schedules import SCHEDULES, due, make_schedule

NAMES, SHARE, HALF = st.sampled_from(sorted(SCHEDULES)), st.floats(0.0, 1.0), st.floats(1e-3, 100.0)


@given(NAMES, SHARE, HALF)
def test_every_schedule_starts_at_its_initial_share_and_ends_with_everything(name, initial, half_at):
    level = make_schedule(name, initial=initial, half_at=half_at)
    assert level(0.0) == pytest.approx(initial)
    assert level(1.0) == 1.0


@given(NAMES, SHARE, HALF, SHARE, SHARE)
def test_every_schedule_is_a_share_that_never_falls(name, initial, half_at, one, other):
    level = make_schedule(name, initial=initial, half_at=half_at)
    assert initial - 1e-12 <= level(min(one, other)) <= level(max(one, other)) + 1e-12 <= 1.0 + 1e-12


@given(NAMES, SHARE, st.integers(0, 3000), st.lists(st.floats(0.0, 1.5), max_size=30))
def test_whatever_the_progress_no_question_is_asked_too_many_and_none_is_left(name, initial, budget, progresses):
    level, asked = make_schedule(name, initial=initial), 0
    for progress in progresses:
        now = due(level, progress, budget, asked)
        assert now >= 0
        asked += now
        assert asked <= budget
    asked += due(level, 1.0, budget, asked)
    assert asked == budget


@given(NAMES, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_how_often_one_looks_does_not_matter(name, progresses):
    level, asked = make_schedule(name), 0
    for progress in sorted(progresses):
        asked += due(level, progress, 700, asked)
    assert asked == due(level, max(progresses), 700, 0)


def rate(level, progress):
    """Questions per progress, as a share of those that are not initial."""
    return (level(progress + 1e-6) - level(progress - 1e-6)) / 2e-6


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("constant", lambda t: 1.0),
        ("hyperbolic", lambda t: 0.2 / (t + 0.2)),
        ("inverse_t", lambda t: 1.0 / (1.0 + t)),
        ("inverse_quadratic", lambda t: 1.0 / (1.0 + (t / 0.2) ** 2)),
        ("rl_teacher", lambda t: 0.01**t),
        ("bpref_decay", lambda t: 1.0 - t),
    ],
)
def test_rates_are_those_published(name, published):
    level = make_schedule(name, initial=0.25, half_at=0.2)
    first = rate(level, 1e-6)
    for progress in [0.1, 0.2, 0.5, 0.9]:
        assert rate(level, progress) / first == pytest.approx(published(progress), rel=1e-3), progress


def test_levels_by_hand():
    level = make_schedule("hyperbolic", initial=0.25, half_at=0.5)
    assert level(0.5) == pytest.approx(0.25 + 0.75 * math.log(2) / math.log(3))
    assert make_schedule("rl_teacher", initial=0.25)(0.5) == pytest.approx(0.25 + 0.75 * 0.9 / 0.99)
    assert make_schedule("bpref_decay", initial=0.0)(0.5) == 0.75


def test_christianos_mujoco_schedule_halves_after_two_of_ten_million_steps():
    level = make_schedule("hyperbolic", half_at=2e6 / 10_000_000)
    assert due(level, 0.0, 700, 0) == 175
    assert rate(level, 0.2) / rate(level, 1e-6) == pytest.approx(0.5, rel=1e-3)


def test_an_initial_share_of_one_asks_everything_up_front():
    for name in SCHEDULES:
        assert due(make_schedule(name, initial=1.0), 0.0, 700, 0) == 700


def test_a_last_rollout_may_overshoot():
    assert due(lambda progress: progress / 2, 1.2, 100, 0) == 50


def test_a_lost_session_is_caught_up():
    level = make_schedule("constant", initial=0.0)
    assert due(level, 0.5, 100, 0) == 50
    assert due(level, 0.5, 100, 70) == 0


@given(st.integers(1, 10_000), st.data())
def test_a_level_worked_out_by_division_is_not_a_question_short(budget, data):
    wanted = data.draw(st.integers(0, budget))
    assert due(lambda progress: wanted / budget, 0.0, budget, 0) == wanted


def test_a_schedule_of_ones_own_is_taken_if_it_is_a_level():
    steps = make_schedule(lambda progress: 0.5 if progress < 0.5 else 1.0)
    assert [due(steps, progress, 10, 0) for progress in (0.0, 0.49, 0.5, 1.2)] == [5, 5, 10, 10]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((lambda t: 1.0 / (1.0 + t),), "falls from 1 to 0.999 at progress 0.001; .* not the rate"),
        ((lambda t: 2.0 * t,), r"gives 1.002 at progress 0.501; a level must lie in \[0, 1\]"),
        ((lambda t: math.nan,), "gives nan at progress 0"),
    ],
)
def test_a_rate_is_not_mistaken_for_a_level(arguments, text):
    with pytest.raises(UserError, match=text):
        make_schedule(*arguments)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"schedule": "hyperbola"}, "unknown schedule 'hyperbola'; did you mean 'hyperbolic'"),
        ({"schedule": "constant", "initial": 25}, r"is 25; it must lie in \[0, 1\]: 0.25 asks a quarter"),
        ({"schedule": "hyperbolic", "half_at": 0.0}, "half_at=0.0 must be above 0"),
    ],
)
def test_settings_that_cannot_work_say_so(settings, text):
    with pytest.raises(UserError, match=text):
        make_schedule(**settings)


@pytest.mark.parametrize("progress", [-0.1, math.nan])
def test_progress_that_is_none_says_so(progress):
    with pytest.raises(UserError, match="progress is .* from 0 to 1"):
        due(make_schedule("constant"), progress, 10, 0)
