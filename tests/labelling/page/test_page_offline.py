"""What a labeller does reaches the store once, whatever the connection does."""

from __future__ import annotations

import time

from browsing import needs_chromium
from patience import until

pytestmark = needs_chromium


def test_answers_given_offline_arrive_once(visit):
    window = visit(cut=True)
    first = window.ready()
    until(lambda: window.state()["ahead"] >= 3)
    window.context.set_offline(True)
    second = window.press("ArrowLeft")
    window.press("ArrowRight")
    assert window.state()["outbox"] == 2
    until(lambda: "2 answers are kept" in window.page.locator(".banner").inner_text())
    assert window.standing(window.name) == {}
    window.context.set_offline(False)
    window.settle()
    assert window.standing(window.name) == {first: "left", second: "right"}
    assert len(window.history(window.name)) == 2
    until(lambda: not window.page.locator(".banner").is_visible())


def test_an_answer_whose_reply_was_lost_counts_once(visit):
    window = visit(cut=True)
    query = window.ready()
    lost = []

    def lose(route):
        if lost:
            return route.continue_()
        lost.append(route.fetch().status)
        route.abort()

    window.page.route("**/api/answers", lose)
    window.press("ArrowLeft")
    window.settle()
    assert lost == [201]
    assert [(one["query"], one["choice"]) for one in window.history(window.name)] == [(query, "left")]


def test_an_undone_answer_that_was_never_sent_is_never_stored(visit):
    window = visit(cut=True)
    query = window.ready()
    window.page.route("**/api/answers", lambda route: route.abort())
    window.press("ArrowLeft", "ArrowLeft")
    window.page.keyboard.press("z")  # this one was still waiting behind the first
    window.page.unroute("**/api/answers")
    window.settle()
    assert list(window.standing(window.name)) == [query]
    assert len(window.history(window.name)) == 1


def test_an_answer_given_again_after_an_offline_undo_is_the_one_that_stands(visit):
    window = visit(cut=True)
    query = window.ready()
    window.page.route("**/api/answers", lambda route: route.abort())
    window.press("ArrowLeft")
    time.sleep(0.3)
    window.page.keyboard.press("z")
    until(lambda: window.state()["query"] == query)
    window.press("ArrowRight")
    assert window.state()["outbox"] == 3  # answer, withdrawal, answer
    window.page.unroute("**/api/answers")
    window.settle()
    assert window.standing(window.name) == {query: "right"}


def test_a_closed_page_leaves_its_answers_to_the_next(visit):
    window = visit(cut=True)
    query = window.ready()
    window.page.route("**/api/answers", lambda route: route.abort())
    window.press("ArrowUp")
    warned = []
    window.page.on("dialog", lambda dialog: (warned.append(dialog.type), dialog.accept()))
    window.page.close(run_before_unload=True)
    window.wait_for(warned)
    assert warned == ["beforeunload"]
    window.page = window.open(None)
    until(lambda: window.standing(window.name) == {query: "equal"})
    window.settle()
