// @ts-check
/** How this page reaches its server: over HTTP. A notebook puts a module of the same name in this one's place. */

/** @param {string} path @param {RequestInit} [about] @returns {Promise<Response>} */
export function exchange(path, about) {
  return fetch(path, about);
}
