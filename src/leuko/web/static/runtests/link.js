// The address holds what a person looks at: filter, search, folder, order, row. A reload comes back to it.
"use strict";

import { FILTERS, SORTS } from "./filter.js";

const NAMES = new Set(FILTERS.map(([name]) => name));

export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const sort = given.get("sort") || "file";
  return {
    marks: new Set((given.get("show") || "").split(",").filter((name) => NAMES.has(name) && name !== "all")),
    query: given.get("search") || "",
    folder: given.get("in") || "",
    sort: SORTS.includes(sort) ? sort : "file",
    at: given.get("at") || "",
    open: given.get("open") === "1",
    outputs: given.get("output") === "1",
  };
}

export function write(view) {
  const given = new URLSearchParams();
  if (view.marks.size) given.set("show", [...view.marks].join(","));
  if (view.query) given.set("search", view.query);
  if (view.folder) given.set("in", view.folder);
  if (view.sort !== "file") given.set("sort", view.sort);
  if (view.at) given.set("at", view.at);
  if (view.open) given.set("open", "1");
  if (view.outputs) given.set("output", "1");
  const hash = given.toString();
  const url = location.pathname + location.search + (hash ? `#${hash}` : "");
  if (url !== location.pathname + location.search + location.hash) history.replaceState(null, "", url);
}
