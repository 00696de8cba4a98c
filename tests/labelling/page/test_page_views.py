"""History, the experimenter's page, help, and what is said when nothing is left to answer."""

from __future__ import annotations

import time

from browsing import Browsing, needs_chromium
from patience import until
from serving import make_run, running

from prefrl.store.store import LabelStore

pytestmark = needs_chromium


def test_history_revises_and_withdraws(visit):
    window = visit()
    first = window.ready()
    second = window.press("ArrowLeft")
    window.press("ArrowRight")
    window.settle()
    window.page.keyboard.press("h")
    card = window.page.locator(f".record[data-query='{first}']")
    until(lambda: card.count() == 1)
    assert window.page.locator(".record").count() >= 2
    card.hover()
    pixels = "(canvas) => canvas.toDataURL()"
    canvas = card.locator("canvas").first
    until(lambda: card.locator(".ready").count())
    still = canvas.evaluate(pixels)
    until(lambda: canvas.evaluate(pixels) != still)
    card.locator(".choice.up").click()
    until(lambda: "Revised" in card.inner_text())
    assert window.standing(window.name) == {first: "equal", second: "right"}
    other = window.page.locator(f".record[data-query='{second}']")
    other.get_by_role("button", name="Withdraw").click()
    until(lambda: "open again" in other.inner_text())
    assert window.standing(window.name) == {first: "equal"}
    window.page.keyboard.press("h")
    window.ready()


def test_history_is_filtered_and_played_by_keyboard(visit):
    window = visit()
    window.press("ArrowLeft", "ArrowDown")
    window.settle()
    window.go("history")
    window.page.get_by_label("Whose answers").select_option(window.name)
    until(lambda: window.page.locator(".record").count() == 2)
    window.page.get_by_label("Which answer").select_option(label="Can't tell")
    assert window.page.locator(".record").count() == 1
    window.page.locator("h1").click()
    window.page.keyboard.press("j")
    assert window.page.locator(".record:focus").count() == 1
    canvas = window.page.locator(".record canvas").first
    still = canvas.evaluate("(canvas) => canvas.toDataURL()")
    until(lambda: canvas.evaluate("(canvas) => canvas.toDataURL()") != still)


def test_the_experimenter_sees_how_labelling_goes(visit):
    window = visit()
    window.press("ArrowLeft", "ArrowRight")
    window.settle()
    window.go("team")
    until(lambda: window.name[:20] in window.page.locator("main.team").inner_text())
    text = window.page.locator("main.team").inner_text()
    for part in (
        "Answers over time",
        "Chose left",
        "Same again, reordered",
        "Most disputed questions",
        "Waiting",
        "Corrections",
        "Time spent",
        "Model agrees",
    ):
        assert part in text
    assert window.page.locator(".chart .who").count() >= 1
    assert window.page.locator(".interval").count() >= 1


def test_a_name_is_only_text(visit):
    name = "<img src=x onerror='window.hurt=1'>"
    window = visit(name)
    window.press("ArrowLeft")
    window.settle()
    for view in ("label", "history", "team", "help"):
        window.go(view)
        time.sleep(0.3)
        assert window.page.locator("main img, header img").count() == 0
    assert window.page.evaluate("window.hurt") is None
    assert name in window.page.locator("header").inner_text()


def test_instructions_are_an_escaping_subset_of_markdown(visit):
    window = visit()
    window.page.keyboard.press("?")
    prose = window.page.locator("main.help .prose").first
    until(lambda: "keep spinning" in prose.inner_text())
    assert prose.locator("strong").inner_text() == "better"
    assert "<b onclick='x'>Not bold.</b>" in prose.inner_text()
    assert prose.locator("b").count() == 0
    for key in ("←", "→", "↑", "↓", "z", "space", "r", "h", "v"):
        assert window.page.locator(f"kbd:text-is('{key}')").count() >= 1


def test_when_nothing_is_left_the_page_says_why_and_offers_second_opinions(browser, tmp_path):
    make_run(tmp_path / "run", asked=2, **{"questions.budget": 2})
    with running(tmp_path / "run") as (_, about):
        first, second = (
            Browsing(browser, f"http://127.0.0.1:{about['port']}", about["token"], name) for name in ("ann", "ben")
        )
        first.ready()
        first.press("ArrowLeft")
        first.ready()
        first.page.keyboard.press("ArrowLeft")
        first.settle()
        empty = second.page.locator(".empty")
        until(lambda: "The budget of 2 questions is used up" in empty.inner_text())
        assert second.state()["query"] is None
        empty.get_by_role("button", name="Second opinions").click()
        second.ready()
        second.page.keyboard.press("ArrowLeft")
        second.settle()
        assert [one["kind"] for one in second.history("ben")] == ["opinion"]
        assert first.complaints + second.complaints + first.elsewhere + second.elsewhere == []
        first.close()
        second.close()


def test_the_experimenter_sees_whom_to_rely_on_and_marks_what_is_known(browser, tmp_path):
    ids = make_run(tmp_path / "run", asked=12, **{"teacher.opinions": 3})
    with LabelStore.open(tmp_path / "run", opinions=3) as store:
        for name, told in (("ann", 1.0), ("ben", 1.0), ("eve", 0.0)):
            store.answer(ids, [told] * len(ids), labeller=name, first_only=True)
    with running(tmp_path / "run") as (_, about):
        window = Browsing(browser, f"http://127.0.0.1:{about['port']}", about["token"], "ann")
        window.go("team")
        until(lambda: "Learned as" in window.page.locator("main.team").inner_text())
        text = window.page.locator("main.team").inner_text()
        assert "Estimated right" in text and "eve: Right is better" in text
        assert window.page.locator("main.team .small-clips").count() == 8
        window.page.set_viewport_size({"width": 390, "height": 844})
        assert window.page.evaluate("document.documentElement.scrollWidth") <= 390
        window.go("history")
        until(lambda: window.page.locator(".record").count() > 10)
        mark = window.page.locator(".record").first.get_by_role("button", name="Known")
        mark.click()
        until(lambda: mark.get_attribute("aria-pressed") == "true")
    with LabelStore.open(tmp_path / "run") as store:
        assert [row["preference"] for row in store.history() if row["kind"] == "truth"] == [0.0]
