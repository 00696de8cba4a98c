// @ts-check
/** The labelling view in a notebook's cell: requests are messages to the kernel, and keys count while the cell has the focus. */

import {transport} from "./api.js";
import {Connection, EVERY} from "./connection.js";
import {el, ticket} from "./dom.js";
import {isForPage} from "./keys.js";
import {LabelView} from "./label.js";

const PAGES = ["h", "?"]; // keys of the page that do nothing in a cell

class Cell extends Connection {
  #looking = 0;

  /** @param {{run: string, labeller: string}} about */
  constructor({run, labeller}) {
    super();
    this.run = run;
    this.labeller = labeller;
    this.view = new LabelView(this);
    this.root = el("div", {class: "cell"}, this.banner, this.view.root,
      el("p", {class: "hint"}, "Click here, then answer with the arrow keys"));
    this.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    this.root.addEventListener("click", () => this.#focus());
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

  /** @param {import("./api.js").Status} status */
  received(status) {
    if (this.outbox.trouble) this.outbox.send();
    this.view.status(status);
  }

  /** @param {string} kept */
  interruption(kept) {
    if (this.fault?.status !== 0 && (!this.outbox.trouble || this.fault)) return "";
    return `The kernel does not answer: it is busy, or it was restarted; then run this cell again.${kept && `${kept}.`}`;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!isForPage(event) || PAGES.includes(event.key) || !this.view.key(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Keep the keys here, and away from the notebook: a button that was clicked has just given the focus back. */
  #focus() {
    const shadow = /** @type {ShadowRoot} */ (this.root.getRootNode());
    if (!shadow.activeElement) this.view.root.focus({preventScroll: true});
  }
}

/** Light or dark as the notebook is, where it says so: JupyterLab, VS Code; otherwise as the system. */
function theme() {
  const {dataset, classList} = document.body;
  if (dataset.jpThemeLight) return dataset.jpThemeLight === "true" ? "light" : "dark";
  if (classList.contains("vscode-dark")) return "dark";
  return classList.contains("vscode-light") ? "light" : null;
}

/** Send requests as messages of a widget's model. Returns a function that disconnects. @param {any} model @returns {() => void} */
function connect(model) {
  /** @type {Map<string, (reply: Response) => void>} */
  const waiting = new Map();
  /** @param {{id: string, status: number, kind: string}} reply @param {DataView[]} buffers */
  const receive = ({id, status, kind}, buffers) =>
    waiting.get(id)?.(new Response(/** @type {any} */ (buffers[0]), {status, headers: {"Content-Type": kind}}));
  /** Like fetch. A busy kernel replies late, one that has ended never does. @returns {Promise<Response>} */
  transport.exchange = (path, about = {}) => {
    const id = ticket();
    return new Promise((resolve, reject) => {
      waiting.set(id, resolve);
      about.signal?.addEventListener("abort", () => reject(about.signal?.reason));
      model.send({id, path, method: about.method ?? "GET", body: about.body ?? null});
    }).finally(() => waiting.delete(id));
  };
  model.on("msg:custom", receive);
  return () => model.off("msg:custom", receive);
}

/** What anywidget calls for each view. @param {{model: any, el: HTMLElement}} context */
export function render({model, el: place}) {
  const disconnect = connect(model);
  // in a shadow the notebook's styles and ours leave each other alone; the attribute keeps JupyterLab's shortcuts away
  const host = el("div", {"data-lm-suppress-shortcuts": "true", "data-theme": theme(), class: "prefrl-label"});
  const cell = new Cell({run: model.get("run"), labeller: model.get("labeller")});
  host.attachShadow({mode: "open"}).append(el("style", {}, STYLES), cell.root);
  Object.defineProperty(host, "prefrl", {value: cell.inspected(() => cell.view)});
  place.append(host);
  cell.start();
  return () => {
    cell.stop();
    setTimeout(disconnect, 1_000); // after the request to leave
  };
}
