// @ts-check
/** The widgets that this page has, by the name that a kind of question gives. Another one is another file and a line here. */

import {choices} from "./choices.js";

/** @type {Record<string, (kind: import("./choices.js").Kind, give: (given: import("./choices.js").Given) => void) => import("./choices.js").Widget>} */
export const WIDGETS = {choices};

/** Kinds of question that this page can ask. @param {Record<string, import("./choices.js").Kind>} kinds */
export function askable(kinds) {
  return Object.keys(kinds).filter((name) => kinds[name].widget in WIDGETS);
}
