// @ts-check
/** What the labelling view shows when there is nothing to answer. */

import {button, duration, el, put} from "./dom.js";
import {whyEmpty} from "./progress.js";

/** @param {{again: () => void, recheck?: () => void}} act recheck: where there is a history to go to */
export function emptyCard(act) {
  const title = el("h2", {});
  const text = el("p", {});
  const clock = el("p", {class: "countdown"});
  const again = button("Second opinions on answered questions", {class: "strong", onclick: act.again});
  const recheck = button("Re-check my answers", {class: "quiet", onclick: () => act.recheck?.()});
  const root = el("section", {class: "empty card", hidden: true, "aria-live": "polite"}, title, text, clock, el("div", {class: "row"}, again, recheck));
  /** When more questions come, in performance.now() terms. @type {number | null} */
  let due = null;

  const tick = () => {
    const left = due === null ? null : (due - performance.now()) / 1000;
    put(clock, left === null ? "" : left > 0.5 ? `More questions in about ${duration(left)}` : "More questions any moment now");
  };
  const clockwork = setInterval(() => !root.hidden && tick(), 1000);

  /** @param {import("./api.js").Status} status @param {import("./ahead.js").Ahead} ahead */
  function update(status, ahead) {
    const why = whyEmpty(status);
    if (title.textContent !== why.title) put(title, why.title);
    const note = ahead.again && ahead.dry ? " No answered question is left to give a second opinion on." : "";
    const broken = ahead.broken.size ? " Some clips could not be shown in this browser." : "";
    if (text.textContent !== why.text + note + broken) put(text, why.text + note + broken);
    due = why.waiting && status.next !== null ? performance.now() + status.next * 1000 : null;
    again.hidden = !status.answered || (ahead.again && ahead.dry);
    recheck.hidden = !act.recheck || !status.mine.answers;
    tick();
  }

  return {root, update, stop: () => clearInterval(clockwork)};
}
