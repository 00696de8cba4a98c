// @ts-check
/** A small part of Markdown as elements: headings, lists, paragraphs, bold, italic, code, links. Raw HTML stays text. */

import {el} from "./dom.js";

const INLINE = /\*\*(.+?)\*\*|\*(\S(?:.*?\S)?)\*|`([^`]+)`|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/;

/** @type {[RegExp, string, string][]} line, its element, the element around a run of them */
const LINES = [
  [/^###+\s+(.*)$/, "h4", ""],
  [/^##\s+(.*)$/, "h3", ""],
  [/^#\s+(.*)$/, "h2", ""],
  [/^\s*[-*]\s+(.*)$/, "li", "ul"],
  [/^\s*\d+[.)]\s+(.*)$/, "li", "ol"],
];

/** @param {string} text @returns {Node[]} */
export function markdown(text) {
  /** @type {HTMLElement[]} */
  const blocks = [];
  let paragraph = "";
  const flush = () => {
    if (paragraph) blocks.push(el("p", {}, ...inline(paragraph)));
    paragraph = "";
  };
  for (const line of text.split(/\r?\n/)) {
    const kind = LINES.find(([pattern]) => pattern.test(line));
    if (!kind && line.trim()) paragraph += (paragraph ? " " : "") + line.trim();
    else flush();
    if (kind) append(blocks, el(kind[1], {}, ...inline(/** @type {RegExpExecArray} */ (kind[0].exec(line))[1])), kind[2]);
  }
  flush();
  return blocks;
}

/** @param {HTMLElement[]} blocks @param {HTMLElement} made @param {string} around */
function append(blocks, made, around) {
  const last = blocks[blocks.length - 1];
  if (around && last?.localName === around) last.append(made);
  else blocks.push(around ? el(around, {}, made) : made);
}

/** @param {string} text @returns {Node[]} */
function inline(text) {
  /** @type {Node[]} */
  const nodes = [];
  for (let rest = text; rest;) {
    const match = INLINE.exec(rest);
    nodes.push(document.createTextNode(match ? rest.slice(0, match.index) : rest));
    if (!match) break;
    nodes.push(marked(match));
    rest = rest.slice(match.index + match[0].length);
  }
  return nodes;
}

/** @param {RegExpExecArray} match @returns {Node} */
function marked([, bold, italic, code, label, address]) {
  if (bold) return el("strong", {}, ...inline(bold));
  if (italic) return el("em", {}, ...inline(italic));
  if (code) return el("code", {}, code);
  return el("a", {href: address, rel: "noopener noreferrer", target: "_blank"}, label);
}
