// The rows: set-up first, then tests under the headline of their file, each with its output folded below it.
"use strict";

import { BROKEN, FAILED, FLAKY, GONE, LISTED, OUTPUT, PASSED, REMEMBERED, RETRIED, RUNNING, SKIPPED, WAITING, WORDS } from "./model.js";
import { fileOf } from "./filter.js";
import { VirtualList } from "./list.js";
import { Outputs } from "./outputs.js";
import { element, plural, put, say, span } from "./words.js";

const SIGNS = { [LISTED]: "·", [WAITING]: "○", [RUNNING]: "◐", [PASSED]: "✓", [FAILED]: "✗", [SKIPPED]: "–", [BROKEN]: "!" };
const KINDS = { [LISTED]: "listed", [WAITING]: "waiting", [RUNNING]: "running", [PASSED]: "passed", [FAILED]: "failed", [SKIPPED]: "skipped", [BROKEN]: "broken" };

export class Rows {
  constructor(box, model, { wire, changed, rerun, may }) {
    Object.assign(this, { box, model, changed, rerun, may });
    this.active = -1; // the row with the cursor
    this.showAll = false;
    this.narrow = matchMedia("(max-width: 720px)");
    this.outputs = new Outputs(wire, (row) => this.outputCame(row));
    this.list = new VirtualList(box, {
      make: () => this.make(),
      fill: (node, item, index) => this.fill(node, item, index),
      extra: (item) => (item >= 0 && this.isOpen(item) ? this.outputs.height(item) : 0),
      height: () => (this.narrow.matches ? 50 : 30),
    });
    this.narrow.addEventListener("change", () => this.list.remeasure());
    box.addEventListener("click", (event) => this.click(event));
  }

  hasOutput(row) {
    return Boolean(this.model.flag[row] & (OUTPUT | FLAKY)) || [FAILED, BROKEN].includes(this.model.mark[row]);
  }

  isOpen(row) {
    return this.outputs.opened.has(row) ? this.outputs.opened.get(row) : this.showAll && this.hasOutput(row);
  }

  toggle(row, open = !this.isOpen(row)) {
    this.outputs.opened.set(row, open);
    this.list.remeasure();
    this.changed();
  }

  outputCame(_row) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.list.remeasure(), 0);
  }

  set(items) {
    this.items = items;
    this.list.set(items);
    this.box.setAttribute("aria-rowcount", String(items.length));
    this.point();
  }

  index(row = this.active) {
    return this.items.indexOf(row);
  }

  point() {
    const found = [...this.list.used].find(([, node]) => Number(node.dataset.row) === this.active);
    put(this.box, "aria-activedescendant", found && this.active >= 0 ? found[1].id : null);
  }

  move(to, step = 1) {
    let index = Math.max(0, Math.min(this.items.length - 1, to));
    while (index >= 0 && index < this.items.length && this.items[index] < 0) index += step;
    if (index < 0 || index >= this.items.length) {
      if (this.active < 0 || !this.items.includes(this.active)) index = this.items.findIndex((item) => item >= 0);
      else return;
    }
    this.active = this.items[index] ?? -1;
    this.list.show(index);
    this.list.draw(true);
    this.point();
    this.changed();
  }

  moveBy(count) {
    const index = this.index();
    this.move(index < 0 ? 0 : index + count, Math.sign(count) || 1);
  }

  // The next or the previous failed row, round the end.
  seek(step) {
    const length = this.items.length;
    const start = this.index();
    for (let count = 1; count <= length; count++) {
      const index = (((start < 0 ? (step > 0 ? -1 : 0) : start) + count * step) % length + length) % length;
      const row = this.items[index];
      if (row >= 0 && [FAILED, BROKEN].includes(this.model.mark[row])) { this.move(index); return; }
    }
  }

  make() {
    const line = element("div", { class: "rt-line", role: "presentation" },
      element("span", { class: "rt-box", role: "gridcell" }),
      element("span", { class: "rt-state", role: "gridcell" }, element("span", { class: "rt-sign", "aria-hidden": "true" }), element("span", { class: "rt-word" })),
      element("span", { class: "rt-name", role: "gridcell" }, element("span", { class: "rt-test" }), element("span", { class: "rt-path" }), element("span", { class: "rt-reason" })),
      element("span", { class: "rt-part", role: "gridcell" }, element("span", { class: "rt-bar", "aria-hidden": "true" }, element("i")), element("span", { class: "rt-percent" })),
      element("span", { class: "rt-time", role: "gridcell" }),
      element("span", { class: "rt-do", role: "gridcell" },
        element("button", { type: "button", class: "rt-open", tabindex: "-1" }, "output"),
        element("button", { type: "button", class: "rt-again", tabindex: "-1", title: "Run this one (r)" }, "↻")));
    const row = element("div", { class: "rt-row", role: "row" }, line);
    row.line = line;
    return row;
  }

  fill(node, item, index) {
    node.id = `rt-row-${index}`;
    put(node, "aria-rowindex", String(index + 1));
    if (item < 0) this.fillHeadline(node, fileOf(item));
    else this.fillRow(node, item);
  }

  fillHeadline(node, file) {
    const [, state, name, , time, act] = node.line.children;
    node.dataset.row = "";
    node.dataset.file = file;
    put(node, "data-kind", "file");
    put(node, "data-active", null);
    put(node, "aria-selected", null);
    put(node, "title", null);
    this.outputs.away(node);
    const rows = this.model.rowsOf[file].filter((row) => this.model.mark[row] !== GONE);
    const ticked = rows.filter((row) => this.model.ticked[row]).length;
    put(node.line.children[0], "data-state", ticked === 0 ? "false" : ticked === rows.length ? "true" : "mixed");
    say(state.children[0], "");
    say(state.children[1], "");
    say(name.children[0], this.model.path[file]);
    say(name.children[1], this.model.suites.length > 1 ? this.model.suite[file] : "");
    say(name.children[2], "");
    say(node.line.children[3].children[1], "");
    node.line.children[3].firstChild.hidden = true;
    put(time, "data-usual", null);
    say(time, span(rows.reduce((sum, row) => sum + this.model.ms[row], 0)));
    act.children[0].hidden = true;
    act.children[1].hidden = !this.may.run;
    put(act.children[1], "aria-label", `run ${this.model.path[file]}`);
  }

  fillRow(node, row) {
    const { model } = this;
    const mark = model.mark[row];
    const [box, state, name, part, time, act] = node.line.children;
    const more = model.more.get(row);
    const flag = model.flag[row];
    const isNode = model.file[row] < 0;
    node.dataset.row = row;
    node.dataset.file = "";
    put(node, "data-kind", KINDS[mark]);
    put(node, "data-node", isNode ? "" : null);
    put(node, "data-old", flag & REMEMBERED ? "" : null);
    put(node, "data-active", row === this.active ? "" : null);
    put(node, "aria-selected", isNode ? null : String(Boolean(model.ticked[row])));
    put(node, "aria-expanded", String(this.isOpen(row)));
    put(box, "data-state", isNode ? "none" : model.ticked[row] ? "true" : "false");
    say(state.children[0], flag & FLAKY ? "≈" : SIGNS[mark]);
    say(state.children[1], flag & FLAKY ? "flaky" : WORDS[mark]);
    put(state, "data-kind", flag & FLAKY ? "flaky" : KINDS[mark]);
    say(name.children[0], model.names[row] || model.path[model.file[row]]);
    say(name.children[1], isNode ? "set-up" : this.flat && model.names[row] ? model.path[model.file[row]] : "");
    say(name.children[2], this.reason(row, mark, flag, more));
    put(node, "title", model.fullName(row));
    this.fillPart(part, row, mark);
    const took = model.ms[row] > 0 ? span(model.ms[row]) : [PASSED, FAILED].includes(mark) ? "<1 ms" : "";
    say(time, mark === RUNNING ? span(model.elapsed(row)) : took);
    put(time, "data-usual", mark === WAITING || mark === LISTED ? "" : null);
    act.children[0].hidden = !this.hasOutput(row);
    put(act.children[0], "aria-expanded", String(this.isOpen(row)));
    put(act.children[0], "aria-label", `output of ${model.names[row]}`);
    act.children[1].hidden = !this.may.run;
    put(act.children[1], "aria-label", `run ${model.names[row]}`);
    if (this.isOpen(row)) this.outputs.into(node, row, model.mark[row] + ":" + (more?.reason || "") + model.ms[row]);
    else this.outputs.away(node);
  }

  reason(_row, mark, flag, more) {
    if (mark === RUNNING) return more?.worker ? `on ${more.worker}` : "";
    const again = flag & RETRIED && !(flag & FLAKY) ? "twice: " : "";
    return more?.reason ? again + more.reason : "";
  }

  fillPart(part, row, mark) {
    const [bar, text] = part.children;
    bar.hidden = mark !== RUNNING;
    if (mark === RUNNING) bar.firstChild.style.width = `${Math.round(this.model.part(row) * 100)}%`;
    const shown = mark === RUNNING ? this.model.part(row) : [PASSED, FAILED, BROKEN].includes(mark) ? 1 : null;
    say(text, shown === null ? "" : `${Math.round(shown * 100)} %`);
  }

  click(event) {
    const node = event.target.closest(".rt-row");
    if (!node || event.target.closest(".rt-output")) return;
    const file = node.dataset.file === "" ? -1 : Number(node.dataset.file);
    const row = node.dataset.row === "" ? -1 : Number(node.dataset.row);
    const rows = file >= 0 ? this.model.rowsOf[file].filter((one) => this.model.mark[one] !== GONE) : [row];
    if (row >= 0) this.active = row;
    if (event.target.closest(".rt-again")) this.rerun(rows);
    else if (event.target.closest(".rt-box")) this.tick(rows, event.shiftKey);
    else if (row >= 0 && (event.target.closest(".rt-open") || getSelection().isCollapsed)) {
      if (this.hasOutput(row)) this.toggle(row);
      else this.list.draw(true);
      this.changed();
    }
    this.point();
  }

  tick(rows, through = false) {
    let wanted = rows;
    if (through && this.lastTicked !== undefined && rows.length === 1) {
      const [a, z] = [this.items.indexOf(this.lastTicked), this.items.indexOf(rows[0])].sort((x, y) => x - y);
      if (a >= 0) wanted = this.items.slice(a, z + 1).filter((item) => item >= 0);
    }
    wanted = wanted.filter((row) => this.model.file[row] >= 0);
    this.model.tick(wanted, through || !wanted.every((row) => this.model.ticked[row]));
    [this.lastTicked] = rows;
    this.changed(true);
  }

  summary() {
    return plural(this.items.filter((item) => item >= 0 && this.model.file[item] >= 0).length, "test");
  }
}
