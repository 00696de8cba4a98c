// @ts-check
/** Touch gestures on the clips: a swipe answers, a tap plays or pauses. */

const FAR = 56; // px that make a swipe
const NEAR = 8; // px that are still a tap

/** @param {HTMLElement} surface @param {(way: string) => void} swiped left, right, up or down @param {() => void} tapped */
export function swipes(surface, swiped, tapped) {
  /** @type {{id: number, x: number, y: number} | null} */
  let from = null;
  surface.addEventListener("pointerdown", (event) => {
    from = event.isPrimary && event.button === 0 ? {id: event.pointerId, x: event.clientX, y: event.clientY} : null;
  });
  surface.addEventListener("pointercancel", () => (from = null));
  surface.addEventListener("pointerup", (event) => {
    if (!from || from.id !== event.pointerId) return;
    const [across, down] = [event.clientX - from.x, event.clientY - from.y];
    from = null;
    const far = Math.max(Math.abs(across), Math.abs(down));
    if (far <= NEAR) tapped();
    else if (event.pointerType === "touch" && far >= FAR) swiped(way(across, down));
  });
}

/** @param {number} across @param {number} down */
function way(across, down) {
  if (Math.abs(across) > Math.abs(down)) return across < 0 ? "left" : "right";
  return down < 0 ? "up" : "down";
}
