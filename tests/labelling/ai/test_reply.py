"""Reading what a model wrote, which may be anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.kinds import kind_of
from prefrl.labelling.ai import reply
from prefrl.labelling.ai.reply import LONGEST_REASON, ReadAnswer, clean

PAIR = kind_of("pair")


def read(text: str) -> ReadAnswer | None:
    return reply.read(text, PAIR)


@pytest.mark.parametrize(
    "text",
    [
        '{"reason": "higher", "answer": "left"}',
        ' {"answer": " LEFT ", "reason": "higher"} ',
        '```json\n{"reason": "higher", "answer": "left"}\n```',
        'The first {clip} looks better, so {"reason": "higher", "answer": "left"} it is.',
        '<think>{"answer": "right"} or not?</think>{"reason": "higher", "answer": "left"}',
        '{"answer": "left", "reason": "no"} and again {"answer": "left", "reason": "higher"}',
        '{"clips": 2} {"reason": "higher", "answer": "left", "more": {"answer": "right"}}',
    ],
)
def test_an_answer_is_found_alone_in_a_fence_and_in_prose(text):
    assert read(text) == ReadAnswer({"preference": 1.0}, "left", "higher")


@pytest.mark.parametrize(
    "text",
    [
        "", "left", "I prefer the left clip.", "{", '{"answer": "left"', '{"answer": "both"}', '{"answer": 1}',
        '{"answer": ["left"]}', '{"answer": null}', '["left"]', '{"answer": "left"} {"answer": "right"}',
        "{" * 5000, '{"a":' * 5000, "\x00\ud800",
    ],
)  # fmt: skip
def test_what_is_no_answer_is_none(text):
    assert read(text) is None


@given(st.text())
def test_no_text_breaks_it(text):
    said = read(text)
    assert said is None or said.answer in [choice.answer for choice in PAIR.choices]


@given(st.text())
def test_a_strangers_text_is_one_printable_short_line(text):
    assert clean(text).isprintable() and len(clean(text)) <= LONGEST_REASON
    assert clean("a\x1b[31mb\nc\u202ed") == "a [31mb c d"


def test_a_reason_that_is_no_text_is_left_out_and_a_long_one_cut():
    assert read('{"answer": "equal", "reason": {"a": 1}}') == ReadAnswer({"preference": 0.5}, "equal", "")
    assert len(read('{"answer": "equal", "reason": "' + 3000 * "x" + '"}').reason) == LONGEST_REASON
