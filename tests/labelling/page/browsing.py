"""A real Chromium at the label page of a real server, and what can be seen and done there."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from patience import LONG, until

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
LAUNCH = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
CHOICES = [".choice.left", ".choice.up", ".choice.down", ".choice.right"]
QUESTIONS, LENGTH = 100, 16  # of the run that all these tests label
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here; on Debian: apt-get install chromium")

PICTURES = """() => [...document.querySelectorAll(".stage canvas")].map((canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
    copy.drawImage(canvas, 0, 0);
    const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0, least = 255, most = 0;
    for (let k = 0; k < data.length; k += 4) {
        sum = (sum * 31 + data[k] + 7 * data[k + 1] + 13 * data[k + 2]) % 1000000007;
        least = Math.min(least, data[k]); most = Math.max(most, data[k]);
    }
    return {sum, blank: least === most, seen: getComputedStyle(canvas).visibility === "visible"};
})"""


class Browsing:
    """One window of one person, at first on the label page."""

    def __init__(self, browser: Any, base: str, token: str, name: str | None = "ann", **context: Any):
        self.base, self.token, self.name, self.cut = base, token, name or "", False
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
        self.context.set_default_timeout(1000 * LONG)
        self.page = self.open(name)

    def open(self, name: str | None) -> Any:
        """A page of this window; the name is asked for only once."""
        page = self.context.new_page()
        page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        page.on("pageerror", lambda fault: self.complaints.append(str(fault)))
        page.on("request", lambda sent: self.elsewhere.append(sent.url) if self.foreign(sent.url) else None)
        page.goto(f"{self.base}/?token={self.token}")
        if name is not None:
            page.locator("dialog input").fill(name)
            page.keyboard.press("Enter")
        return page

    def foreign(self, url: str) -> bool:
        return not url.startswith((self.base, "data:", "blob:"))

    def state(self, page: Any = None) -> dict[str, Any]:
        return (page or self.page).evaluate("() => ({...window.prefrl})")

    def ready(self, other_than: int | None = None) -> int:
        """Wait for a pair on the screen, past the moment in which keys are not taken for answers. Returns its query."""

        def shown() -> int | None:
            state = self.state()
            drawn = min(state["drawn"], default=-1) >= 0 and state["answerable"]
            return state["query"] if state["query"] != other_than and drawn else None

        return until(shown)  # the first clips are still being drawn

    def press(self, *keys: str) -> int:
        """Press keys, each once the pair before it may be answered. Returns the query then shown."""
        for key in keys:
            before = self.ready()
            self.page.keyboard.press(key)
        return until(lambda: (now := self.state()["query"]) != before and now)

    def settle(self) -> None:
        """Wait until the server confirmed everything."""
        until(lambda: self.state()["outbox"] == 0)

    def wait_for(self, things: list[Any], count: int = 1) -> None:
        """Wait for what Playwright's listeners collect. They only run inside its calls."""
        until(lambda: self.context.cookies() and len(things) >= count)

    def pictures(self) -> list[dict[str, Any]]:
        return self.page.evaluate(PICTURES)

    def go(self, view: str) -> None:
        self.page.evaluate("(hash) => { location.hash = hash; }", f"#/{view}")
        until(lambda: self.page.locator(f"main.{view}").count())

    def ask(self, path: str) -> Any:
        """What the server tells whoever sits here."""
        return self.context.request.get(f"{self.base}{path}").json()

    def close(self) -> None:
        """Leave every page, so that others get its questions, and close the window."""
        for page in self.context.pages:
            if not self.state(page).get("outbox"):
                page.goto("about:blank")
        self.context.close()

    def history(self, labeller: str) -> list[dict[str, Any]]:
        return self.ask(f"/api/history?labeller={labeller}&limit=200")["answers"]

    def standing(self, labeller: str) -> dict[int, str]:
        """Query -> choice, of the answers that stand, in the order in which they were given."""
        return {one["query"]: one["choice"] for one in reversed(self.history(labeller)) if one["standing"]}
