// RunTests and the build page: puts the parts together.
"use strict";

import { FAILED, Model } from "./model.js";
import { FILTERS, shown } from "./filter.js";
import { KEYS, listen } from "./keys.js";
import * as link from "./link.js";
import { Rows } from "./rows.js";
import { Tree } from "./tree.js";
import { Wire, ranges } from "./wire.js";
import { element, number, plural, put, say, span } from "./words.js";

const STATES = { idle: "nothing runs", running: "running", passed: "passed", failed: "failed", broken: "broken", stopped: "stopped" };

class Page {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`[data-part=${name}]`);
    this.may = { run: root.hasAttribute("data-run") };
    this.model = new Model();
    this.view = link.read();
    this.slow = [];
    this.wire = new Wire(
      { board: root.dataset.board, stream: root.dataset.stream, output: root.dataset.output, follow: root.dataset.follow },
      { take: (told) => this.take(told), connected: (yes) => this.connected(yes) });
    this.tree = new Tree(this.part("tree"), this.model, {
      may: this.may,
      ticked: () => this.ticked(), scoped: (folder) => { this.view.folder = folder; this.again(true); } });
    this.rows = new Rows(this.part("rows"), this.model, {
      wire: this.wire, may: this.may, rerun: (rows) => this.run(rows), changed: (ticks) => { if (ticks) this.ticked(); this.remember(); } });
    this.makeFilters();
    this.bind();
    listen(root, { rows: this.rows, page: this });
  }

  async begin() {
    this.show(this.view);
    await this.wire.begin();
    setInterval(() => this.beat(), 500);
  }

  // -- what the server tells ------------------------------------------------------------------------------

  take(told) {
    const other = told.whole && told.board !== this.model.board;
    this.model.take(told);
    if (other) this.rows.outputs.forget();
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.drawNews(); });
    if (document.hidden) { cancelAnimationFrame(this.frame); this.frame = 0; this.drawNews(); }
  }

  drawNews() {
    if (this.model.filesChanged) {
      this.model.filesChanged = false;
      this.tree.rebuild();
      this.makeTags();
    }
    this.again();
    if (!this.arrived) this.arrive();
    put(this.root, "data-ready", "");
    if (!this.readyAt) setTimeout(() => { this.readyAt = performance.now(); }, 0); // the rows stand: for the bench
  }

  arrive() {
    this.arrived = true;
    if (!this.view.at) return;
    const row = this.model.find(this.view.at);
    if (row < 0) return;
    this.rows.active = row;
    if (this.view.open) this.rows.outputs.opened.set(row, true);
    this.rows.list.remeasure();
    this.rows.list.show(this.rows.index(row));
    this.rows.list.draw(true);
    this.rows.point();
  }

  connected(yes) {
    put(this.root, "data-connected", yes ? "yes" : "no");
    say(this.part("pulse"), yes ? "live" : "not connected");
  }

  beat() {
    if (this.model.head.state !== "running" || document.hidden) return;
    this.drawHead();
    this.rows.list.draw(true);
  }

  // -- drawing ------------------------------------------------------------------------------------------------

  again(top = false) {
    this.sums = this.model.sums();
    this.rows.flat = this.view.sort !== "file";
    this.tree.folder = this.view.folder;
    this.tree.draw(this.sums);
    this.rows.set(shown(this.model, this.view));
    if (top) this.rows.box.scrollTop = 0;
    this.drawHead();
    this.drawPicks();
    this.remember();
    const told = this.part("none");
    told.hidden = this.rows.items.length > 0;
    if (!told.hidden) say(told, this.model.size ? "No test fits what is asked for. Press a to see all." : this.model.head.said || "There are no tests yet.");
  }

  drawHead() {
    const { head } = this.model;
    const counts = head.counts;
    for (const [name] of FILTERS) {
      const chip = this.chips.get(name);
      say(chip.querySelector("b"), number(counts[name] ?? 0));
      put(chip, "aria-pressed", String(name === "all" ? this.view.marks.size === 0 : this.view.marks.has(name)));
      if (["flaky", "broken", "listed"].includes(name)) chip.hidden = !counts[name] && !this.view.marks.has(name);
    }
    const running = head.state === "running";
    const bar = this.part("bar");
    bar.value = head.percent;
    bar.hidden = head.state === "idle";
    put(bar, "data-kind", counts.failed ? "failed" : head.state);
    const left = head.left === null ? "" : `, ${span(head.left * 1000)} left`;
    const took = head.ended && head.began ? ` in ${span(head.ended - head.began)}` : "";
    say(this.part("state"), running ? `${Math.floor(head.percent)} %${left}` : (STATES[head.state] || head.state) + (head.state === "idle" ? "" : took));
    put(this.part("state"), "data-kind", head.state);
    say(this.part("said"), head.reason || head.said || "");
    if (this.told !== head.state + head.run) {
      this.told = head.state + head.run;
      if (head.run) say(this.part("aloud"), `${STATES[head.state]}: ${plural(counts.failed || 0, "failure")}, ${number(counts.passed || 0)} passed`);
    }
    document.title = `${running ? `${Math.floor(head.percent)} % ` : ""}${counts.failed ? `✗ ${counts.failed} ` : ""}${this.title ||= document.title}`;
    this.drawButtons(running, counts);
  }

  drawButtons(running, counts) {
    if (!this.may.run) return;
    const picked = this.picked ?? 0;
    const off = running;
    say(this.part("run"), picked ? `Run ${number(picked)} ticked` : "Run all");
    this.part("run").disabled = off || !this.model.size;
    say(this.part("failed"), counts.failed ? `Run ${number(counts.failed)} failed` : "Run failed");
    this.part("failed").disabled = off || !counts.failed;
    if (!running && this.slowAt !== this.model.change) {
      this.slowAt = this.model.change;
      this.slow = this.model.slowRows();
    }
    this.part("slow").disabled = off || !this.slow.length;
    say(this.part("slow"), this.slow.length ? `Run ${number(this.slow.length)} slow` : "Run slow");
    this.part("stop").disabled = !running;
    this.part("watch").checked = Boolean(this.model.head.watching);
  }

  drawPicks() {
    const { sums, wide, ticked, all } = this.sums;
    const add = (files) => files.reduce(([a, t], file) => [a + sums[file * wide + all], t + sums[file * wide + ticked]], [0, 0]);
    const set = (box, [many, chosen]) => { box.checked = many > 0 && many === chosen; box.indeterminate = chosen > 0 && chosen < many; };
    const whole = add(this.model.order);
    this.picked = whole[1];
    set(this.part("every"), whole);
    say(this.part("every-count"), number(whole[0]));
    for (const [tag, box] of this.tagBoxes || []) {
      const found = add(this.model.tags.get(tag) || []);
      set(box, found);
      say(box.parentElement.lastElementChild, number(found[0]));
    }
    this.drawButtons(this.model.head.state === "running", this.model.head.counts);
  }

  makeFilters() {
    this.chips = new Map();
    for (const [name, title] of FILTERS) {
      const chip = element("button", { type: "button", class: "rt-chip", "data-filter": name, "aria-pressed": "false" }, `${title} `, element("b", {}, "0"));
      chip.addEventListener("click", (event) => this.filter(name, event.shiftKey || event.ctrlKey || event.metaKey));
      this.chips.set(name, chip);
      this.part("filters").append(chip);
    }
  }

  makeTags() {
    const box = this.part("tags");
    this.tagBoxes = new Map();
    box.replaceChildren(...[...this.model.tags.keys()].sort().map((tag) => {
      const tick = element("input", { type: "checkbox", "data-tag": tag });
      tick.addEventListener("change", () => {
        this.model.tick(this.model.tags.get(tag).flatMap((file) => this.model.rowsOf[file]), tick.checked);
        this.ticked();
      });
      this.tagBoxes.set(tag, tick);
      return element("label", { class: "rt-tick" }, tick, element("span", { class: "rt-name" }, `${tag} tests`), element("span", { class: "rt-count" }));
    }));
  }

  // -- what a person does ---------------------------------------------------------------------------------------

  bind() {
    const on = (name, event, does) => this.part(name)?.addEventListener(event, does);
    on("search", "input", () => { this.view.query = this.part("search").value; this.again(true); });
    on("sort", "change", () => { this.view.sort = this.part("sort").value; this.again(true); });
    on("outputs", "change", () => { this.view.outputs = this.rows.showAll = this.part("outputs").checked; this.rows.outputs.opened.clear(); this.again(); });
    on("every", "change", () => { this.model.tick(this.model.allRows(), this.part("every").checked); this.ticked(); });
    on("run", "click", () => this.run(this.picked ? this.model.tickedRows() : null));
    on("failed", "click", () => this.run(this.model.rowsWith(FAILED)));
    on("slow", "click", () => this.run(this.slow));
    on("stop", "click", () => this.ask("stop"));
    on("watch", "change", () => this.ask("watch", { on: this.part("watch").checked }));
    on("keys", "click", () => this.help());
    on("side", "click", () => { const open = this.root.toggleAttribute("data-side"); put(this.part("side"), "aria-expanded", String(open)); });
    window.addEventListener("hashchange", () => { this.view = link.read(); this.show(this.view); this.again(); this.arrive(); });
  }

  show(view) {
    this.part("search").value = view.query;
    this.part("sort").value = view.sort;
    this.part("outputs").checked = this.rows.showAll = view.outputs;
  }

  remember() {
    clearTimeout(this.writing);
    this.writing = setTimeout(() => {
      const row = this.rows.active;
      if (this.arrived && row >= 0 && row < this.model.size) {
        this.view.at = this.model.fullName(row);
        this.view.open = this.rows.outputs.opened.get(row) === true;
      }
      link.write(this.view);
    }, 150);
  }

  ticked() {
    this.sums = this.model.sums();
    this.tree.draw(this.sums);
    this.rows.list.draw(true);
    this.drawPicks();
  }

  filter(name, also = false) {
    const { marks } = this.view;
    const had = marks.has(name);
    const alone = had && marks.size === 1;
    if (!also || name === "all") marks.clear();
    if (name !== "all" && !alone && !(also && had)) marks.add(name);
    if (also && had) marks.delete(name);
    this.again(true);
  }

  press(name) {
    const part = this.part(name);
    if (part && !part.disabled) part.click();
  }

  search() { this.part("search").focus(); this.part("search").select(); }

  help() {
    const box = this.part("help");
    if (box.open) { box.close(); return; }
    box.querySelector("dl").replaceChildren(...KEYS.filter(([keys]) => this.may.run || !["r", "R", "A", "s", "w", "space x"].includes(keys)).flatMap(([keys, does]) =>
      [element("dt", {}, ...keys.split(" ").map((key) => element("kbd", {}, key))), element("dd", {}, does)]));
    box.showModal();
  }

  escape() {
    if (document.activeElement === this.part("search")) {
      if (this.view.query) { this.view.query = this.part("search").value = ""; this.again(true); }
      this.rows.box.focus();
    }
  }

  run(rows) {
    if (!this.may.run || this.model.head.state === "running") return;
    if (rows && !rows.length) return;
    this.ask("run", { rows: rows ? ranges(rows) : null });
  }

  async ask(what, body) {
    const box = this.part("answer");
    box.hidden = true;
    try {
      await this.wire.ask(what, body);
    } catch (error) {
      box.hidden = false;
      say(box, error.message);
    }
  }
}

const root = document.getElementById("runtests");
if (root) {
  const page = new Page(root);
  root.page = page; // for the browser's own tools
  page.begin();
}

