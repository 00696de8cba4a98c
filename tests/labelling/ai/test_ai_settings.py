"""Settings that cannot work are refused before anything is sent, and a key is never shown."""

import pytest

from prefrl.core.errors import UserError
from prefrl.labelling.ai.ai_settings import AISettings

HERE = {"model": "eye-1", "endpoint": "http://127.0.0.1:1/v1"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"frames": 0}, "frames=0 is out of range: expected 1 to 64"),
        ({"at_once": 100}, "at_once=100"),
        ({"overlap": 2.0}, "overlap=2.0"),
        ({"model": " "}, "no name of a model"),
        ({"labeller": ""}, "labeller='' must have 1 to 40"),
        ({"disagree": "guess"}, "must be one of equal, skip"),
        ({"price": (1.0,)}, "must be two"),
        ({"price": (-1.0, 1.0)}, "must be two"),
        ({"max_cost": 1.0}, "max_cost=1.0 needs price"),
        ({"endpoint": "api.openai.com/v1"}, "is no address"),
        ({"endpoint": "file:///etc/passwd"}, "is no address"),
        ({"endpoint": "http://[::1"}, "is no address"),
    ],
)
def test_a_wrong_value_is_named(wrong, says):
    with pytest.raises(UserError, match=says):
        AISettings(**{**HERE, **wrong})


@pytest.mark.parametrize(
    "address", ["https://me:s3cret@host/v1", "https://host/v1?key=s3cret", "https://host/v1#s3cret"]
)
def test_a_key_in_the_address_is_refused_and_not_repeated(address):
    with pytest.raises(UserError, match="environment variable alone") as refused:
        AISettings(model="eye-1", endpoint=address)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://host/v1", "http://host/v1/chat/completions"),
        ("http://host/v1/", "http://host/v1/chat/completions"),
        ("http://host/v1/chat/completions", "http://host/v1/chat/completions"),
    ],
)
def test_the_route_is_added_to_the_base(base, url):
    assert AISettings(model="eye-1", endpoint=base).url == url


def test_only_endpoints_of_this_machine_keep_frames_on_it():
    assert not AISettings(**HERE).leaves_the_machine
    assert AISettings(model="eye-1", endpoint="https://127.0.0.1.example.com/v1").leaves_the_machine


def test_a_key_comes_from_the_environment_alone(monkeypatch):
    monkeypatch.setenv("MY_KEY", " abc\n")
    assert AISettings(**HERE).key() is None
    assert AISettings(**HERE, key_env="MY_KEY").key() == "abc"
    monkeypatch.setenv("MY_KEY", "abc def\x1b")
    with pytest.raises(UserError, match="MY_KEY holds no key") as refused:
        AISettings(**HERE, key_env="MY_KEY").key()
    assert "abc" not in str(refused.value)
    with pytest.raises(UserError, match="NOT_THERE is not set"):
        AISettings(**HERE, key_env="NOT_THERE").key()


@pytest.mark.parametrize("key", ["sk-proj-abcdef", "abcdef0123456789"])
def test_a_key_given_in_place_of_a_name_is_not_repeated(key):
    with pytest.raises(UserError) as refused:
        AISettings(**HERE, key_env=key).key()
    assert key not in str(refused.value)


def test_costs_are_per_million_tokens():
    assert AISettings(**HERE).cost(1000, 10) is None
    assert AISettings(**HERE, price=(2.0, 10.0)).cost(500_000, 100_000) == pytest.approx(2.0)


def test_its_name_is_that_of_the_model_as_far_as_the_page_can_show_it():
    assert AISettings(**HERE).name == "ai:eye-1" and AISettings(**HERE, labeller="robot").name == "robot"
    long = AISettings(model="meta-llama/Llama-3.2-90B-Vision-Instruct", endpoint=HERE["endpoint"])
    assert long.name == "ai:a-llama/Llama-3.2-90B-Vision-Instruct" and len(long.name) == 40
