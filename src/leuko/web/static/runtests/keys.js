// The keyboard. Letters work wherever nothing is being written.
"use strict";

export const KEYS = [
  ["j k ↓ ↑", "next and previous row"], ["g G", "first and last row"], ["n p", "next and previous failure"],
  ["enter o", "its output"], ["space x", "tick it"], ["r", "run this one"], ["R", "run the failed ones"],
  ["A", "run all, or what is ticked"], ["s", "stop"], ["w", "watch files"], ["f", "only failed"], ["a", "all"],
  ["O", "show all output"], ["/", "search"], ["esc", "leave the search, close this"], ["?", "these keys"],
];

export function listen(root, { rows, page }) {
  const ticking = page.may.run; // where nothing can be run, nothing is ticked
  const actions = {
    j: () => rows.moveBy(1), ArrowDown: () => rows.moveBy(1), k: () => rows.moveBy(-1), ArrowUp: () => rows.moveBy(-1),
    PageDown: () => rows.moveBy(rows.list.page()), PageUp: () => rows.moveBy(-rows.list.page()),
    g: () => rows.move(0), Home: () => rows.move(0), G: () => rows.move(rows.items.length - 1, -1), End: () => rows.move(rows.items.length - 1, -1),
    n: () => rows.seek(1), p: () => rows.seek(-1),
    Enter: () => rows.active >= 0 && rows.toggle(rows.active), o: () => rows.active >= 0 && rows.toggle(rows.active),
    " ": () => ticking && rows.active >= 0 && rows.tick([rows.active]), x: () => ticking && rows.active >= 0 && rows.tick([rows.active]),
    r: () => rows.active >= 0 && page.run([rows.active]), R: () => page.press("failed"), A: () => page.press("run"),
    s: () => page.press("stop"), w: () => page.press("watch"), f: () => page.filter("failed"), a: () => page.filter("all"),
    O: () => page.press("outputs"), "/": () => page.search(), "?": () => page.help(), Escape: () => page.escape(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const on = event.target;
    const writing = on.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (writing && event.key !== "Escape" && !(event.key === "Enter" && on.type === "search")) return;
    if (writing && event.key === "Enter") { on.blur(); rows.box.focus(); rows.moveBy(0); event.preventDefault(); return; }
    const pressed = on.matches?.("button, summary, a, input[type=checkbox]") && [" ", "Enter"].includes(event.key);
    if (pressed || !actions[event.key] || on.closest?.("dialog[open], pre")) return;
    if (!root.isConnected) return;
    actions[event.key]();
    event.preventDefault();
  });
}
