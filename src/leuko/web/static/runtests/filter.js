// Which rows are shown, and in which order. A file's headline is the number of the file, turned negative.
"use strict";

import { BROKEN, FAILED, FLAKY, GONE, LISTED, PASSED, RUNNING, SKIPPED, WAITING } from "./model.js";

export const FILTERS = [
  ["all", "All", null], ["passed", "Passed", PASSED], ["failed", "Failed", FAILED], ["running", "Running", RUNNING],
  ["skipped", "Skipped", SKIPPED], ["waiting", "Waiting", WAITING], ["flaky", "Flaky", null], ["broken", "Broken", BROKEN],
  ["listed", "Not run", LISTED],
];
export const SORTS = ["file", "failed", "slow", "name"];
const FIRST = [4, 3, 1, 5, 0, 6, 2, 9]; // place of each mark where failures stand first: broken 2, failed 0

export const headline = (file) => -2 - file;
export const fileOf = (item) => -2 - item;

function words(query) {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}

export function shown(model, { marks, query, folder, sort }) {
  const wanted = new Uint8Array(8);
  const all = marks.size === 0 || marks.has("all");
  const flaky = marks.has("flaky");
  for (const [name, , mark] of FILTERS) if (mark !== null && marks.has(name)) wanted[mark] = 1;
  const needles = words(query);
  const fits = (row) => {
    const mark = model.mark[row];
    if (mark === GONE) return false;
    if (!all && !wanted[mark] && !(flaky && model.flag[row] & FLAKY)) return false;
    for (const needle of needles) if (!model.hay[row].includes(needle)) return false;
    return true;
  };
  const troubled = (row) => [FAILED, BROKEN, RUNNING].includes(model.mark[row]);
  const items = model.nodes.filter((row) => (troubled(row) && !needles.length && model.mark[row] !== GONE) || fits(row));
  if (sort === "file") byFile(model, folder, fits, items);
  else sorted(model, folder, fits, sort, items);
  return items;
}

function inside(model, file, folder) {
  if (!folder) return true;
  const whole = `${model.suite[file]}:${model.path[file]}`;
  return whole === folder || whole.startsWith(folder.endsWith(":") ? folder : `${folder}/`);
}

function byFile(model, folder, fits, items) {
  for (const file of model.order) {
    if (!inside(model, file, folder)) continue;
    let told = false;
    for (const row of model.rowsOf[file]) {
      if (!fits(row)) continue;
      if (!told && model.names[row]) items.push(headline(file));
      told = true;
      items.push(row);
    }
  }
}

function sorted(model, folder, fits, sort, items) {
  const rows = [];
  for (const file of model.order) {
    if (inside(model, file, folder)) for (const row of model.rowsOf[file]) if (fits(row)) rows.push(row);
  }
  const place = new Map(rows.map((row, index) => [row, index]));
  const orders = {
    slow: (a, b) => model.ms[b] - model.ms[a] || a - b,
    failed: (a, b) => FIRST[model.mark[a]] - FIRST[model.mark[b]] || place.get(a) - place.get(b),
    name: (a, b) => (model.names[a] < model.names[b] ? -1 : model.names[a] > model.names[b] ? 1 : a - b),
  };
  rows.sort(orders[sort]);
  for (const row of rows) items.push(row);
}
