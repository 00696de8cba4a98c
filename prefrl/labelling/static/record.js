// @ts-check
/** One answer of the history as a card. */

import {choiceButtons} from "./choices.js";
import {smallClips} from "./small_clips.js";
import {button, el, put} from "./dom.js";
import {verdict} from "./strip.js";

/** @typedef {import("./history.js").Past} Past */

/** @param {import("./main.js").App} app @param {Past} given @returns {{root: HTMLElement, stop: () => void}} */
export function recordCard(app, given) {
  let past = given;
  const kind = app.status?.kinds[past.asked_kind];
  const clips = past.clips ? smallClips(past.clips, kind?.places ?? []) : null;
  const words = el("div", {class: "words"});
  const note = el("p", {class: "note", role: "status"});
  const buttons = kind ? choiceButtons(kind, "choice small", (choice) => change("revise", choice)) : [];
  const withdraw = button("Withdraw", {class: "quiet", onclick: () => change("withdraw")});
  const known = past.known !== null && button("Known", {class: "quiet", title: "Check other labellers by this answer", onclick: mark});
  const root = el("li", {class: "record card", tabindex: 0, "data-seq": past.seq, "data-query": past.query},
    clips?.root ?? el("p", {class: "gone"}, "The clips are being drawn again; look again in a moment"),
    el("div", {class: "about"}, words, el("div", {class: "revise", role: "group", "aria-label": "Revise this answer"}, ...buttons, withdraw, known), note));

  clips?.playWith(root);

  function show() {
    const model = past.standing ? past.model : null; // the prediction for an open question must stay hidden
    put(words, el("p", {}, el("b", {class: "told"}, past.words), state()),
      el("p", {class: "quiet-line"}, past.labeller, ` · ${when(past.at)}`, past.decision_ms ? ` · ${(past.decision_ms / 1000).toFixed(1)} s` : "", ` · question ${past.query}`),
      model && el("p", {class: "quiet-line"}, ...verdict(kind, model)),
      ...past.reasons.map((reason) => el("p", {class: "quiet-line"}, reason))); // untrusted, shown as text
    clips?.showRewards(model?.rewards ?? null);
    root.classList.toggle("past", !past.standing);
    buttons.forEach((one, k) => {
      one.setAttribute("aria-pressed", String(kind?.choices[k].word === past.choice));
      one.disabled = !past.standing;
    });
    withdraw.disabled = !past.standing;
    if (known) {
      known.setAttribute("aria-pressed", String(past.known));
      known.disabled = !past.standing || !past.clear;
    }
  }

  /** Mark this answer as known to be right, or unmark it. */
  async function mark() {
    try {
      await app.sessions.post(`/api/answers/${past.seq}/known`, app.labeller, {known: !past.known});
      past = {...past, known: !past.known};
      put(note, past.known ? "Known: others are checked by it." : "No longer known.");
    } catch (fault) {
      put(note, `Not changed: ${/** @type {Error} */ (fault).message}`);
    }
    show();
  }

  function state() {
    if (past.kind === "opinion") return el("span", {class: "tag"}, "second opinion");
    if (past.standing) return past.supersedes ? el("span", {class: "tag"}, "revised") : null;
    return past.kind === "answer" && el("span", {class: "tag"}, past.superseded_by ? "corrected since" : "withdrawn");
  }

  /** @param {"revise" | "withdraw"} what @param {import("./choices.js").Given} [given] */
  async function change(what, given) {
    if (given?.word === past.choice) return;
    [...buttons, withdraw].forEach((one) => (one.disabled = true));
    put(note, "Saving …");
    try {
      const reply = await settled(app.outbox, app.outbox.add(what, app.labeller, {seq: past.seq, body: given ? {answer: given.answer} : {}}));
      past = given
        ? {...past, choice: given.word, words: given.label, clear: given.clear, seq: reply.seq, supersedes: past.seq, model: reply.model}
        : {...past, standing: false};
      put(note, given ? "Revised." : "Withdrawn. The question is open again.");
    } catch (fault) {
      put(note, `Not changed: ${/** @type {Error} */ (fault).message}`);
    }
    show();
  }

  show();
  return {root, stop: () => clips?.stop()};
}

/** The server's reply to an entry of the outbox. @param {import("./outbox.js").Outbox} outbox @param {string} id @returns {Promise<any>} */
function settled(outbox, id) {
  const over = new AbortController();
  return new Promise((resolve, reject) => {
    const listener = (/** @type {Event} */ event) => {
      const {entry, reply, fault} = /** @type {CustomEvent} */ (event).detail;
      if (entry.id !== id) return;
      over.abort();
      if (fault) reject(fault);
      else resolve(reply);
    };
    for (const event of ["done", "refused"]) outbox.addEventListener(event, listener, {signal: over.signal});
  });
}

/** @param {number | string} at seconds since 1970, or ISO */
function when(at) {
  const date = new Date(typeof at === "number" ? at * 1000 : at);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"}) : date.toLocaleString([], {dateStyle: "medium", timeStyle: "short"});
}
