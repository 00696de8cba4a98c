"""A person at the label page: real Chromium, real server, a real run's questions and clips."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from browsing import CHROMIUM, LAUNCH, Browsing, needs_chromium, until
from serving import make_run, running
from short import SHORT

from prefrl.feedback.store import LabelStore

pytestmark = needs_chromium
STATIC = Path(__file__).parents[2] / "prefrl" / "labelling" / "static"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
CHOICES = [".choice.left", ".choice.equal", ".choice.skip", ".choice.right"]
THOUGHT = {"model_version": 3, "probability": 0.8, "rewards": [[0.1, 0.4] * 8, [-0.3, 0.1] * 8]}
QUESTIONS, LENGTH = 120, 16


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A run that has asked and still waits for people, its server and its worker: folder and address."""
    from prefrl.api import train

    folder = tmp_path_factory.mktemp("label") / "run"
    people = {"teacher": "human", "teacher.page": False, "teacher.queue": QUESTIONS, "teacher.stale": 0.0}
    asking = {"steps": 8192, "questions.budget": QUESTIONS, "questions.length": LENGTH, "record.checkpoints": 2}
    train("prefrl/PendulumSpin-v0", folder=folder, quiet=True, **{**SHORT, **asking, **people})
    (folder / "instructions.md").write_text(
        "# Spin\n\nFaster is **better**. <b onclick='x'>Not bold.</b>\n\n- keep spinning\n"
    )
    with LabelStore.open(folder) as store:
        store.board.predict({query: THOUGHT for query in store.open_queries()})
    with running(folder, "--repeats", "0") as (_, about):
        yield folder, about


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        assert CHROMIUM
        browser = playwright.chromium.launch(**LAUNCH)
        yield browser
        browser.close()


@pytest.fixture
def visit(served, browser, request):
    """Opens windows of people. None of them may complain on the console or ask another host for anything."""
    windows: list[Browsing] = []

    def open_window(name: str | None = None, ready: bool = True, cut: bool = False, **context) -> Browsing:
        name = request.node.name[5:45] if name is None else name
        base = f"http://127.0.0.1:{served[1]['port']}"
        windows.append(Browsing(browser, base, served[1]["token"], name, **context))
        if ready:
            windows[-1].ready()
        windows[-1].name, windows[-1].cut = name, cut
        return windows[-1]

    yield open_window
    for window in windows:
        window.context.close()
    for window in windows:
        # Chromium itself reports requests that fail because a test cut the line
        allowed = "Failed to load resource: net::" if window.cut else "nothing"
        assert [line for line in window.complaints if not line.startswith(allowed)] == []
    assert [url for window in windows for url in window.elsewhere] == []


# -- the clips ---------------------------------------------------------------------------------------------------------


def test_both_clips_play_in_step(visit):
    window = visit()
    seen = [(state["left"], state["right"]) for _ in range(40) if (state := window.state()) and not time.sleep(0.03)]
    assert all(left == right for left, right in seen)
    assert len(set(seen)) > 8
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
    assert window.state()["left"] == window.state()["right"] == 4
    assert window.pictures() != third
    window.page.keyboard.press(",")
    assert window.state()["left"] == 3
    assert window.pictures() == third


def test_no_clip_is_seen_before_both_are_decoded(visit):
    held = []

    def hold(route):
        held.append(route) if len(held) < 2 else route.continue_()

    window = visit(ready=False)
    page = window.context.new_page()
    page.route("**/clips/*.webp", hold)
    page.goto(window.base)
    window.heard(held, 2)
    held[0].continue_()
    time.sleep(0.3)
    assert window.state(page)["left"] == window.state(page)["right"] == -1
    assert page.locator(".stage.loading canvas").count() == 2
    assert not page.locator(".stage canvas").first.is_visible()
    held[1].continue_()
    until(lambda: window.state(page)["left"] >= 0)
    assert page.locator(".stage canvas").first.is_visible()


def test_the_next_pair_is_drawn_before_the_key_press_returns(visit):
    window = visit()
    until(lambda: window.state()["ahead"] >= 2)
    before, after = window.page.evaluate("""() => {
        const shown = () => [window.prefrl.query, window.prefrl.left, window.prefrl.right];
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
    moved = "() => [performance.now(), window.prefrl.left]"
    start, first = window.page.evaluate(moved)
    time.sleep(0.5)
    end, last = window.page.evaluate(moved)
    assert 0 < last - first <= (end - start) / 1000 * 30 / 8 + 1
    for _ in range(9):
        press("]")
    assert window.state()["speed"] == 4
    until(lambda: window.state()["loops"] >= 2)
    press(" ")
    stopped = window.state()
    assert not stopped["playing"]
    time.sleep(0.2)
    assert window.state()["left"] == stopped["left"]
    assert window.page.locator(".transport button[aria-label=Play]").count() == 1
    press("r")
    assert window.state()["left"] == 0


def test_who_wants_less_motion_starts_paused(visit):
    window = visit(reduced_motion="reduce")
    assert window.state()["left"] == window.state()["right"] == 0
    assert not window.state()["playing"]
    window.page.keyboard.press(".")
    assert window.state()["left"] == 1
    window.press("ArrowLeft")
    assert not window.state()["playing"]


# -- answering ---------------------------------------------------------------------------------------------------------


def test_arrow_keys_answer_what_they_say(visit):
    window = visit()
    queries = [window.ready()]
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        queries.append(window.press(key))
    window.settle()
    assert window.standing(window.name) == dict(zip(queries, ["left", "right", "equal", "skip"], strict=False))
    past = window.history(window.name)
    assert all(300 <= one["decision_ms"] < 20_000 for one in past)


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


# -- the connection ----------------------------------------------------------------------------------------------------


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
    window.heard(warned)
    assert warned == ["beforeunload"]
    window.page = window.open(None)
    until(lambda: window.standing(window.name) == {query: "equal"})
    window.settle()


# -- what the model thinks ---------------------------------------------------------------------------------------------


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


# -- history and team --------------------------------------------------------------------------------------------------


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
    card.locator(".choice.equal").click()
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
    window.page.get_by_label("Which answer").select_option("skip")
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
    until(lambda: window.name[:20] in window.page.locator("main.team").inner_text(), 15)
    text = window.page.locator("main.team").inner_text()
    for part in (
        "Answers over time",
        "Chose left",
        "Agrees with self",
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


# -- every screen ------------------------------------------------------------------------------------------------------


def test_a_phone_shows_both_clips_and_all_four_answers_without_scrolling(visit):
    window = visit(**PHONE)
    for place in [*CHOICES, ".stage .side.left canvas", ".stage .side.right canvas"]:
        box = window.page.locator(place).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, place
        assert box["y"] >= 0 and box["y"] + box["height"] <= 844, place
        assert min(box["width"], box["height"]) >= 44
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 390


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
        if window.page.locator(".choice.equal:focus-visible").count():
            break
    outline = window.page.locator(".choice.equal").evaluate("(one) => getComputedStyle(one).outlineStyle")
    assert outline == "solid"
    window.page.keyboard.press("Enter")
    window.ready(other_than=query)
    window.settle()
    assert window.standing(window.name) == {query: "equal"}


def test_at_double_zoom_clips_and_answers_still_fit(visit):
    window = visit(viewport={"width": 640, "height": 400})
    for place in [*CHOICES, ".stage .side.left canvas", ".stage .side.right canvas"]:
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
        first.context.close()
        second.context.close()
