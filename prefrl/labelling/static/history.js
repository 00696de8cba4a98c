// @ts-check
/** Every answer with its clips: pointing at one plays it, and each can be revised or withdrawn. */

import {ApiError, get} from "./api.js";
import {button, el, put} from "./dom.js";
import {recordCard} from "./record.js";

/**
 * @typedef {{seq: number, query: number, asked_kind: string, words: string, choice: string | null, clear: boolean, labeller: string, at: number | string, decision_ms: number | null, standing: boolean,
 *   kind: "answer" | "opinion" | "withdrawal", supersedes: number | null, superseded_by: number | null, known: boolean | null,
 *   clips: import("./player.js").Clip[] | null, model: import("./api.js").ModelView | null, reasons: string[]}} Past
 */

const PAGE = 30;

/** @type {Record<string, {label: string, keep: (past: Past) => boolean}>} */
const FILTERS = {
  standing: {label: "Answers that stand", keep: (past) => past.standing},
  disagree: {label: "Model disagrees", keep: (past) => past.standing && past.model?.agrees === false},
  opinion: {label: "Second opinions", keep: (past) => past.standing && past.kind === "opinion"},
  all: {label: "Everything, also corrected", keep: () => true},
};

export class HistoryView {
  name = "history";
  /** @type {Past[]} */
  #loaded = [];
  /** @type {ReturnType<typeof recordCard>[]} */
  #cards = [];
  #busy = 0;

  /** @param {import("./main.js").App} app */
  constructor(app) {
    this.app = app;
    this.who = el("select", {"aria-label": "Whose answers"}, el("option", {value: ""}, "Everyone"));
    this.what = el("select", {"aria-label": "Which answer"}, el("option", {value: ""}, "Any answer"));
    this.which = el("select", {"aria-label": "Which state"},
      ...Object.entries(FILTERS).map(([value, {label}]) => el("option", {value}, label)));
    this.who.addEventListener("change", () => this.#load(true));
    this.what.addEventListener("change", () => this.#list());
    this.which.addEventListener("change", () => this.#list());
    this.list = el("ol", {class: "records", "aria-label": "Answers, the latest first"});
    this.note = el("p", {class: "note", role: "status", "aria-live": "polite"});
    this.more = button("Show earlier answers", {class: "quiet", onclick: () => this.#load(false)});
    this.root = el("main", {class: "history", id: "main", tabindex: -1},
      el("div", {class: "page-head"}, el("h1", {}, "History"), el("div", {class: "filters"}, this.who, this.what, this.which)),
      this.note, this.list, el("div", {class: "row"}, this.more));
  }

  enter() {
    this.#people();
    if (location.hash.endsWith("?mine")) this.who.value = this.app.labeller;
    this.#load(true);
  }

  /** @param {import("./api.js").Status} status */
  status(status) {
    if (this.what.options.length > 1) return;
    for (const kind of Object.values(status.kinds))
      this.what.append(...kind.choices.map((one) => el("option", {value: `${kind.name} ${one.word}`}, one.label)));
    if (this.#loaded.length) this.#list(); // their buttons need the kinds
  }

  leave() {
    this.#cards.forEach((card) => card.stop());
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const way = {j: 1, k: -1}[event.key];
    if (!way) return false;
    const roots = [...this.list.children];
    const here = roots.findIndex((root) => root.contains(document.activeElement));
    roots[Math.min(roots.length - 1, Math.max(0, here + way))]?.focus();
    return true;
  }

  /** @param {boolean} afresh from the latest, or go on where the list ends */
  async #load(afresh) {
    const asked = ++this.#busy;
    const before = afresh ? null : Math.min(...this.#loaded.map((past) => past.seq));
    try {
      const found = await get("/api/history", {labeller: this.who.value, before, limit: PAGE});
      if (asked !== this.#busy) return;
      this.#loaded = afresh ? found.answers : [...this.#loaded, ...found.answers];
      this.more.hidden = !found.more;
      this.#people();
      this.#list();
    } catch (fault) {
      put(this.note, `The history cannot be read: ${fault instanceof ApiError ? fault.message : fault}`);
    }
  }

  #list() {
    this.leave();
    const {keep} = FILTERS[this.which.value];
    const kept = this.#loaded.filter((past) => keep(past) && (!this.what.value || `${past.asked_kind} ${past.choice}` === this.what.value));
    this.#cards = kept.map((past) => recordCard(this.app, past));
    put(this.list, ...this.#cards.map((card) => card.root));
    const narrowed = this.what.value || this.which.value !== "standing";
    put(this.note, kept.length ? "" : narrowed ? "No answer fits." : "No answers yet. They appear here as soon as they are given.");
  }

  /** Offer every name that was seen; keep the one that is chosen. */
  #people() {
    const names = new Set([this.app.labeller, ...this.#loaded.map((past) => past.labeller)]);
    const offered = new Set([...this.who.options].map((option) => option.value));
    for (const name of names) if (!offered.has(name)) this.who.append(el("option", {value: name}, name === this.app.labeller ? `Mine (${name})` : name));
  }
}
