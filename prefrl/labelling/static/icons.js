// @ts-check
/** The few symbols on buttons that no font is sure to have. */

import {svg} from "./dom.js";

/** @type {Record<string, string>} */
const PATHS = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h4v14H7zM13 5h4v14h-4z",
  back: "M17 5v14l-9-7zM6 5h2v14H6z",
  ahead: "M7 5v14l9-7zM16 5h2v14h-2z",
  slower: "M12 6v12l-8-6zM20 6v12l-8-6z",
  faster: "M4 6v12l8-6zM12 6v12l8-6z",
  restart: "M12 5a7 7 0 1 1-6.6 4.7l1.9.7A5 5 0 1 0 12 7v3.5L7 6l5-4.500z",
  undo: "M9 5 3 10.500 9 16v-3.600h5a3.300 3.300 0 0 1 0 6.600h-3v2h3a5.300 5.300 0 0 0 0-10.600H9z",
  flag: "M6 3h12l-2.500 4.500L18 12H8v9H6z",
  eye: "M12 5c5 0 8.500 4 10 7-1.500 3-5 7-10 7S3.500 15 2 12c1.500-3 5-7 10-7zm0 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  theme: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18v-2a7 7 0 0 0 0-14z",
  person: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM4 20c0-4 4-6 8-6s8 2 8 6z",
};

/** @param {string} name */
export function icon(name) {
  return svg("svg", {class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true"}, svg("path", {d: PATHS[name], "fill-rule": "evenodd"}));
}
