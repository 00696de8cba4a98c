// @ts-check
/** The labelling view in a notebook's cell: the labeller, the kernel's state, and keys while the cell has the focus. */

import {ApiError, Sessions, get} from "./api.js";
import {button, count, el, put} from "./dom.js";
import {meant} from "./keys.js";
import {LabelView} from "./label.js";
import {Outbox} from "./outbox.js";
import {seen} from "./seen.js";
import {connect} from "./wire.js";

const EVERY = 2_000; // ms between two requests for the status
const PAGES = ["h", "?"]; // keys of the page that a cell has no room for

class Cell {
  sessions = new Sessions();
  outbox = new Outbox(this.sessions);
  /** @type {import("./api.js").Status | null} */
  status = null;
  /** @type {ApiError | null} */
  #fault = null;
  #looking = 0;

  /** @param {{run: string, labeller: string}} about */
  constructor({run, labeller}) {
    this.run = run;
    this.labeller = labeller;
    this.view = new LabelView(this);
    this.banner = el("div", {class: "banner", role: "alert", hidden: true});
    this.root = el("div", {class: "cell"}, this.banner, this.view.root,
      el("p", {class: "hint"}, "Click here, then answer with the arrow keys"));
    this.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.root.addEventListener("click", () => this.#focus());
    this.outbox.addEventListener("change", () => this.#say());
  }

  start() {
    this.outbox.start(this.run);
    this.view.enter();
    this.#looking = setInterval(() => this.look(), EVERY);
    this.look();
  }

  stop() {
    clearInterval(this.#looking);
    this.outbox.stop();
    this.view.stop();
    this.sessions.leave(this.labeller);
  }

  async look() {
    try {
      const {session} = await this.sessions.of(this.labeller);
      this.status = await get("/api/status", {session});
      this.#fault = null;
      if (this.outbox.trouble) this.outbox.send();
      this.view.status(/** @type {import("./api.js").Status} */ (this.status));
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      if (fault.code.includes("session")) this.sessions.forget(this.labeller);
      this.#fault = fault;
    }
    this.#say();
  }

  #say() {
    const {waiting, refused, trouble} = this.outbox;
    const gone = this.#fault?.status === 0 || (trouble && !this.#fault);
    /** @type {any[]} */
    const notices = [];
    if (gone) notices.push("The kernel does not answer: it is busy, or it was restarted; then run this cell again.", unsentNote(waiting));
    else if (this.#fault ?? this.status?.trouble) notices.push(this.#fault?.message ?? this.status?.trouble, unsentNote(waiting));
    else if (refused) notices.push(`The store did not take ${count(refused, "answer")}.`, button("Dismiss", {class: "quiet", onclick: () => this.outbox.dismissRefused()}));
    this.banner.hidden = !notices.length;
    const text = notices.map((part) => part.textContent ?? part).join("");
    if (this.banner.textContent !== text) put(this.banner, ...notices);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!meant(event) || PAGES.includes(event.key) || !this.view.key(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Keep the keys here, and away from the notebook: a button that was clicked has just given the focus back. */
  #focus() {
    const shadow = /** @type {ShadowRoot} */ (this.root.getRootNode());
    if (!shadow.activeElement) this.view.root.focus({preventScroll: true});
  }
}

/** @param {number} waiting */
function unsentNote(waiting) {
  return waiting ? ` ${count(waiting, "answer is", "answers are")} kept in this browser and will be sent.` : "";
}

/** Light or dark as the notebook is, where it says so: JupyterLab, VS Code; otherwise as the system. */
function theme() {
  const {dataset, classList} = document.body;
  if (dataset.jpThemeLight) return dataset.jpThemeLight === "true" ? "light" : "dark";
  if (classList.contains("vscode-dark")) return "dark";
  return classList.contains("vscode-light") ? "light" : null;
}

/** What anywidget calls for each view. @param {{model: any, el: HTMLElement}} context */
export function render({model, el: place}) {
  const disconnect = connect(model);
  // in a shadow the notebook's styles and ours leave each other alone; the attribute keeps JupyterLab's shortcuts away
  const host = el("div", {"data-lm-suppress-shortcuts": "true", "data-theme": theme(), class: "prefrl-label"});
  const cell = new Cell({run: model.get("run"), labeller: model.get("labeller")});
  host.attachShadow({mode: "open"}).append(el("style", {}, STYLES), cell.root);
  Object.defineProperty(host, "prefrl", {value: seen(cell.outbox, () => cell.view)});
  place.append(host);
  cell.start();
  return () => {
    cell.stop();
    setTimeout(disconnect, 1_000); // after the request to leave
  };
}
