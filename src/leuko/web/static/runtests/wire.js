// How the page and the server talk: the board and its news, outputs, and what a person asks for.
"use strict";

const RETRY_MS = 1000;
const QUIET_MS = 150; // between two looks at a build

async function asked(url, options = {}) {
  const answer = await fetch(url, { cache: "no-store", headers: { Accept: "application/json", ...(options.headers || {}) }, ...options });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error ? [body.error.rule, body.error.way_out].filter(Boolean).join(". ") : `the server answered ${answer.status}`);
  return body;
}

export class Wire {
  // `follow`: "news" (the stream itself brings what is new) or "events" (it says that there is something new).
  constructor({ board, stream, output, follow }, { take, connected }) {
    Object.assign(this, { board, stream, outputOf: output, follow, take, connected });
    this.change = 0;
    this.name = "";
    this.looking = false;
    this.again = false;
  }

  async begin() {
    await this.look();
    this.listen();
  }

  async look() {
    if (this.looking) { this.again = true; return; }
    this.looking = true;
    try {
      const since = this.change ? `?since=${this.change}&board=${encodeURIComponent(this.name)}` : "";
      this.hear(await asked(this.board + since));
      if (!this.stream || this.follow === "events") this.connected(true);
    } catch {
      this.connected(false);
      setTimeout(() => this.look(), RETRY_MS);
    } finally {
      this.looking = false;
      if (this.again) { this.again = false; setTimeout(() => this.look(), QUIET_MS); }
    }
  }

  hear(told) {
    if (!told.whole && told.board !== this.name) { this.change = 0; this.look(); return; }
    this.change = told.change;
    this.name = told.board;
    this.take(told);
  }

  listen() {
    if (!this.stream) return;
    const news = this.follow === "news";
    const query = news ? `?since=${this.change}&board=${encodeURIComponent(this.name)}` : "";
    const source = new EventSource(this.stream + query);
    source.onopen = () => this.connected(true);
    source.onmessage = (event) => {
      this.connected(true);
      if (news) this.hear(JSON.parse(event.data));
      else this.look();
    };
    source.onerror = () => {
      this.connected(false);
      source.close(); // a new one asks for what is new since the last that we know
      setTimeout(() => this.listen(), RETRY_MS);
    };
    window.addEventListener("pagehide", () => source.close(), { once: true });
  }

  output(row) {
    return asked(`${this.outputOf}/${row}?board=${encodeURIComponent(this.name)}`);
  }

  ask(what, body = {}) {
    return asked(`${this.board}/${what}`, {
      method: "POST",
      body: JSON.stringify({ board: this.name, ...body }),
      headers: { "Content-Type": "application/json", Accept: "application/json" },
    });
  }
}

// 3, 4, 5, 9 as [[3, 5], [9, 9]]: forty thousand rows are asked for in a few bytes.
export function ranges(rows) {
  const found = [];
  for (const row of [...rows].sort((a, b) => a - b)) {
    const last = found[found.length - 1];
    if (last && last[1] === row - 1) last[1] = row;
    else found.push([row, row]);
  }
  return found;
}
