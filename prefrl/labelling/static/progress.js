// @ts-check
/** The progress line, and what the labelling view shows when there is nothing to answer. */

import {button, count, duration, el, put} from "./dom.js";

/** @typedef {import("./api.js").Status} Status */

/** @type {Record<string, string>} */
const STATES = {
  running: "training", "waiting for labels": "waiting for answers", paused: "paused until answers come",
  finished: "training finished", stopped: "training stopped", absent: "no training runs",
};

export function progressLine() {
  const bar = el("div", {class: "bar", "aria-hidden": "true"}, el("i", {class: "asked"}), el("i", {class: "answered"}));
  const counts = el("span", {class: "counts"});
  const pace = el("span", {class: "pace"});
  const queue = el("span", {class: "queue wide"});
  const trainer = el("span", {class: "trainer"});
  const root = el("section", {class: "progress", "aria-label": "Progress"}, bar, el("p", {}, counts, pace, queue, trainer));

  /** @param {Status} status @param {number} extra answers given here that the server has not counted yet */
  function update(status, extra) {
    const answered = status.answered + status.skipped + extra; // who cannot tell has answered, too
    const whole = Math.max(status.budget, status.asked, 1);
    bar.firstChild.style.setProperty("--share", String(status.asked / whole));
    bar.lastChild.style.setProperty("--share", String(Math.min(1, answered / whole)));
    put(counts, el("b", {}, answered.toLocaleString("en")), " answered of ", status.asked.toLocaleString("en"), " asked",
      status.budget ? el("span", {class: "wide"}, ` · budget ${status.budget.toLocaleString("en")}`) : null);
    const {per_minute: perMinute, median_seconds: median} = status.mine;
    put(pace, perMinute ? `${perMinute.toFixed(perMinute < 10 ? 1 : 0)} a minute` : "",
      median ? el("span", {class: "wide"}, ` · median ${median.toFixed(1)} s`) : null);
    put(queue, `${status.ready} ready`, status.rendering ? ` · ${status.rendering} being drawn` : null,
      status.next !== null ? ` · more in ${duration(status.next)}` : null);
    put(trainer, ...trainerText(status));
    trainer.dataset.state = status.trainer.state;
  }

  return {root, update};
}

/** @param {Status} status */
function trainerText({trainer}) {
  const rest = [];
  const short = new Intl.NumberFormat("en", {notation: "compact", maximumFractionDigits: 2}); // 1.25M, 340K
  if (trainer.step && trainer.total_steps) rest.push(`step ${short.format(trainer.step)} of ${short.format(trainer.total_steps)}`);
  if (trainer.model_version) rest.push(`reward model v${trainer.model_version}`);
  return [el("i", {class: "dot", "aria-hidden": "true"}), STATES[trainer.state] ?? trainer.state,
    rest.length ? el("span", {class: "wide"}, ` · ${rest.join(" · ")}`) : null];
}

/** Why there is nothing to answer; waiting: more will come by itself. @param {Status} status */
function whyEmpty(status) {
  const {trainer, budget, asked, open, rendering, ready} = status;
  const over = {finished: "The training has finished", stopped: "The training has stopped", absent: "No training runs"}[trainer.state];
  if (ready === 0 && (rendering > 0 || open > 0))
    return {title: "The next clips are being drawn", text: `${count(rendering || open, "question is", "questions are")} waiting for clips.`, waiting: true};
  if (open > 0)
    return {title: "Nothing new this moment", text: `${count(open, "question is", "questions are")} on another screen, or answered a moment ago. What others leave comes here.`, waiting: true};
  if (budget && asked >= budget)
    return {title: "No question is left", text: `The budget of ${count(budget, "question")} is used up.${over ? "" : " The training goes on with what you taught it."}`, waiting: false};
  if (over)
    return {title: over, text: "It asks no more questions. To go on, resume the run: prefrl resume, with its folder.", waiting: false};
  if (trainer.state === "paused")
    return {title: "The training is paused", text: "It will ask more when it goes on.", waiting: true};
  return {title: "All caught up", text: "The agent trains on with your answers and will ask about what it does next.", waiting: true};
}

/** What is shown when there is nothing to answer. @param {{again: () => void, recheck?: () => void}} act recheck: where there is a history to go to */
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
  const timer = setInterval(() => !root.hidden && tick(), 1000);

  /** @param {Status} status @param {import("./prefetch.js").Prefetcher} ahead */
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

  return {root, update, stop: () => clearInterval(timer)};
}
