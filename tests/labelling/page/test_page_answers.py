"""Answering at the label page, and what it shows of the reward model: after the answer, never before."""

from __future__ import annotations

import re
import time

from browsing import CHOICES, LENGTH, needs_chromium
from patience import until

from prefrl.store.store import LabelStore

pytestmark = needs_chromium


def test_arrow_keys_answer_what_they_say(visit):
    window = visit()
    queries = [window.ready()]
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        window.ready()
        time.sleep(0.3)
        queries.append(window.press(key))
    window.settle()
    assert window.standing(window.name) == dict(zip(queries, ["left", "right", "equal", "skip"], strict=False))
    past = window.history(window.name)
    assert all(300 <= one["decision_ms"] < 300_000 for one in past)


def test_every_answer_is_a_button_too(visit):
    window = visit()
    queries = [window.ready()]
    for place in CHOICES:
        window.ready()
        window.page.locator(place).click()
        queries.append(until(lambda: (now := window.state()["query"]) not in queries and now))
    window.settle()
    assert list(window.standing(window.name).values()) == ["left", "equal", "skip", "right"]


def test_keys_that_were_not_meant_as_answers_are_none(visit):
    window = visit()
    until(lambda: window.state()["ahead"] >= 2)
    press = "() => window.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}))"
    window.page.evaluate(f"() => {{ ({press})(); ({press})(); }}")  # the second was meant for the pair before
    query = window.ready()
    window.settle()
    assert len(window.history(window.name)) == 1
    for keys in ("Control+ArrowLeft", "Alt+ArrowRight", "Meta+ArrowUp", "Shift+ArrowDown"):
        window.page.keyboard.press(keys)
    window.page.keyboard.press("f")
    window.page.locator("dialog input").press("ArrowLeft")
    window.page.keyboard.press("Escape")
    assert window.state()["query"] == query
    window.ready()
    window.page.keyboard.down("ArrowRight")
    time.sleep(0.4)
    window.page.keyboard.down("ArrowRight")  # held down: Playwright marks it as a repetition
    window.page.keyboard.up("ArrowRight")
    window.settle()
    assert list(window.standing(window.name).values()) == ["left", "right"]


def test_no_question_comes_twice_however_slow_the_server_and_fast_the_labeller(visit):
    window = visit()
    window.page.route("**/api/answers", lambda route: (time.sleep(0.7), route.continue_()))
    queries = [window.ready()]
    for _ in range(6):
        queries.append(window.press("ArrowLeft"))
    window.settle()
    assert len(set(queries)) == len(queries)
    assert {one["kind"] for one in window.history(window.name)} == {"answer"}


def test_undo_goes_back_many_answers(visit):
    window = visit()
    queries = [window.ready()]
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        queries.append(window.press(key))
    window.settle()
    for back in (3, 2, 1):
        window.page.keyboard.press(["z", "Backspace"][back % 2])
        until(lambda back=back: window.state()["query"] == queries[back])
    assert "was" in window.page.locator(".choice.right").get_attribute("class")
    window.press("ArrowUp", "ArrowLeft", "ArrowLeft")
    window.settle()
    wanted = {queries[0]: "left", queries[1]: "equal", queries[2]: "left", queries[3]: "left"}
    assert window.standing(window.name) == wanted


def test_what_was_undone_and_left_alone_is_open_again(visit):
    window = visit()
    query = window.ready()
    window.press("ArrowLeft")
    window.settle()
    window.page.keyboard.press("z")
    window.settle()
    assert window.standing(window.name) == {}
    assert window.state()["query"] == query


def test_a_broken_pair_is_reported_and_gone(visit, served):
    window = visit()
    query = window.ready()
    window.page.keyboard.press("f")
    window.page.locator("dialog input").fill("the picture is torn")
    window.page.keyboard.press("Enter")
    assert window.ready(other_than=query) != query
    with LabelStore.open(served[0]) as store:
        assert query not in store.open_queries()
    assert window.standing(window.name) == {}


def test_the_progress_line_counts_at_once(visit):
    window = visit()
    line = window.page.locator(".progress")
    answered = int(re.search(r"(\d+) answered", line.inner_text())[1])
    window.press("ArrowLeft")
    assert f"{answered + 1} answered of" in line.inner_text()
    assert "training finished" in line.inner_text()


def test_the_models_view_comes_after_the_answer_and_never_before(visit):
    window = visit()
    card = window.page.locator(".model-view .card")
    window.page.keyboard.press("v")
    assert card.count() == 0
    window.press("ArrowLeft")
    window.settle()
    assert card.count() == 0  # off by default
    window.page.keyboard.press("v")
    until(lambda: card.count() == 1)
    assert "gives left 80 %" in card.inner_text()
    assert "agrees" in card.inner_text()
    assert card.locator("svg.strip").count() == 2
    assert card.locator("svg.strip .above, svg.strip .below").count() == 2 * LENGTH
    window.page.keyboard.press("z")
    until(lambda: card.count() == 0)  # the pair it was about is on the screen again
    window.press("ArrowRight")
    window.settle()
    with_it = window.history(window.name)[0]
    assert with_it["model"]["agrees"] is False


def test_the_models_view_after_each_answer_is_a_habit_that_is_remembered(visit):
    window = visit()
    window.page.get_by_label("Show the model's view after each answer").check()
    window.press("ArrowRight")
    until(lambda: "disagrees" in window.page.locator(".model-view").inner_text())
    window.page.reload()
    window.ready()
    assert window.page.get_by_label("Show the model's view after each answer").is_checked()
    assert window.page.locator(".model-view .card").count() == 0
