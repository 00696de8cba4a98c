"""Clips at the label page: whole, in step, never blank; real Chromium, real server, a real run."""

from __future__ import annotations

import time

from browsing import needs_chromium
from patience import until

pytestmark = needs_chromium


def test_both_clips_play_in_step(visit):
    window = visit()
    seen: set[tuple[int, int]] = set()

    def look() -> int:
        state = window.state()
        seen.add(tuple(state["drawn"]))
        return len(seen)

    until(lambda: look() > 8)
    assert all(left == right for left, right in seen)
    window.page.keyboard.press(" ")
    before = window.pictures()
    window.page.keyboard.press(".")
    after = window.pictures()
    for k in (0, 1):
        assert before[k]["seen"] and not before[k]["blank"] and not after[k]["blank"]
        assert before[k]["sum"] != after[k]["sum"]


def test_each_frame_number_is_one_picture(visit):
    window = visit()
    window.page.keyboard.press("r")
    window.page.keyboard.press(" ")
    window.page.locator(".scrub").fill("3")
    third = window.pictures()
    window.page.locator("h1").click()
    window.page.keyboard.press(".")
    assert window.state()["drawn"][0] == window.state()["drawn"][1] == 4
    assert window.pictures() != third
    window.page.keyboard.press(",")
    assert window.state()["drawn"][0] == 3
    assert window.pictures() == third


def test_no_clip_is_seen_before_both_are_decoded(visit):
    held = []

    def hold(route):
        held.append(route) if len(held) < 2 else route.continue_()

    window = visit(ready=False)
    page = window.context.new_page()
    page.route("**/clips/*.webp", hold)
    page.goto(window.base)
    window.wait_for(held, 2)
    held[0].continue_()
    time.sleep(0.3)
    assert window.state(page)["drawn"][0] == window.state(page)["drawn"][1] == -1
    assert page.locator(".stage.loading canvas").count() == 2
    assert not page.locator(".stage canvas").first.is_visible()
    held[1].continue_()
    until(lambda: window.state(page)["drawn"][0] >= 0)
    assert page.locator(".stage canvas").first.is_visible()


def test_the_next_pair_is_drawn_before_the_key_press_returns(visit):
    window = visit()
    until(lambda: window.state()["ahead"] >= 2)
    before, after = window.page.evaluate("""() => {
        const shown = () => [window.prefrl.query, ...window.prefrl.drawn];
        const before = shown();
        window.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowLeft"}));
        return [before, shown()];
    }""")
    assert after[0] != before[0]
    assert after[1:] == [0, 0]


def test_speed_steps_and_restart(visit):
    window = visit()
    press = window.page.keyboard.press
    press("[")
    press("[")
    press("[")
    press("[")
    assert window.state()["speed"] == 0.125
    assert window.page.locator(".speed").inner_text() == "1/8×"
    press("r")
    moved = "() => [performance.now(), window.prefrl.drawn[0]]"
    start, first = window.page.evaluate(moved)
    end, last = until(lambda: (now := window.page.evaluate(moved))[1] > first and now)
    assert last - first <= (end - start) / 1000 * 30 / 8 + 1
    for _ in range(9):
        press("]")
    assert window.state()["speed"] == 4
    until(lambda: window.state()["loops"] >= 2)
    press(" ")
    stopped = window.state()
    assert not stopped["playing"]
    time.sleep(0.2)
    assert window.state()["drawn"][0] == stopped["drawn"][0]
    assert window.page.locator(".transport button[aria-label=Play]").count() == 1
    press("r")
    assert window.state()["drawn"][0] == 0


def test_who_wants_less_motion_starts_paused(visit):
    window = visit(reduced_motion="reduce")
    assert window.state()["drawn"][0] == window.state()["drawn"][1] == 0
    assert not window.state()["playing"]
    window.page.keyboard.press(".")
    assert window.state()["drawn"][0] == 1
    window.press("ArrowLeft")
    assert not window.state()["playing"]
