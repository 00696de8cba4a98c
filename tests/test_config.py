import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prefrl.config.settings import Config, get, ranges
from prefrl.config.values import as_dict, load, names, update
from prefrl.core.errors import UserError

RANGES = ranges(Config())


def test_nested_and_dotted_settings_are_the_same():
    nested = update(Config(), {"steps": 7, "agent": {"gamma": 0.9}, "reward": {"hidden": [8, 8]}})
    dotted = update(Config(), {"steps": 7, "agent.gamma": 0.9, "reward.hidden": (8, 8)})
    assert nested == dotted and nested.agent.gamma == 0.9 and nested.reward.hidden == (8, 8)


def test_an_update_leaves_the_original_alone():
    before = Config()
    update(before, {"agent": {"gamma": 0.5}})
    assert before == Config()


def test_a_configuration_survives_yaml(tmp_path):
    config = update(Config(), {"agent.hidden": [3], "teacher.beta": 2, "reward.l2": 1e-3, "env": "CartPole-v1"})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(as_dict(config)))
    assert load(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    "text, name, value",
    [
        ("steps: 1e5", "steps", 100_000),
        ("reward: {l2: 1e-3}", "reward.l2", 1e-3),
        ("agent: {n_envs: 4.0}", "agent.n_envs", 4),
        ("teacher: {beta: null}", "teacher.beta", None),
        ("reward: {warm: off}", "reward.warm", False),
        ("teacher: mistake", "teacher.name", "mistake"),
        ("agent: a2c", "agent.algorithm", "a2c"),
    ],
)
def test_yaml_values_take_the_type_of_the_setting(tmp_path, text, name, value):
    (tmp_path / "config.yaml").write_text(text)
    found = get(load(tmp_path / "config.yaml"), name)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 1.5}, {"steps": True}, {"steps": math.inf}, {"steps": math.nan}, {"reward.warm": "yes"},
        {"agent.gamma": "much"}, {"reward.hidden": "64"}, {"reward.hidden": [1.5]}, {"env": 3}, {"agent": 5}, {"steps": None},
    ],
)  # fmt: skip
def test_values_of_the_wrong_type_are_refused_by_name(settings):
    [name] = settings
    with pytest.raises(UserError, match=name):
        update(Config(), settings)


@pytest.mark.parametrize(
    "wrong, right", [("agent.gama", "agent.gamma"), ("budget", "questions.budget"), ("stepz", "steps")]
)
def test_unknown_settings_come_with_the_nearest_one(wrong, right):
    with pytest.raises(UserError, match=rf"unknown setting '{wrong}'; did you mean '{right}'"):
        update(Config(), {wrong: 1})


def test_the_defaults_are_in_range():
    Config().check()


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("side", [0, 1])
def test_values_out_of_range_are_refused_with_the_range(name, side):
    low, high = RANGES[name]
    value = (low - 1, high * 2 + 1)[side]
    config = Config()
    part, _, field = name.rpartition(".")
    if value != (low, high)[side]:  # infinity has nothing above it
        setattr(get(config, part) if part else config, field, value)
        with pytest.raises(UserError, match=f"{name}=.* is out of range"):
            config.check()


@pytest.mark.parametrize("name", [name for name in RANGES if isinstance(get(Config(), name), float)])
def test_nan_is_out_of_every_range(name):
    with pytest.raises(UserError, match=f"{name}=nan is out of range"):
        update(Config(), {name: math.nan}).check()


def test_every_number_has_a_range():
    numbers = {name for name in names() if type(get(Config(), name)) in (int, float)}
    assert numbers - {"agent.batch_size"} <= set(RANGES)  # which depends on the rollout, see below


def test_a_minibatch_larger_than_a_rollout_is_refused():
    with pytest.raises(UserError, match="agent.batch_size=128 must lie in 2 to 40"):
        update(Config(), {"agent.n_envs": 4, "agent.n_steps": 10}).check()


@pytest.mark.parametrize(
    "text, message", [("- 1", "expected settings"), ("", "expected settings"), ("a: [", "is not YAML")]
)
def test_files_that_hold_no_settings_are_refused(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "config.yaml")


@given(st.sampled_from(sorted(RANGES)), st.floats(0, 1))
def test_every_value_in_range_passes_the_types(name, share):
    low, high = RANGES[name]
    value = low + share * (min(high, 1e6) - low)
    old = get(Config(), name)
    if isinstance(old, tuple):
        return
    if isinstance(old, int):
        value = int(value)
    assert get(update(Config(), {name: value}), name) == pytest.approx(value)
