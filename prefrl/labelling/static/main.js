// @ts-check
/** The page: the labeller, the open view, the server's status, and one listener for all keys. */

import {ApiError, Sessions, get} from "./api.js";
import {ask, button, count, el, put} from "./dom.js";
import {HelpView} from "./help.js";
import {HistoryView} from "./history.js";
import {icon} from "./icons.js";
import {PAGES, meant} from "./keys.js";
import {LabelView} from "./label.js";
import {Outbox} from "./outbox.js";
import {seen} from "./seen.js";
import {applyTheme, nextTheme, remember, setting} from "./settings.js";
import {TeamView} from "./team.js";

/**
 * @typedef {{name: string, title: string, root: HTMLElement, enter?: () => void, leave?: () => void,
 *   key?: (event: KeyboardEvent) => boolean, status?: (status: import("./api.js").Status) => void}} View
 */

const EVERY = 2_000; // ms between two requests for the status
const NAMES = 40; // characters that a name may have

export class App {
  sessions = new Sessions();
  outbox = new Outbox(this.sessions);
  labeller = "";
  /** @type {import("./api.js").Status | null} */
  status = null;
  /** @type {View | null} */
  view = null;
  /** @type {ApiError | null} */
  #fault = null;
  /** @type {Record<string, View>} */
  #views = {};

  async start() {
    const theme = applyTheme();
    this.#frame(theme);
    this.outbox.addEventListener("change", () => this.#banner());
    addEventListener("hashchange", () => this.#route());
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("beforeunload", (event) => this.outbox.waiting && event.preventDefault());
    addEventListener("pagehide", () => this.#goodbye());
    addEventListener("pageshow", (event) => event.persisted && location.reload()); // its leases are gone
    await this.#introduce(setting("labeller", ""));
    setInterval(() => this.look(), EVERY);
  }

  recheck = () => void (location.hash = "#/history?mine");

  /** Fetch the status, and pass it to what shows it. */
  async look() {
    try {
      if (!this.labeller) return await this.#introduce(setting("labeller", ""));
      const {session} = await this.sessions.of(this.labeller);
      this.status = await get("/api/status", {session});
      this.#fault = null;
      this.#run(/** @type {import("./api.js").Status} */ (this.status));
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      if (fault.code.includes("session")) this.sessions.forget(this.labeller);
      else this.#fault = fault;
    }
    this.#banner();
  }

  /** @param {import("./api.js").Status} status */
  #run(status) {
    if (this.runName.textContent !== status.run) {
      put(this.runName, status.run);
      this.outbox.start(status.run);
    }
    this.nav.querySelector("[data-view=team]").hidden = status.role !== "experimenter";
    document.title = status.ready ? `(${status.ready}) ${status.run}` : status.run;
    if (this.outbox.trouble === "offline") this.outbox.send();
    this.view?.status?.(status);
  }

  /** Open a session under a name, asking for it when none is known. @param {string} name */
  async #introduce(name) {
    if (this.asking) return;
    this.asking = true;
    try {
      const wanted = name || (await this.#named());
      const {labeller} = await this.sessions.of(wanted);
      this.#fault = null;
      this.#become(labeller);
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      this.#fault = fault;
      if (name && fault.status === 422) remember("labeller", ""); // a name of another version: ask again
    } finally {
      this.asking = false;
    }
    this.#banner();
  }

  /** Ask for a name, unless the address was an invitation for one. @returns {Promise<string>} */
  async #named() {
    const {labeller, role} = await get("/api/status");
    if (role === "labeller") return labeller;
    const text = "A name or pseudonym. It is stored with every answer, and others on this run can see it.";
    return (await ask({title: "Who labels?", text, value: labeller, most: NAMES, ok: "Start", must: true})) || labeller;
  }

  /** @param {string} labeller as the server knows them */
  #become(labeller) {
    remember("labeller", labeller);
    this.labeller = labeller;
    put(this.nameTag, labeller);
    /** @type {LabelView | undefined} */ (this.#views.label)?.stop();
    this.view?.leave?.();
    this.view = null;
    this.#views = {label: new LabelView(this), history: new HistoryView(this), team: new TeamView(this), help: new HelpView(this)};
    this.#route();
    this.look();
  }

  async #rename() {
    const name = await ask({title: "Who labels?", text: "The next answers are stored under this name.", value: this.labeller, most: NAMES, ok: "Change", must: false});
    if (!name || name === this.labeller) return;
    this.#goodbye();
    await this.#introduce(name);
  }

  // -- the frame around the views --------------------------------------------------------------------------------

  /** @param {string} theme */
  #frame(theme) {
    this.runName = el("span", {class: "run"});
    this.nameTag = el("span", {class: "label"});
    this.bannerRoot = el("div", {class: "banner", role: "alert", hidden: true});
    const link = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ glyph) =>
      el("a", {href: `#/${name}`, "data-view": name, "aria-keyshortcuts": glyph || null}, label, glyph && el("kbd", {"aria-hidden": "true"}, glyph));
    this.nav = el("nav", {"aria-label": "Pages"}, link("label", "Label", ""), link("history", "History", "h"), link("team", "Team", ""), link("help", "Help", "?"));
    const look = button("", {class: "tool", title: `Colours: ${theme}`, onclick: () => {
      look.title = `Colours: ${nextTheme()}`;
      look.setAttribute("aria-label", look.title);
    }});
    look.setAttribute("aria-label", `Colours: ${theme}`);
    look.replaceChildren(icon("theme"));
    const who = button("", {class: "tool who-am-i", title: "Who labels: change the name", onclick: () => this.#rename()});
    who.replaceChildren(icon("person"), this.nameTag);
    this.place = el("div", {class: "place-of-view"}, el("main", {class: "hello"}, "Loading …"));
    document.body.replaceChildren(el("a", {class: "skip-link", href: "#main", onclick: (/** @type {Event} */ event) => {
      event.preventDefault();
      document.getElementById("main")?.focus();
    }}, "Skip to the page"), el("header", {}, el("span", {class: "brand"}, "prefrl"), this.runName, this.nav, look, who), this.bannerRoot, this.place);
  }

  #banner() {
    const unsent = this.outbox.waiting;
    const heldNote = unsent ? `${count(unsent, "answer is", "answers are")} kept in this browser and will be sent when it is back.` : "What you answer is kept in this browser until it is back.";
    const locked = this.#fault?.status === 401 || this.outbox.trouble === "locked";
    const lost = this.#fault?.passing || this.outbox.trouble === "offline";
    const refused = this.outbox.refused;
    /** @type {any[]} */
    const notices = [];
    if (locked) notices.push(`This page may not talk to the server any more, perhaps because that was restarted. Open the address that it prints.${unsent ? ` ${count(unsent, "answer is", "answers are")} kept in this browser and will be sent then.` : ""}`);
    else if (lost && !unsent && this.status?.trainer.state === "finished") notices.push("The training has finished, and its page with it. All your answers are stored; prefrl label, with the run's folder, opens it again.");
    else if (lost) notices.push(`No connection to the label server. ${heldNote}`);
    else if (this.#fault ?? this.status?.trouble) notices.push(this.#fault?.message ?? this.status?.trouble);
    else if (refused) notices.push(`The server did not take ${count(refused, "answer")}.`, button("Dismiss", {class: "quiet", onclick: () => this.outbox.dismissRefused()}));
    this.bannerRoot.hidden = !notices.length;
    const text = notices.map((part) => part.textContent ?? part).join("");
    if (this.bannerRoot.textContent !== text) put(this.bannerRoot, ...notices);
  }

  #route() {
    const name = /^#\/(\w+)/.exec(location.hash)?.[1] ?? "label";
    const next = this.#views[name] ?? this.#views.label;
    if (!next) return;
    if (this.view !== next) {
      const before = this.view;
      this.place.replaceChildren(next.root);
      before?.leave?.();
      this.view = next;
    }
    for (const one of this.nav.children) {
      if (one.dataset.view === next.name) one.setAttribute("aria-current", "page");
      else one.removeAttribute("aria-current");
    }
    if (this.status) next.status?.(this.status);
    next.enter?.();
    scrollTo(0, 0);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!meant(event) || !this.view) return;
    const page = PAGES.find((one) => one.keys.includes(event.key))?.name;
    if (page) location.hash = `#/${page === this.view.name ? "label" : page}`;
    if (page || this.view.key?.(event)) event.preventDefault();
  }

  #goodbye() {
    if (this.labeller) this.sessions.leave(this.labeller);
  }
}

const app = new App();
app.start();

const labelling = () => /** @type {LabelView | null} */ (app.view instanceof LabelView ? app.view : null);
Object.defineProperty(window, "prefrl", {value: seen(app.outbox, labelling)});
