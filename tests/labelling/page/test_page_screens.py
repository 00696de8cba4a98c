"""The label page on every screen, by finger, by keyboard, in the dark; and nothing on it is built out of markup."""

from __future__ import annotations

import re
from pathlib import Path

from browsing import CHOICES, needs_chromium
from patience import until

pytestmark = needs_chromium
STATIC = Path(__file__).parents[3] / "prefrl" / "labelling" / "static"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def test_a_phone_shows_both_clips_and_all_four_answers_without_scrolling(visit):
    window = visit(**PHONE)
    for place in [*CHOICES, ".stage .side:first-child canvas", ".stage .side:last-child canvas"]:
        box = window.page.locator(place).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, place
        assert box["y"] >= 0 and box["y"] + box["height"] <= 844, place
        assert min(box["width"], box["height"]) >= 44
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_no_page_is_wider_than_a_phone_even_with_a_labeller_of_a_long_name(visit):
    window = visit(**PHONE)
    query = window.ready()
    window.page.locator(CHOICES[0]).tap()
    window.ready(other_than=query)
    window.settle()
    for view, shown in (("history", "Left is better"), ("team", "Labellers"), ("help", "")):
        window.go(view)
        until(lambda view=view, shown=shown: shown in window.page.locator(f"main.{view}").inner_text())
        assert window.page.evaluate("document.documentElement.scrollWidth") <= 390, view


def test_a_swipe_answers(visit):
    window = visit(**PHONE)
    query = window.ready()
    cdp = window.context.new_cdp_session(window.page)
    for kind, x in (("touchStart", 300), ("touchMove", 200), ("touchMove", 100), ("touchEnd", None)):
        points = [] if x is None else [{"x": x, "y": 300}]
        cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    window.ready(other_than=query)
    window.settle()
    assert window.standing(window.name) == {query: "left"}


def test_colours_follow_the_system_or_the_toggle(visit):
    window = visit(color_scheme="dark")
    page = window.page
    colour = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.get_by_label("Colours: Follow the system").click()
    light = page.evaluate(colour)
    assert sum(map(int, re.findall(r"\d+", dark))) < 120 < 600 < sum(map(int, re.findall(r"\d+", light)))
    page.reload()
    until(lambda: page.evaluate(colour) == light)


def test_every_action_has_a_name_a_key_and_room_for_a_finger(visit):
    window = visit()
    buttons = window.page.locator("button:visible, nav a:visible")
    for k in range(buttons.count()):
        button = buttons.nth(k)
        named = button.get_attribute("aria-label") or button.inner_text()
        assert named.strip()
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44, named
    keys = window.page.eval_on_selector_all(
        "[aria-keyshortcuts]",
        "(all) => all.map((one) => one.ariaKeyShortcuts ?? one.getAttribute('aria-keyshortcuts')).join(' ').split(' ')",
    )
    assert set(keys) >= {
        "ArrowLeft",
        "ArrowRight",
        "ArrowUp",
        "ArrowDown",
        "z",
        "Backspace",
        "Space",
        ",",
        ".",
        "[",
        "]",
        "r",
        "v",
        "f",
        "h",
        "?",
    }
    assert window.page.locator("[aria-live=polite]").count() >= 1


def test_the_keyboard_alone_reaches_the_buttons(visit):
    window = visit()
    query = window.ready()
    for _ in range(40):
        window.page.keyboard.press("Tab")
        if window.page.locator(".choice.up:focus-visible").count():
            break
    outline = window.page.locator(".choice.up").evaluate("(one) => getComputedStyle(one).outlineStyle")
    assert outline == "solid"
    window.page.keyboard.press("Enter")
    window.ready(other_than=query)
    window.settle()
    assert window.standing(window.name) == {query: "equal"}


def test_at_double_zoom_clips_and_answers_still_fit(visit):
    window = visit(viewport={"width": 640, "height": 400})
    for place in [*CHOICES, ".stage .side:first-child canvas", ".stage .side:last-child canvas"]:
        box = window.page.locator(place).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 640, place
        assert box["y"] >= 0 and box["y"] + box["height"] <= 400, place


def test_the_page_builds_nothing_out_of_markup():
    for path in STATIC.glob("*.js"):
        text = path.read_text()
        assert "// @ts-check" in text, path.name
        for danger in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "http://",
        ):
            found = text.replace("http://www.w3.org/2000/svg", "").count(danger)
            assert not found, f"{path.name}: {danger}"
    index = (STATIC / "index.html").read_text()
    assert "<style" not in index and "style=" not in index
    assert re.findall(r"<script[^>]*>", index) == ['<script type="module" src="/static/main.js">']
