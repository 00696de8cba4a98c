"""An endpoint that misbehaves: what is tried again, for how long, and what ends it with a clear word."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from random import Random

import numpy as np
import pytest
from models import body, completion, dripping, dropped, endless, error, says

from prefrl.core.errors import UserError
from prefrl.labelling.ai.endpoint import LARGEST, Busy, Endpoint, Refused
from prefrl.labelling.ai.judge import Judge
from prefrl.labelling.ai.ledger import BudgetSpent, Ledger
from prefrl.labelling.ai.prompt import Prompt
from prefrl.labelling.ai.settings import Settings
from prefrl.labelling.ai.waiting import LONGEST, Patience, Stopped, Waiting

GREEN = np.full((4, 4, 3), (0, 200, 0), np.uint8)
RED = np.full((4, 4, 3), (200, 0, 0), np.uint8)
PAIR = Prompt("Which is greener?", "", GREEN, RED)


@pytest.fixture
def judge(model, tmp_path):
    """A judge that asks the model; settings by keyword. Its pauses are noted instead of kept."""
    opened = []

    def make(**settings) -> Judge:
        given = {"model": "eye-1", "endpoint": model.url, "patience": 300.0, "timeout": 300.0, **settings}
        wanted = Settings(**given)
        waiting = Waiting(wanted, Random(0))
        made = Judge(wanted, Endpoint(wanted), Ledger(tmp_path, wanted), waiting)
        made.pauses = []
        waiting.pause = lambda seconds, everybody: made.pauses.append((seconds, everybody))
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.endpoint.close()
        one.ledger.close()


def test_both_orders_are_asked_and_mean_the_same(judge, model):
    verdict = judge().judge(PAIR)
    assert verdict.preference == 1.0 and not verdict.disagree and verdict.cached == 0
    assert model.asked == [(GREEN.tobytes(), RED.tobytes()), (RED.tobytes(), GREEN.tobytes())]
    assert verdict.orders() == [
        {"mirrored": False, "said": "left", "reason": "it is left"},
        {"mirrored": True, "said": "right", "reason": "it is right"},
    ]


def test_what_is_sent(judge, model, monkeypatch):
    monkeypatch.setenv("EYE_KEY", "s3cret")
    judge(key_env="EYE_KEY").judge(Prompt("Which is greener?", "Blue does not count.", GREEN, RED))
    sent, headers = model.calls[0], model.headers[0]
    assert sent["model"] == "eye-1" and sent["temperature"] == 0 and sent["max_tokens"] == 500
    assert sent["response_format"]["type"] == "json_schema" and headers["Authorization"] == "Bearer s3cret"
    text = sent["messages"][1]["content"][0]["text"]
    assert "Blue does not count." in text and "Question: Which is greener?" in text


def test_without_a_key_none_is_sent(judge, model):
    judge().judge(PAIR)
    assert "Authorization" not in model.headers[0]


@pytest.mark.parametrize(
    "fault",
    [
        error(429), error(500), error(503), error(529), error(408), dropped, endless,
        body(b"not json"), body(b"<html>hello</html>", "text/html"), body(b"[]"), body(b'{"choices": []}'),
        body(b'{"choices": [{"message": {"content": 7}}]}'), body(b"[" * 100_000), body(b""),
        body(b'{"error": {"message": "upstream is down"}}'), body(b"x" * (LARGEST + 1)),
        body(completion("{}"), Content_Encoding="gzip"), body(b'{"choices": null}'), body(b"null"),
    ],
)  # fmt: skip
def test_what_passes_is_tried_again(judge, model, fault):
    model.faults.append(fault)
    patient = judge()
    assert patient.judge(PAIR).preference == 1.0
    assert len(model.calls) == 3 and len(patient.pauses) == 1


def test_a_reply_of_another_content_type_is_taken_if_it_is_one(judge, model):
    model.faults.append(body(completion('{"answer": "left", "reason": ""}'), "text/plain"))
    assert judge().judge(PAIR).preference == 1.0 and len(model.calls) == 2


def test_a_slow_answer_and_one_that_drips_are_given_up_in_time(judge, model):
    """Neither would ever end by itself. A busy machine may give up on good answers too, and ask again."""
    impatient, given_up = judge(timeout=1.0), threading.Event()
    model.faults += [lambda handler: given_up.wait(300), dripping]
    assert impatient.judge(PAIR).preference == 1.0
    given_up.set()
    assert len(model.calls) >= 4 and len(impatient.pauses) >= 2


def test_pauses_grow_and_differ(judge, model, monkeypatch):
    monkeypatch.setattr("prefrl.labelling.ai.waiting.FIRST", 1.0)
    model.faults += [error(500)] * 8
    patient = judge(patience=1e6)
    patient.judge(PAIR)
    for place, (seconds, everybody) in enumerate(patient.pauses):
        assert min(LONGEST, 2**place) / 2 <= seconds <= min(LONGEST, 2**place) and not everybody
    assert len({seconds for seconds, _ in patient.pauses}) == 8


def test_the_endpoint_may_say_how_long_to_wait_and_then_all_do(judge, model):
    def in_forty_seconds(handler):
        date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=40), usegmt=True)
        error(503, Retry_After=date)(handler)

    model.faults += [
        error(429, Retry_After="7"),
        in_forty_seconds,
        error(429, Retry_After="soon"),
        error(429),
    ]
    patient = judge()
    patient.judge(PAIR)
    (first, all_first), (second, all_second), (third, _), (_, all_last) = patient.pauses
    assert 7 <= first <= 7.7 and 36 <= second <= 44 and third < 1
    assert all_first and all_second and all_last


def test_an_endpoint_that_says_to_come_back_at_once_is_not_hammered(judge, model, monkeypatch):
    monkeypatch.setattr("prefrl.labelling.ai.waiting.FIRST", 1.0)
    model.faults += [error(429, Retry_After="0")] * 5
    patient = judge()
    patient.judge(PAIR)
    assert [seconds > 2**place / 2 for place, (seconds, _) in enumerate(patient.pauses)] == [True] * 5


def test_patience_ends(judge, model):
    model.faults.append(error(429, "slow down", Retry_After="3600"))
    with pytest.raises(
        Refused, match=r"does not answer: status 429: slow down, and asks to wait 3600 s.*start again later"
    ):
        judge().judge(PAIR)


def test_what_never_speaks_the_language_is_no_such_api(judge, model):
    model.faults += [body(b"<html>welcome</html>", "text/html")] * 10
    with pytest.raises(Refused, match="is no API of this kind.*text/html"):
        judge().judge(PAIR)
    assert len(model.calls) == 4


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (error(401, "bad key"), "answered 401: the key was not accepted.*bad key"),
        (error(402), "no credit"),
        (error(403), "forbidden"),
        (
            error(404, "no such thing"),
            r"there is no model 'eye-1', or no API at http://127.0.0.1:\d+/v1/chat/completions",
        ),
        (error(413), "too large"),
        (error(400, "messages must alternate"), "answered 400.*messages must alternate"),
        (error(400, "eye-1 does not support image input"), "does not take pictures.*vision"),
        (error(404, "No endpoints found that support image input"), "does not take pictures"),
        (error(500, "image input is not supported"), "does not take pictures"),
        (error(429, "quota", "insufficient_quota"), "has run out"),
        (error(307, Location="https://elsewhere.example/v1"), "redirects to https://elsewhere.example/v1"),
        (body(b"\xff\xfe" * 10, "text/html"), "no API of this kind"),
    ],
)
def test_what_does_not_pass_ends_it(judge, model, fault, says):
    model.faults += [fault] * 4
    with pytest.raises(UserError, match=says):
        judge().judge(PAIR)
    assert len(model.calls) == (4 if "kind" in says else 1)


def test_nobody_there(judge):
    with pytest.raises(Refused, match="no connection to 127.0.0.1"):
        judge(endpoint="http://127.0.0.1:1/v1", patience=0.0).judge(PAIR)


def test_an_error_that_repeats_the_key_or_commands_a_terminal_is_shown_without(judge, model, monkeypatch):
    monkeypatch.setenv("EYE_KEY", "s3cret")
    model.faults.append(error(401, "wrong key s3cret \x1b]0;owned\x07"))
    with pytest.raises(Refused) as refused:
        judge(key_env="EYE_KEY").judge(PAIR)
    assert "s3cret" not in str(refused.value) and "\x1b" not in str(refused.value) and "***" in str(refused.value)


def test_parameters_that_an_endpoint_does_not_know_are_left_out_or_renamed(judge, model):
    model.faults += [
        error(400, "response_format json_schema is not supported"),
        error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        error(422, "temperature must be 1"),
    ]
    patient = judge()
    assert patient.judge(PAIR).preference == 1.0
    assert [sorted(set(call) - {"model", "messages"}) for call in model.calls] == [
        ["max_tokens", "response_format", "temperature"], ["max_tokens", "temperature"],
        ["max_completion_tokens", "temperature"], ["max_completion_tokens"], ["max_completion_tokens"],
    ]  # fmt: skip
    assert all(seconds == 0 for seconds, _ in patient.pauses)


def test_a_reply_that_is_no_answer_is_asked_for_once_more(judge, model):
    model.faults.append(says("Well, the left one."))
    verdict = judge().judge(PAIR)
    assert verdict.preference == 1.0 and len(model.calls) == 3
    said, asked = model.calls[1]["messages"][-2:]
    assert said == {"role": "assistant", "content": "Well, the left one."} and "JSON" in asked["content"]


def test_two_replies_that_are_no_answers_skip_the_pair(judge, model):
    model.faults += [says("Well."), says("<b>As I said</b>\x1b[2J")]
    verdict = judge().judge(PAIR)
    assert verdict.preference is None and not verdict.usable and not verdict.disagree
    assert verdict.orders()[0] == {"mirrored": False, "said": None, "reason": "<b>As I said</b> [2J"}


@pytest.mark.parametrize(
    ("first", "second", "disagree", "preference"),
    [
        ("left", "right", "equal", 1.0), ("right", "left", "equal", 0.0), ("equal", "equal", "skip", 0.5),
        ("left", "left", "equal", 0.5), ("left", "left", "skip", None), ("equal", "left", "equal", 0.5),
        ("equal", "left", "skip", None), ("unsure", "left", "equal", None), ("unsure", "unsure", "equal", None),
    ],
)  # fmt: skip
def test_what_two_orders_come_to(judge, model, first, second, disagree, preference):
    """Answers are as displayed: in the second order the first clip is on the right."""
    model.faults += [says(f'{{"reason": "", "answer": "{one}"}}') for one in (first, second)]
    verdict = judge(disagree=disagree).judge(PAIR)
    assert verdict.preference == preference
    assert verdict.one_sided == (first == second == "left")


def test_nothing_is_paid_twice(judge, model):
    judge().judge(PAIR)
    again = judge().judge(PAIR)
    assert again.preference == 1.0 and again.cached == 2 and len(model.calls) == 2
    judge(model="eye-2").judge(PAIR)
    assert len(model.calls) == 4  # another model
    judge().judge(Prompt("Which is greener?", "Look twice.", GREEN, RED))
    assert len(model.calls) == 6  # other words


def test_a_turned_pair_is_there_already(judge, model):
    judge().judge(PAIR)
    turned = judge().judge(Prompt(PAIR.question, "", RED, GREEN))
    assert turned.preference == 0.0 and turned.cached == 2


def test_a_budget_of_calls_counts_every_try_and_holds_after_a_restart(judge, model):
    model.faults.append(error(500))
    with pytest.raises(BudgetSpent, match="budget of 2 calls is used up"):
        judge(max_calls=2).judge(PAIR)
    with pytest.raises(BudgetSpent):
        judge(max_calls=2).judge(PAIR)
    assert len(model.calls) == 2
    assert judge(max_calls=3).judge(PAIR).cached == 1 and len(model.calls) == 3


def test_a_budget_of_money_is_never_exceeded(judge, model):
    """Each call is 1000 and 50 tokens: 1.05 cents; up to 500 might be received: 1.5 cents."""
    poor = judge(price=(10.0, 10.0), max_cost=0.026)
    poor.judge(PAIR)
    with pytest.raises(BudgetSpent, match=r"of \$0.026 \$0.021 are spent, and another call may cost \$0.015"):
        poor.judge(Prompt("And now?", "", GREEN, RED))
    total = poor.ledger.total()
    assert (total.calls, total.sent, total.received) == (2, 2000, 100) and total.cost == pytest.approx(0.021)


def test_a_call_without_usage_or_reply_counts_as_expected(judge, model):
    model.usage = None
    one = judge(price=(0.0, 1000.0), max_cost=100.0)
    model.faults += [dropped, error(500)]
    one.judge(PAIR)
    assert one.ledger.total().cost == pytest.approx(3 * 0.5) and len(model.calls) == 4  # errors that arrive are free


def test_usage_that_is_no_number_is_not_believed(judge, model):
    model.usage = {"prompt_tokens": -5, "completion_tokens": "many"}
    one = judge(price=(1.0, 1.0))
    one.judge(PAIR)
    assert one.ledger.total().sent == 0 and one.ledger.total().cost > 0


def test_stopping_ends_a_wait_at_once(model, tmp_path):
    wanted = Settings(model="eye-1", endpoint=model.url)
    waiting = Waiting(wanted)
    waiting.stop.set()
    with pytest.raises(Stopped):
        Patience(waiting).again(Busy("later", 429, 60.0))
    with pytest.raises(Stopped):
        waiting.turn()
