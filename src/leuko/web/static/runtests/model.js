// The board as this page knows it: columns of rows, files, tags; what is ticked; sums for each file.
"use strict";

export const MARKS = "-wrpfsbx"; // listed, waiting, running, passed, failed, skipped, broken, gone
export const [LISTED, WAITING, RUNNING, PASSED, FAILED, SKIPPED, BROKEN, GONE] = [...MARKS].map((_, index) => index);
export const WORDS = ["not run", "waiting", "running", "passed", "failed", "skipped", "broken", "gone"];
export const FLAKY = 1, REMEMBERED = 2, OUTPUT = 4, RETRIED = 8;
const KINDS = MARKS.length;
const CODE = new Map([...MARKS].map((letter, index) => [letter.charCodeAt(0), index]));

function grown(array, size) {
  if (array.length >= size) return array;
  const larger = new array.constructor(Math.max(size, array.length * 2, 1024));
  larger.set(array);
  return larger;
}

export class Model {
  constructor() {
    this.head = { state: "idle", counts: {}, percent: 0, left: null };
    this.skew = 0; // the server's clock minus this machine's
    this.forget();
  }

  forget() {
    this.board = "";
    this.change = 0;
    this.size = 0;
    this.suites = [];
    this.suite = [];
    this.path = [];
    this.tags = new Map(); // tag -> numbers of files
    this.nodes = []; // rows of the set-up
    this.rowsOf = []; // file -> rows
    this.names = [];
    this.hay = []; // what is searched, in small letters
    this.more = new Map(); // row -> reason, worker, began
    this.mark = new Uint8Array(1024);
    this.flag = new Uint8Array(1024);
    this.file = new Int32Array(1024);
    this.ms = new Float64Array(1024);
    this.ticked = new Uint8Array(1024);
    this.order = []; // files as they are shown
    this.filesChanged = true;
  }

  // Takes what the server tells. Keeps what is ticked where the board is the same one.
  take(told) {
    const before = told.whole && told.board === this.board ? this.ticked : null;
    if (told.whole) this.forget();
    this.head = told;
    this.board = told.board;
    this.change = told.change;
    this.skew = told.now - Date.now();
    this.takeFiles(told.files);
    this.takeNames(told.from, told.names);
    this.takeStates(told);
    if (before) this.ticked.set(before.subarray(0, Math.min(before.length, this.ticked.length)));
  }

  takeFiles({ suite, path, tags }) {
    for (let index = 0; index < path.length; index++) {
      const file = this.path.length;
      this.suite.push(suite[index]);
      this.path.push(path[index]);
      this.rowsOf.push([]);
      if (!this.suites.includes(suite[index])) this.suites.push(suite[index]);
      for (const tag of tags[index]) {
        if (!this.tags.has(tag)) this.tags.set(tag, []);
        this.tags.get(tag).push(file);
      }
      this.filesChanged = true;
    }
    if (!this.filesChanged) return;
    this.order = this.path.map((_, file) => file).sort((a, b) =>
      this.suites.indexOf(this.suite[a]) - this.suites.indexOf(this.suite[b]) || (this.path[a] < this.path[b] ? -1 : 1));
  }

  takeNames(from, { file, name }) {
    const size = from + name.length;
    for (const column of ["mark", "flag", "file", "ms", "ticked"]) this[column] = grown(this[column], size);
    for (let index = 0; index < name.length; index++) {
      const row = from + index;
      const of = file[index];
      this.file[row] = of;
      this.names.push(name[index]);
      this.hay.push(((of < 0 ? "set-up" : this.path[of]) + "::" + name[index]).toLowerCase());
      if (of < 0) this.nodes.push(row);
      else {
        const beside = this.rowsOf[of];
        if (beside.length && beside.every((other) => this.ticked[other] || this.mark[other] === GONE)) this.ticked[row] = 1;
        beside.push(row);
      }
    }
    this.size = size;
  }

  takeStates({ rows, mark, flag, ms, more }) {
    for (let index = 0; index < mark.length; index++) {
      const row = rows ? rows[index] : index;
      this.mark[row] = CODE.get(mark.charCodeAt(index));
      this.flag[row] = parseInt(flag[index], 16);
      this.ms[row] = ms[index];
      if (more[row]) this.more.set(row, more[row]);
      else this.more.delete(row);
    }
  }

  now() {
    return Date.now() + this.skew;
  }

  fullName(row) {
    const file = this.file[row];
    if (file < 0) return `set-up: ${this.names[row]}`;
    return `${this.suite[file]}: ${this.path[file]}` + (this.names[row] ? `::${this.names[row]}` : "");
  }

  find(fullName) {
    for (let row = 0; row < this.size; row++) {
      if (this.mark[row] !== GONE && this.fullName(row) === fullName) return row;
    }
    return -1;
  }

  // 0 to 1: by the usual duration while it runs.
  part(row) {
    if (this.mark[row] !== RUNNING) return this.mark[row] === PASSED || this.mark[row] === FAILED ? 1 : 0;
    const spent = this.elapsed(row);
    return this.ms[row] > 0 ? Math.min(0.99, spent / this.ms[row]) : 0;
  }

  elapsed(row) {
    const began = this.more.get(row)?.began;
    return began ? Math.max(0, this.now() - began) : 0;
  }

  // Sums by file: eight marks, then flaky, then ticked, then all.
  sums() {
    const wide = KINDS + 3;
    const sums = new Int32Array((this.path.length || 1) * wide);
    for (let row = 0; row < this.size; row++) {
      const file = this.file[row];
      if (file < 0 || this.mark[row] === GONE) continue;
      const at = file * wide;
      sums[at + this.mark[row]]++;
      if (this.flag[row] & FLAKY) sums[at + KINDS]++;
      if (this.ticked[row]) sums[at + KINDS + 1]++;
      sums[at + KINDS + 2]++;
    }
    return { sums, wide, flaky: KINDS, ticked: KINDS + 1, all: KINDS + 2 };
  }

  tick(rows, yes) {
    for (const row of rows) if (this.mark[row] !== GONE) this.ticked[row] = yes ? 1 : 0;
  }

  tickedRows() {
    const rows = [];
    for (let row = 0; row < this.size; row++) if (this.ticked[row] && this.file[row] >= 0 && this.mark[row] !== GONE) rows.push(row);
    return rows;
  }

  allRows() {
    const rows = [];
    for (let row = 0; row < this.size; row++) if (this.file[row] >= 0 && this.mark[row] !== GONE) rows.push(row);
    return rows;
  }

  rowsWith(mark) {
    return this.allRows().filter((row) => this.mark[row] === mark);
  }

  // The fewest tests that take half of the time of all: what is worth making faster, or trying again alone.
  slowRows() {
    const timed = this.allRows().filter((row) => this.ms[row] > 0);
    timed.sort((a, b) => this.ms[b] - this.ms[a]);
    const half = timed.reduce((sum, row) => sum + this.ms[row], 0) / 2;
    const found = [];
    for (let sum = 0, index = 0; index < timed.length && sum < half && index < 200; index++) {
      found.push(timed[index]);
      sum += this.ms[timed[index]];
    }
    return found;
  }
}
