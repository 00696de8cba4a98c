// @ts-check
/** Settings of the page, kept in localStorage where the browser allows it. */

const PREFIX = "prefrl-setting:";

/** @param {string} name @param {string} otherwise */
export function setting(name, otherwise) {
  try {
    return localStorage.getItem(PREFIX + name) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // private windows may refuse; the choice then lasts as long as the page
  }
}

const THEMES = /** @type {const} */ ({auto: "Follow the system", light: "Light", dark: "Dark"});

/** Apply the stored theme: light, dark or as the system has it. */
export function applyTheme() {
  const theme = setting("theme", "auto");
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  return THEMES[/** @type {keyof typeof THEMES} */ (theme)] ?? THEMES.auto;
}

/** Go on to the next theme and say which it is. */
export function nextTheme() {
  const names = Object.keys(THEMES);
  remember("theme", names[(names.indexOf(setting("theme", "auto")) + 1) % names.length]);
  return applyTheme();
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
