// @ts-check
/** What the page keeps in localStorage, which may be full or forbidden: then it lasts as long as the page. */

const PREFIX = "prefrl-setting:";
const THEMES = /** @type {const} */ ({auto: "Follow the system", light: "Light", dark: "Dark"});

/** Use localStorage; null where that fails. @template T @param {(storage: Storage) => T} use @returns {T | null} */
export function storage(use) {
  try {
    return use(localStorage);
  } catch {
    return null;
  }
}

/** @param {string} name @param {string} otherwise */
export function setting(name, otherwise) {
  return storage((kept) => kept.getItem(PREFIX + name)) ?? otherwise;
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  storage((kept) => kept.setItem(PREFIX + name, value));
}

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

export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
