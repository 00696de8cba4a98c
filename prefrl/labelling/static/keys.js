// @ts-check
/** Every key of the labelling view in one table: its buttons, the help page and the listener read it. */

/**
 * @typedef {{name: string, label: string, keys: string[], glyph: string, help: string}} Key
 * keys: as in KeyboardEvent.key, the first is the one announced; glyph: how buttons show it
 */

/** @type {Key[]} */
export const CONTROLS = [
  {name: "undo", label: "Undo", keys: ["z", "Backspace"], glyph: "z", help: "take the last answer back; again for the one before"},
  {name: "play", label: "Pause", keys: [" "], glyph: "space", help: "play or pause the clips"},
  {name: "back", label: "Step back", keys: [","], glyph: ",", help: "one frame back, and stay there"},
  {name: "ahead", label: "Step forward", keys: ["."], glyph: ".", help: "one frame ahead, and stay there"},
  {name: "slower", label: "Slower", keys: ["["], glyph: "[", help: "slower, down to 1/8"},
  {name: "faster", label: "Faster", keys: ["]"], glyph: "]", help: "faster, up to 4 times"},
  {name: "restart", label: "Restart", keys: ["r"], glyph: "r", help: "the clips from the start"},
  {name: "reveal", label: "Model's view", keys: ["v"], glyph: "v", help: "what the reward model thinks of your last answer"},
  {name: "flag", label: "Broken clip", keys: ["f"], glyph: "f", help: "report a broken clip; nobody will be asked it again"},
];

/** @type {Key[]} */
export const PAGES = [
  {name: "history", label: "History", keys: ["h"], glyph: "h", help: "every answer, to look at, revise or withdraw"},
  {name: "help", label: "Help", keys: ["?"], glyph: "?", help: "the keys and the instructions"},
  {name: "label", label: "Label", keys: ["Escape"], glyph: "esc", help: "back to labelling"},
];

/** @param {string} name @returns {Key} */
export function control(name) {
  return /** @type {Key} */ (CONTROLS.find((key) => key.name === name));
}

/** What aria-keyshortcuts calls a key. @param {Key} key */
export function announced(key) {
  return key.keys.map((one) => (one === " " ? "Space" : one)).join(" ");
}

/** Whether a key press is for this page: not held down, no shortcut, not typed into a field or dialog. @param {KeyboardEvent} event */
export function isForPage(event) {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return false;
  if (event.shiftKey && event.key.startsWith("Arrow")) return false;
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest("input:not([type=checkbox]), textarea, select, dialog, [contenteditable]")) return false;
  const presses = event.key === " " || event.key === "Enter";
  return !(presses && target?.closest("button, a, summary, input")); // they then press what has the focus
}
