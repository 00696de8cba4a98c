// @ts-check
/** The labelling view: the clips of a question, its answers, and the next question at once after an answer. */

import {Prefetcher, load} from "./prefetch.js";
import {choices} from "./choices.js";
import {ask, blurred, button, el, put} from "./dom.js";
import {icon} from "./icons.js";
import {CONTROLS, announced, control} from "./keys.js";
import {markdown} from "./markdown.js";
import {Player} from "./player.js";
import {emptyCard, progressLine} from "./progress.js";
import {reducedMotion, remember, setting} from "./storage.js";
import {modelCard} from "./strip.js";
import {swipes} from "./swipes.js";
import {MOVES, transport} from "./transport.js";
import {Turns} from "./turns.js";

/**
 * What the view is part of: the page, which has a history to go to, or a notebook's cell.
 * @typedef {import("./connection.js").Connection & {recheck?: () => void}} App
 * @typedef {import("./choices.js").Kind} Kind
 */

/**
 * The widgets, by the name that a kind of question gives. Another one is another file and a line here.
 * @type {Record<string, (kind: Kind, give: (given: import("./choices.js").Given) => void) => import("./choices.js").Widget>}
 */
const WIDGETS = {choices};

const NO_KIND = /** @type {Kind} */ (/** @type {unknown} */ ({places: [], choices: []})); // before the kinds are known
const GUARD = 250; // ms after a new question in which no answer counts: it was meant for the previous question
const HEARTBEAT = 20_000; // ms; leases last 60 s

export class LabelView {
  name = "label";
  /** How the kind of question on the screen is asked. */
  widget = choices(NO_KIND, () => {});
  /** The kind on the screen. @type {Kind | null} */
  kind = null;
  /** All kinds, by name. @type {Record<string, Kind>} */
  kinds = {};
  #shownAt = 0;
  #awake = {since: 0, total: 0};
  #revealing = false;
  #clearing = 0;
  /** Numbers of the answers that arrived since the server last counted. @type {number[]} */
  #since = [];
  /** Instructions on the page. @type {string | null} */
  #instructionsText = null;
  progress = progressLine();
  question = el("h1", {class: "question"});
  instructions = el("details", {class: "instructions", hidden: true}, el("summary", {onclick: blurred}, "Instructions"), el("div", {class: "prose"}));
  message = el("p", {class: "message", role: "status", "aria-live": "polite"});
  card = el("div", {class: "model-view", hidden: true});
  always = el("input", {type: "checkbox", checked: setting("model view", "no") === "yes"});

  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.empty = emptyCard({again: () => this.secondOpinions(), recheck: app.recheck});
    this.post = (/** @type {string} */ path, /** @type {any} */ body) => app.sessions.post(path, app.labeller, body);
    this.ahead = new Prefetcher(this.post, () => [...this.turns.shown, ...app.outbox.queries]);
    this.turns = new Turns(this.ahead, app.outbox, app.labeller);
    this.player = new Player([], () => this.transport.update());
    this.transport = transport(this.player);
    this.#build();
    this.turns.addEventListener("turn", () => this.#show());
    this.turns.addEventListener("stored", (event) => this.#answered(/** @type {CustomEvent} */ (event).detail));
    this.ahead.addEventListener("staged", () => this.turns.advance());
    this.beat = setInterval(() => this.#heartbeat(), HEARTBEAT);
    document.addEventListener("visibilitychange", this.#clock);
    this.transport.update();
  }

  #build() {
    this.stage = el("div", {class: "stage", "aria-label": "The clips", role: "group"}, this.widget.figures);
    this.always.addEventListener("click", blurred);
    this.always.addEventListener("change", () => {
      remember("model view", this.always.checked ? "yes" : "no");
      this.#revealing = this.always.checked;
      this.#reveal();
    });
    this.transport.root.prepend(tool("undo", "undo", () => this.undo()));
    this.root = el("main", {class: "label", id: "main", tabindex: -1},
      el("div", {class: "screen"}, this.progress.root, el("div", {class: "ask-line"}, this.question, this.instructions), this.stage, this.empty.root,
        el("div", {class: "deck"}, this.message, this.transport.root, this.widget.controls)),
      el("div", {class: "aside"}, tool("reveal", "eye", () => this.reveal()),
        el("label", {class: "check"}, this.always, el("span", {}, "Show the model's view after each answer")),
        tool("flag", "flag", () => this.flag())),
      this.card);
  }

  /** Whether an answer counts now. */
  get answerable() {
    return Boolean(this.turns.now && this.#shownAt) && performance.now() - this.#shownAt >= GUARD;
  }

  /** @param {import("./choices.js").Given} given */
  give(given) {
    if (!this.answerable) return;
    const now = performance.now();
    const {loops, speed} = this.player;
    const timing = {decision_ms: Math.round(now - this.#shownAt), shown_ms: Math.round(this.#seen(now)), loops, speed};
    this.#revealing = this.always.checked;
    const {widget} = this; // the next question may be asked by another
    this.turns.answer(given, timing);
    widget.flash(given);
    this.#say(`Your answer: ${given.label.toLowerCase()}`);
    this.#count();
    this.#refill();
  }

  undo() {
    this.#revealing = false;
    if (!this.turns.undo()) return this.#say("Nothing to undo on this page; older answers are in the history");
    this.#say(`Taken back: ${this.turns.now?.was?.label.toLowerCase()}. Answer this question again`);
  }

  /** The model's view of the question answered last, on or off. */
  reveal() {
    this.#revealing = !this.#revealing;
    if (this.#revealing && !this.turns.last?.model)
      this.#say(this.turns.last ? "The reward model has no view of your last answer yet" : "Answer a question first");
    this.#reveal();
  }

  async flag() {
    const staged = this.turns.now;
    if (!staged || !this.#shownAt) return;
    this.player.pause();
    const note = await ask({title: "Report a broken clip", text: "Nobody will be asked this question again. What is wrong with it?", most: 500, ok: "Report", within: this.root});
    if (note === null || this.turns.now !== staged) return;
    try {
      await this.post("/api/flag", {query: staged.question.query, note});
      this.turns.drop();
      this.#say("Reported. Nobody will be asked this question again");
      this.#refill();
    } catch (fault) {
      this.#say(`Not reported: ${/** @type {Error} */ (fault).message}`);
    }
  }

  secondOpinions() {
    this.ahead.again = true;
    this.#say("Looking for answered questions");
    this.#refill();
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key was ours */
  key(event) {
    if (this.widget.key(event)) return true;
    const named = CONTROLS.find((one) => one.keys.includes(event.key))?.name;
    if (named === "undo" || named === "reveal" || named === "flag") this[named]();
    else if (named && this.turns.now) MOVES[named](this.player);
    return Boolean(named);
  }

  enter() {
    this.#clock();
    this.#show();
    this.#refill();
  }

  leave() {
    this.player.clear();
    this.#clock();
  }

  /** Give the leases back: the page goes, or another labeller comes. */
  stop() {
    clearInterval(this.beat);
    document.removeEventListener("visibilitychange", this.#clock);
    this.player.clear();
    this.empty.stop();
    this.turns.stop();
    this.ahead.stop();
  }

  /** @param {import("./api.js").Status} status */
  status(status) {
    this.#since = this.#since.filter((seq) => seq > status.seq);
    this.#count();
    this.kinds = status.kinds;
    this.ahead.kinds = new Set(Object.keys(status.kinds).filter((name) => status.kinds[name].widget in WIDGETS));
    if (!this.kind) this.#ask([...this.ahead.kinds][0]); // show the first kind's widget already
    put(this.question, status.question || this.kind?.question);
    if (this.#instructionsText !== status.instructions) {
      this.#instructionsText = status.instructions;
      this.instructions.hidden = !status.instructions;
      put(this.instructions.lastChild, ...markdown(status.instructions));
    }
    this.empty.update(status, this.ahead);
    if (this.turns.now && !this.#shownAt) this.#show(); // a clip that could not be loaded: again
    if (status.ready > 0 || this.ahead.again) this.#refill();
  }

  /** Put the question whose turn it is on the screen: in this very frame if it is decoded. */
  #show() {
    const staged = this.turns.now;
    this.#shownAt = 0;
    this.#reveal();
    if (!this.root.isConnected) return; // another page is open; coming back shows it
    const waiting = !staged && this.ahead.dry;
    this.stage.hidden = waiting;
    this.empty.root.hidden = !waiting;
    this.stage.classList.toggle("loading", !staged?.sheets.length);
    this.root.classList.toggle("idle", !staged);
    if (staged) this.#ask(staged.question.kind);
    this.widget.mark(staged?.was);
    if (!staged) return this.player.clear();
    if (!staged.sheets.length) return this.#restore(staged);
    this.player.playing = !reducedMotion();
    this.player.show(staged.sheets);
    this.#shownAt = performance.now();
    this.#awake = {since: document.hidden ? 0 : this.#shownAt, total: 0};
  }

  /** Show what this kind of question is asked with. @param {string | undefined} name */
  #ask(name) {
    const kind = this.kinds[name ?? ""];
    if (!kind || kind.name === this.kind?.name) return;
    const {figures, controls} = this.widget;
    this.kind = kind;
    this.widget = WIDGETS[kind.widget](kind, (given) => this.give(given));
    this.player.clear();
    this.player.use(this.widget.canvases);
    figures.replaceWith(this.widget.figures);
    controls.replaceWith(this.widget.controls);
    swipes(this.widget.figures, (way) => this.widget.swiped(way), () => this.player.toggle());
    put(this.question, this.app.status?.question || kind.question);
  }

  /** An undone question that was no longer in memory. @param {import("./prefetch.js").Staged} staged */
  async #restore(staged) {
    this.player.clear();
    try {
      await load(staged);
      if (this.turns.now === staged && this.root.isConnected) this.#show();
    } catch (fault) {
      this.#say(`The clips cannot be loaded now (${/** @type {Error} */ (fault).message}); trying again`);
    }
  }

  async #refill() {
    await new Promise((resolve) => setTimeout(resolve)); // paint first
    await this.ahead.fill();
    this.turns.advance();
    if (!this.turns.now) this.#show();
    if (this.app.status) this.empty.update(this.app.status, this.ahead);
  }

  /** @param {{answered: import("./turns.js").Answered, reply: any}} detail */
  #answered({answered, reply}) {
    if (reply.code === "answered_already") this.#say("Somebody else was faster; your answer is kept as a second opinion");
    else this.#since.push(reply.seq);
    if (answered === this.turns.last) this.#reveal();
  }

  /** Update the progress line: the server's count, and answers that it has not counted yet. */
  #count() {
    const unsent = this.app.outbox.entries.filter((entry) => entry.kind === "answer");
    if (this.app.status) this.progress.update(this.app.status, this.#since.length + unsent.length);
  }

  /** Show or hide the model's view of the last answer; never of the question on the screen. */
  #reveal() {
    const last = this.turns.last;
    const visible = Boolean(this.#revealing && last?.model);
    this.card.hidden = !visible && !this.always.checked; // where it comes after each answer it keeps its place
    if (!visible || !last?.model) return put(this.card);
    const {question, sheets} = last.staged;
    last.staged.revealed = true;
    put(this.card, modelCard(this.kinds[question.kind], last.model, last.given, sheets));
  }

  /** @param {string} text shown for a while only, as the next question is on the screen by then */
  #say(text) {
    put(this.message, text);
    clearTimeout(this.#clearing);
    this.#clearing = setTimeout(() => put(this.message), 1500 + 60 * text.length);
  }

  /** Milliseconds for which the question could be seen. @param {number} now */
  #seen(now) {
    return this.#awake.total + (this.#awake.since ? now - this.#awake.since : 0);
  }

  #clock = () => {
    const now = performance.now();
    const visible = !document.hidden && this.root.isConnected;
    this.#awake = {total: this.#seen(now), since: visible ? now : 0};
    if (visible) this.#heartbeat();
  };

  #heartbeat() {
    const holding = this.ahead.holding.slice(0, 64);
    if (holding.length && !document.hidden) this.post("/api/heartbeat", {holding}).catch(() => {}); // the next heartbeat renews them
  }
}

/** @param {string} name @param {string} picture @param {() => void} act */
function tool(name, picture, act) {
  const key = control(name);
  const made = button(key.label, {key: announced(key), glyph: key.glyph, class: `tool ${name}`, title: key.help, onclick: act});
  made.prepend(icon(picture));
  return made;
}
