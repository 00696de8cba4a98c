// @ts-check
/** Building pages out of text and elements; nothing here ever reads a string as HTML. */

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: el("button", {class: "key", onclick: go}, "Go"). Strings become text, never markup.
 * @param {string} tag @param {Record<string, any>} [attributes] names starting with "on" are listeners; null and false are left out
 * @param {...Child} children @returns {any} typed loosely: the tag decides
 */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. @param {string} tag @param {Record<string, any>} [attributes] @param {...Child} children @returns {any} */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** @template {Element} E @param {E} element @param {Record<string, any>} attributes @param {Child[]} children */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  put(element, ...children);
  return element;
}

/** Replace what an element holds. @param {Element} element @param {...Child} children */
export function put(element, ...children) {
  const present = children.filter((child) => child !== null && child !== undefined && child !== false);
  element.replaceChildren(.../** @type {(Node | string)[]} */ (present.map((c) => (c instanceof Node ? c : String(c)))));
}

/**
 * A button that shows its key. A click by pointer gives the focus back, so that the space bar goes on to mean "pause".
 * @param {string} label
 * @param {{key?: string, glyph?: string, class?: string, title?: string, short?: string, onclick: (event: MouseEvent) => void}} about
 * key: as in aria-keyshortcuts; glyph: how the key is shown; short: the label where space is scarce
 * @returns {HTMLButtonElement}
 */
export function button(label, about) {
  const click = (/** @type {MouseEvent} */ event) => {
    blurred(event);
    about.onclick(event);
  };
  const named = about.short
    ? [el("span", {class: "long"}, label), el("span", {class: "short", "aria-hidden": "true"}, about.short)]
    : [el("span", {class: "label"}, label)];
  const attributes = {
    type: "button", class: about.class ?? "quiet", title: about.title ?? null,
    "aria-label": about.short ? label : null, "aria-keyshortcuts": about.key ?? null, onclick: click,
  };
  return el("button", attributes, ...named, about.glyph && el("kbd", {"aria-hidden": "true"}, about.glyph));
}

/** Give the focus back after a click by pointer, not after one by keyboard. @param {MouseEvent} event */
export function blurred(event) {
  if (event.detail > 0) /** @type {HTMLElement} */ (event.currentTarget).blur();
}

/**
 * A dialog that asks for one line of text; null when it was dismissed.
 * @param {{title: string, text: string, value?: string, most: number, ok: string, must?: boolean, within?: HTMLElement}} about
 * @returns {Promise<string | null>}
 */
export function ask(about) {
  const field = el("input", {
    type: "text", value: about.value ?? "", maxlength: about.most, required: about.must, pattern: about.must ? ".*\\S.*" : null,
    autocomplete: "off", "aria-label": about.title,
  });
  const form = el("form", {method: "dialog"}, el("h2", {}, about.title), el("p", {}, about.text), field,
    el("div", {class: "row end"}, !about.must && el("button", {type: "button", class: "quiet", onclick: () => dialog.close()}, "Cancel"),
      el("button", {class: "strong", type: "submit", value: "ok"}, about.ok)));
  const dialog = /** @type {HTMLDialogElement} */ (el("dialog", {class: "ask"}, form));
  (about.within ?? document.body).append(dialog);
  dialog.showModal();
  field.select();
  dialog.addEventListener("cancel", (event) => about.must && event.preventDefault());
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    dialog.remove();
    resolve(dialog.returnValue === "ok" ? field.value.trim() : null);
  }));
}

/** A random id that makes a request count once, however often it is sent. */
export function ticket() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is missing on plain http
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** 3 answers, 1 answer. @param {number} n @param {string} thing @param {string} [things] */
export function count(n, thing, things = `${thing}s`) {
  return `${n.toLocaleString("en")} ${n === 1 ? thing : things}`;
}

/** 8 s, 3 min, 1 h 20 min. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** 0.824 as 82 %. @param {number} share */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}
