"""An endpoint that misbehaves: what is tried again, for how long, and what ends it with a clear word."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from random import Random

import numpy as np
import pytest
from models import body, completion, dripping, dropped, endless, error, says

from prefrl.core.errors import UserError
from prefrl.kinds import kind_of
from prefrl.labelling.ai.ai_settings import AISettings
from prefrl.labelling.ai.asking import ModelTeacher
from prefrl.labelling.ai.backoff import LONGEST, Backoff, Retries, Stopped
from prefrl.labelling.ai.endpoint import LARGEST, Busy, Endpoint, Refused
from prefrl.labelling.ai.ledger import BudgetSpent, CallLedger
from prefrl.labelling.ai.prompt import Prompt

GREEN = np.full((4, 4, 3), (0, 200, 0), np.uint8)
RED = np.full((4, 4, 3), (200, 0, 0), np.uint8)
PAIR = Prompt(kind_of("pair"), "Which is greener?", "", (GREEN, RED))


@pytest.fixture
def teacher(model, tmp_path):
    """A teacher that asks the model; settings by keyword. Its pauses are noted instead of kept."""
    opened = []

    def make(**settings) -> ModelTeacher:
        given = {"model": "eye-1", "endpoint": model.url, "patience": 300.0, "timeout": 300.0, **settings}
        wanted = AISettings(**given)
        waiting = Backoff(wanted, Random(0))
        made = ModelTeacher(wanted, Endpoint(wanted), CallLedger(tmp_path, wanted), waiting)
        made.pauses = []
        waiting.pause = lambda seconds, everybody: made.pauses.append((seconds, everybody))
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.endpoint.close()
        one.ledger.close()


def test_both_orders_are_asked_and_mean_the_same(teacher, model):
    given = teacher().ask(PAIR)
    assert given.answer == {"preference": 1.0} and not given.disagree and given.cached == 0
    assert model.asked == [(GREEN.tobytes(), RED.tobytes()), (RED.tobytes(), GREEN.tobytes())]
    assert given.orders() == [
        {"order": [0, 1], "said": "left", "reason": "it is left"},
        {"order": [1, 0], "said": "right", "reason": "it is right"},
    ]


def test_what_is_sent(teacher, model, monkeypatch):
    monkeypatch.setenv("EYE_KEY", "s3cret")
    teacher(key_env="EYE_KEY").ask(Prompt(kind_of("pair"), "Which is greener?", "Blue does not count.", (GREEN, RED)))
    sent, headers = model.calls[0], model.headers[0]
    assert sent["model"] == "eye-1" and sent["temperature"] == 0 and sent["max_tokens"] == 500
    assert sent["response_format"]["type"] == "json_schema" and headers["Authorization"] == "Bearer s3cret"
    text = sent["messages"][1]["content"][0]["text"]
    assert "Blue does not count." in text and "Question: Which is greener?" in text


def test_without_a_key_none_is_sent(teacher, model):
    teacher().ask(PAIR)
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
def test_what_passes_is_tried_again(teacher, model, fault):
    model.faults.append(fault)
    patient = teacher()
    assert patient.ask(PAIR).answer == {"preference": 1.0}
    assert len(model.calls) == 3 and len(patient.pauses) == 1


def test_a_reply_of_another_content_type_is_taken_if_it_is_one(teacher, model):
    model.faults.append(body(completion('{"answer": "left", "reason": ""}'), "text/plain"))
    assert teacher().ask(PAIR).answer == {"preference": 1.0} and len(model.calls) == 2


def test_a_slow_answer_and_one_that_drips_are_given_up_in_time(teacher, model):
    """Neither would ever end by itself. A busy machine may give up on good answers too, and ask again."""
    impatient, given_up = teacher(timeout=1.0), threading.Event()
    model.faults += [lambda handler: given_up.wait(300), dripping]
    assert impatient.ask(PAIR).answer == {"preference": 1.0}
    given_up.set()
    assert len(model.calls) >= 4 and len(impatient.pauses) >= 2


def test_pauses_grow_and_differ(teacher, model, monkeypatch):
    monkeypatch.setattr("prefrl.labelling.ai.backoff.FIRST", 1.0)
    model.faults += [error(500)] * 8
    patient = teacher(patience=1e6)
    patient.ask(PAIR)
    for place, (seconds, everybody) in enumerate(patient.pauses):
        assert min(LONGEST, 2**place) / 2 <= seconds <= min(LONGEST, 2**place) and not everybody
    assert len({seconds for seconds, _ in patient.pauses}) == 8


def test_the_endpoint_may_say_how_long_to_wait_and_then_all_do(teacher, model):
    def in_forty_seconds(handler):
        date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=40), usegmt=True)
        error(503, Retry_After=date)(handler)

    model.faults += [error(429, Retry_After="7"), in_forty_seconds, error(429, Retry_After="soon"), error(429)]
    patient = teacher()
    patient.ask(PAIR)
    (first, all_first), (second, all_second), (third, _), (_, all_last) = patient.pauses
    assert 7 <= first <= 7.7 and 36 <= second <= 44 and third < 1
    assert all_first and all_second and all_last


def test_an_endpoint_that_says_to_come_back_at_once_is_not_hammered(teacher, model, monkeypatch):
    monkeypatch.setattr("prefrl.labelling.ai.backoff.FIRST", 1.0)
    model.faults += [error(429, Retry_After="0")] * 5
    patient = teacher()
    patient.ask(PAIR)
    assert [seconds > 2**place / 2 for place, (seconds, _) in enumerate(patient.pauses)] == [True] * 5


def test_patience_ends(teacher, model):
    model.faults.append(error(429, "slow down", Retry_After="3600"))
    with pytest.raises(
        Refused, match=r"does not answer: status 429: slow down, and asks to wait 3600 s.*start again later"
    ):
        teacher().ask(PAIR)


def test_what_never_speaks_the_language_is_no_such_api(teacher, model):
    model.faults += [body(b"<html>welcome</html>", "text/html")] * 10
    with pytest.raises(Refused, match="is no API of this kind.*text/html"):
        teacher().ask(PAIR)
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
def test_what_does_not_pass_ends_it(teacher, model, fault, says):
    model.faults += [fault] * 4
    with pytest.raises(UserError, match=says):
        teacher().ask(PAIR)
    assert len(model.calls) == (4 if "kind" in says else 1)


def test_nobody_there(teacher):
    with pytest.raises(Refused, match="no connection to 127.0.0.1"):
        teacher(endpoint="http://127.0.0.1:1/v1", patience=0.0).ask(PAIR)


def test_an_error_that_repeats_the_key_or_commands_a_terminal_is_shown_without(teacher, model, monkeypatch):
    monkeypatch.setenv("EYE_KEY", "s3cret")
    model.faults.append(error(401, "wrong key s3cret \x1b]0;owned\x07"))
    with pytest.raises(Refused) as refused:
        teacher(key_env="EYE_KEY").ask(PAIR)
    assert "s3cret" not in str(refused.value) and "\x1b" not in str(refused.value) and "***" in str(refused.value)


def test_parameters_that_an_endpoint_does_not_know_are_left_out_or_renamed(teacher, model):
    model.faults += [
        error(400, "response_format json_schema is not supported"),
        error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        error(422, "temperature must be 1"),
    ]
    patient = teacher()
    assert patient.ask(PAIR).answer == {"preference": 1.0}
    assert [sorted(set(call) - {"model", "messages"}) for call in model.calls] == [
        ["max_tokens", "response_format", "temperature"], ["max_tokens", "temperature"],
        ["max_completion_tokens", "temperature"], ["max_completion_tokens"], ["max_completion_tokens"],
    ]  # fmt: skip
    assert all(seconds == 0 for seconds, _ in patient.pauses)


def test_a_reply_that_is_no_answer_is_asked_for_once_more(teacher, model):
    model.faults.append(says("Well, the left one."))
    given = teacher().ask(PAIR)
    assert given.answer == {"preference": 1.0} and len(model.calls) == 3
    said, asked = model.calls[1]["messages"][-2:]
    assert said == {"role": "assistant", "content": "Well, the left one."} and "JSON" in asked["content"]


def test_two_replies_that_are_no_answers_skip_the_pair(teacher, model):
    model.faults += [says("Well."), says("<b>As I said</b>\x1b[2J")]
    given = teacher().ask(PAIR)
    assert given.answer is None and not given.usable and not given.disagree
    assert given.orders()[0] == {"order": [0, 1], "said": None, "reason": "<b>As I said</b> [2J"}


@pytest.mark.parametrize(
    ("first", "second", "disagree", "preference"),
    [
        ("left", "right", "equal", 1.0), ("right", "left", "equal", 0.0), ("equal", "equal", "skip", 0.5),
        ("left", "left", "equal", 0.5), ("left", "left", "skip", None), ("equal", "left", "equal", 0.5),
        ("equal", "left", "skip", None), ("unsure", "left", "equal", None), ("unsure", "unsure", "equal", None),
    ],
)  # fmt: skip
def test_what_two_orders_come_to(teacher, model, first, second, disagree, preference):
    """Answers are as displayed: in the second order the first clip is on the right."""
    model.faults += [says(f'{{"reason": "", "answer": "{one}"}}') for one in (first, second)]
    given = teacher(disagree=disagree).ask(PAIR)
    assert given.answer == (None if preference is None else {"preference": preference})
    assert given.one_sided == (first == second == "left")


def test_nothing_is_paid_twice(teacher, model):
    teacher().ask(PAIR)
    again = teacher().ask(PAIR)
    assert again.answer == {"preference": 1.0} and again.cached == 2 and len(model.calls) == 2
    teacher(model="eye-2").ask(PAIR)
    assert len(model.calls) == 4  # another model
    teacher().ask(replace(PAIR, instructions="Look twice."))
    assert len(model.calls) == 6  # other words


def test_a_turned_pair_is_there_already(teacher, model):
    teacher().ask(PAIR)
    turned = teacher().ask(PAIR.ordered([1, 0]))
    assert turned.answer == {"preference": 0.0} and turned.cached == 2


def test_replies_that_the_first_release_paid_for_are_found():
    assert (
        PAIR.key("eye-1", "http://here/v1/chat/completions")
        == "8af161f36bed7e61fdf73ee091c729a81c1b20c36b7cdb47c424c93634a159a7"
    )
    again = replace(PAIR, question="", instructions="Look twice.", again="Well.")
    assert (
        again.key("eye-1", "http://here/v1/chat/completions")
        == "ceb0a275b22b5b83a5248965100d9b244d42afee1df0ef90eb6bdacff743a682"
    )


def test_a_budget_of_calls_counts_every_try_and_holds_after_a_restart(teacher, model):
    model.faults.append(error(500))
    with pytest.raises(BudgetSpent, match="budget of 2 calls is used up"):
        teacher(max_calls=2).ask(PAIR)
    with pytest.raises(BudgetSpent):
        teacher(max_calls=2).ask(PAIR)
    assert len(model.calls) == 2
    assert teacher(max_calls=3).ask(PAIR).cached == 1 and len(model.calls) == 3


def test_a_budget_of_money_is_never_exceeded(teacher, model):
    """Each call is 1000 and 50 tokens: 1.05 cents; up to 500 might be received: 1.5 cents."""
    poor = teacher(price=(10.0, 10.0), max_cost=0.026)
    poor.ask(PAIR)
    with pytest.raises(BudgetSpent, match=r"of \$0.026 \$0.021 are spent, and another call may cost \$0.015"):
        poor.ask(replace(PAIR, question="And now?"))
    total = poor.ledger.total()
    assert (total.calls, total.sent, total.received) == (2, 2000, 100) and total.cost == pytest.approx(0.021)


def test_a_call_without_usage_or_reply_counts_as_expected(teacher, model):
    model.usage = None
    one = teacher(price=(0.0, 1000.0), max_cost=100.0)
    model.faults += [dropped, error(500)]
    one.ask(PAIR)
    assert one.ledger.total().cost == pytest.approx(3 * 0.5) and len(model.calls) == 4  # errors that arrive are free


def test_usage_that_is_no_number_is_not_believed(teacher, model):
    model.usage = {"prompt_tokens": -5, "completion_tokens": "many"}
    one = teacher(price=(1.0, 1.0))
    one.ask(PAIR)
    assert one.ledger.total().sent == 0 and one.ledger.total().cost > 0


def test_stopping_ends_a_wait_at_once(model, tmp_path):
    wanted = AISettings(model="eye-1", endpoint=model.url)
    waiting = Backoff(wanted)
    waiting.stop.set()
    with pytest.raises(Stopped):
        Retries(waiting).again(Busy("later", 429, 60.0))
    with pytest.raises(Stopped):
        waiting.turn()
