// The folders on the left: what there is, how it stands, and what is ticked to run.
"use strict";

import { FAILED, GONE, RUNNING } from "./model.js";
import { VirtualList } from "./list.js";
import { element, number, put, say } from "./words.js";

class Folder {
  constructor(name, key, depth) {
    Object.assign(this, { name, key, depth, children: new Map(), files: [], file: -1 });
  }
}

// suite > folder > file; a folder with a single folder in it is one line.
function build(model) {
  const root = new Folder("", "", -1);
  for (const file of model.order) {
    const suite = model.suite[file];
    let place = root;
    const parts = [`${suite}:`, ...model.path[file].split("/")];
    let key = "";
    parts.forEach((part, index) => {
      key = index === 0 ? part : index === 1 ? key + part : `${key}/${part}`;
      if (!place.children.has(part)) place.children.set(part, new Folder(part, key, index));
      place = place.children.get(part);
    });
    place.file = file;
  }
  const tops = [...root.children.values()];
  return tops.length === 1 ? [...joined(tops[0]).children.values()].map(joined) : tops.map(joined);
}

function joined(folder) {
  let children = [...folder.children.values()];
  while (children.length === 1 && children[0].file < 0 && folder.depth > 0) {
    const only = children[0];
    folder.name = `${folder.name}/${only.name}`;
    folder.key = only.key;
    folder.children = only.children;
    children = [...folder.children.values()];
  }
  for (const [name, child] of folder.children) folder.children.set(name, joined(child));
  return folder;
}

function filesOf(folder, into = []) {
  if (folder.file >= 0) into.push(folder.file);
  for (const child of folder.children.values()) filesOf(child, into);
  return into;
}

export class Tree {
  constructor(box, model, { ticked, scoped, may }) {
    Object.assign(this, { box, model, ticked, scoped, may });
    this.roots = [];
    this.open = new Set();
    this.active = 0;
    this.folder = "";
    this.list = new VirtualList(box, {
      make: () => this.make(),
      fill: (node, folder, index) => this.fill(node, folder, index),
      height: () => this.tall,
    });
    this.tall = 30;
    box.addEventListener("click", (event) => this.click(event));
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("focus", () => this.list.draw(true));
    box.addEventListener("blur", () => this.list.draw(true));
  }

  rebuild() {
    this.roots = build(this.model);
    const walk = (folder) => { folder.files = filesOf(folder); folder.children.forEach(walk); };
    this.roots.forEach(walk);
    if (!this.known) { // at first: open until the lines fill about a screen
      this.known = true;
      let lines = this.roots.length;
      let level = this.roots;
      while (level.length && lines < 40) {
        const next = level.flatMap((folder) => [...folder.children.values()]);
        if (lines + next.length > 60) break;
        level.forEach((folder) => { if (folder.children.size) this.open.add(folder.key); });
        lines += next.length;
        level = next;
      }
    }
    this.layOut();
  }

  layOut() {
    const lines = [];
    const add = (folder, depth) => {
      folder.shownDepth = depth;
      lines.push(folder);
      if (this.open.has(folder.key)) for (const child of folder.children.values()) add(child, depth + 1);
    };
    this.roots.forEach((folder) => add(folder, 0));
    this.active = Math.min(this.active, Math.max(0, lines.length - 1));
    this.list.set(lines);
  }

  draw(sums) {
    this.sums = sums;
    this.list.draw(true);
  }

  total(folder) {
    const { sums, wide, ticked, all } = this.sums;
    const total = { all: 0, failed: 0, running: 0, ticked: 0 };
    for (const file of folder.files) {
      const at = file * wide;
      total.all += sums[at + all];
      total.failed += sums[at + FAILED];
      total.running += sums[at + RUNNING];
      total.ticked += sums[at + ticked];
    }
    return total;
  }

  make() {
    const line = element("div", { class: "rt-folder", role: "treeitem" },
      element("span", { class: "rt-twist", "aria-hidden": "true" }),
      element("span", { class: "rt-box", "aria-hidden": "true" }),
      element("span", { class: "rt-name" }),
      element("span", { class: "rt-bad" }),
      element("span", { class: "rt-count" }));
    return line;
  }

  fill(line, folder, index) {
    if (!this.sums) return;
    const total = this.total(folder);
    const [twist, box, name, bad, count] = line.children;
    const state = total.all && total.ticked === total.all ? "true" : total.ticked ? "mixed" : "false";
    const opened = this.open.has(folder.key);
    line.id = `rt-folder-${index}`;
    line.dataset.index = index;
    line.style.paddingInlineStart = `${0.4 + folder.shownDepth * 0.9}rem`;
    put(line, "aria-level", String(folder.shownDepth + 1));
    put(line, "aria-expanded", folder.children.size ? String(opened) : null);
    put(line, "aria-checked", state);
    put(line, "aria-selected", String(folder.key === this.folder));
    put(line, "data-active", index === this.active && document.activeElement === this.box ? "" : null);
    put(line, "aria-label", `${folder.name}, ${total.all} tests` + (total.failed ? `, ${total.failed} failed` : ""));
    put(line, "title", folder.key);
    say(twist, folder.children.size ? (opened ? "▾" : "▸") : "");
    put(box, "data-state", state);
    say(name, folder.name.replace(/:$/, ""));
    say(bad, total.failed ? `${number(total.failed)} ✗` : total.running ? `${number(total.running)} …` : "");
    put(bad, "data-kind", total.failed ? "failed" : "running");
    say(count, number(total.all));
  }

  click(event) {
    const line = event.target.closest(".rt-folder");
    if (!line) return;
    this.active = Number(line.dataset.index);
    const folder = this.list.items[this.active];
    if (event.target.closest(".rt-twist")) this.toggle(folder);
    else if (event.target.closest(".rt-box")) this.tick(folder);
    else this.scope(folder);
  }

  toggle(folder, open = !this.open.has(folder.key)) {
    if (!folder.children.size) return;
    if (open) this.open.add(folder.key);
    else this.open.delete(folder.key);
    this.layOut();
  }

  rowsOf(folder) {
    return folder.files.flatMap((file) => this.model.rowsOf[file]).filter((row) => this.model.mark[row] !== GONE);
  }

  tick(folder) {
    if (!this.may.run) return;
    const total = this.total(folder);
    this.model.tick(this.rowsOf(folder), total.ticked < total.all);
    this.ticked();
  }

  scope(folder) {
    this.folder = this.folder === folder.key ? "" : folder.key;
    this.scoped(this.folder);
  }

  key(event) {
    const items = this.list.items;
    const folder = items[this.active];
    if (!folder || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = {
      ArrowDown: () => this.move(this.active + 1),
      ArrowUp: () => this.move(this.active - 1),
      Home: () => this.move(0),
      End: () => this.move(items.length - 1),
      ArrowRight: () => (this.open.has(folder.key) ? this.move(this.active + 1) : this.toggle(folder, true)),
      ArrowLeft: () => (this.open.has(folder.key) ? this.toggle(folder, false) : this.move(this.parent())),
      " ": () => this.tick(folder),
      Enter: () => this.scope(folder),
    };
    if (!moves[event.key]) return;
    moves[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  parent() {
    const depth = this.list.items[this.active].shownDepth;
    for (let index = this.active - 1; index >= 0; index--) if (this.list.items[index].shownDepth < depth) return index;
    return this.active;
  }

  move(index) {
    this.active = Math.max(0, Math.min(this.list.items.length - 1, index));
    this.list.show(this.active);
    this.list.draw(true);
    this.box.setAttribute("aria-activedescendant", `rt-folder-${this.active}`);
  }
}
