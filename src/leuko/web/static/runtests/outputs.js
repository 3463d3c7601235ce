// What tests printed: fetched when it is unfolded, kept while the page is open, measured once it is there.
"use strict";

import { element, plain, span } from "./words.js";

const GUESS = 92; // pixels, until it is there
const KEPT = 300;

export class Outputs {
  constructor(wire, came) {
    this.wire = wire;
    this.came = came;
    this.opened = new Map(); // row -> by a person: true or false
    this.got = new Map(); // row -> { version, body } or { version, error }
    this.heights = new Map();
  }

  height(row) {
    return this.heights.get(row) ?? GUESS;
  }

  forget() {
    this.got.clear();
    this.heights.clear();
    this.opened.clear();
  }

  away(node) {
    if (node.panel) node.panel.hidden = true;
    if (node.panel) node.panel.dataset.row = "";
  }

  into(node, row, version) {
    if (!node.panel) node.panel = node.appendChild(element("div", { class: "rt-output" }));
    const known = this.got.get(row);
    if (!known || known.version !== version) this.fetch(row, version, known);
    const stamp = known ? `${row}|${known.version}|${known.body ? 1 : known.error}` : `${row}|`;
    node.panel.hidden = false;
    if (node.panel.dataset.row === stamp) return;
    node.panel.dataset.row = stamp;
    node.panel.replaceChildren(...this.shown(row, known));
    const tall = Math.ceil(node.panel.getBoundingClientRect().height);
    if (known && tall && this.heights.get(row) !== tall) { this.heights.set(row, tall); this.came(row); }
  }

  async fetch(row, version, known) {
    if (known?.asking === version) return;
    const entry = { ...(known || {}), asking: version };
    if (known) this.got.set(row, entry);
    else if (this.asking?.has(row)) return;
    (this.asking ||= new Set()).add(row);
    try {
      this.got.set(row, { version, body: await this.wire.output(row) });
    } catch (error) {
      this.got.set(row, { version, error: error.message });
    }
    this.asking.delete(row);
    while (this.got.size > KEPT) this.got.delete(this.got.keys().next().value);
    this.came(row);
  }

  shown(_row, known) {
    if (!known) return [element("p", { class: "rt-soft" }, "…")];
    if (known.error) return [element("p", { class: "rt-soft" }, known.error)];
    const parts = [];
    for (const attempt of known.body.attempts || []) {
      const facts = [attempt.state, attempt.worker && `on ${attempt.worker}`, span(attempt.seconds * 1000), attempt.at].filter(Boolean);
      const many = known.body.attempts.length > 1;
      const copy = element("button", { type: "button", class: "rt-copy", tabindex: "-1" }, "copy");
      copy.addEventListener("click", () => navigator.clipboard?.writeText(attempt.output).then(() => { copy.textContent = "copied"; }));
      parts.push(element("p", { class: "rt-facts" }, `${many ? `attempt ${attempt.attempt}: ` : ""}${facts.join(", ")}`, attempt.output ? copy : ""));
      if (attempt.reason) parts.push(element("p", { class: "rt-why" }, attempt.reason));
      parts.push(attempt.output ? element("pre", { tabindex: "0" }, plain(attempt.output)) : element("p", { class: "rt-soft" }, "It printed nothing."));
    }
    return parts.length ? parts : [element("p", { class: "rt-soft" }, "Its output is not kept any more.")];
  }
}
