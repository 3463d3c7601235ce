// Leuko's console: keeps the page fresh, times relative, and buttons on the page. Without it all still works.
"use strict";

const page = document.documentElement;
const pulse = document.getElementById("pulse");
const stream = page.dataset.stream;
const LEAST_MS = 700; // between two looks at the page
const NET_MS = 30000; // a look even when nothing was heard
const START = { server: Date.parse(page.dataset.now), mine: Date.now() };

function serverNow() {
  return START.server + (Date.now() - START.mine); // the server's clock, whatever this machine's says
}

// -- times ----------------------------------------------------------------------------------------------

function relative(seconds) {
  const ahead = seconds < 0;
  const whole = Math.abs(Math.round(seconds));
  const parts = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 0, ""], [1, "s", 0, ""]];
  const found = parts.find(([size]) => whole >= size);
  if (!found) return "now";
  const [size, name, part, smaller] = found;
  const rest = part ? Math.floor((whole % size) / part) : 0;
  const text = `${Math.floor(whole / size)} ${name}` + (rest ? ` ${rest} ${smaller}` : "");
  return ahead ? `in ${text}` : `${text} ago`;
}

function showTimes(root) {
  for (const time of root.querySelectorAll("time[data-relative]")) {
    const at = Date.parse(time.dateTime);
    const text = relative((serverNow() - at) / 1000);
    if (time.textContent !== text) time.textContent = text;
    time.title = `${time.dateTime} (here: ${new Date(at).toLocaleString()})`;
  }
}

// -- freshness ------------------------------------------------------------------------------------------

function connected(yes) {
  if (!pulse) return;
  pulse.dataset.on = yes ? "yes" : "no";
  pulse.textContent = yes ? "live" : "not connected";
}

const keep = {
  beforeNodeMorphed(old) {
    return !(old instanceof Element && old.hasAttribute("data-keep")); // what a person is writing in
  },
  beforeAttributeUpdated(name, node) {
    return !(name === "open" && node.tagName === "DETAILS"); // what a person has unfolded
  },
};

let looking = false;
let again = false;
let looked = 0;
let timer = 0;

async function look() {
  if (looking) { again = true; return; }
  looking = true;
  looked = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.ok) {
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = next.querySelector("main");
      if (main) {
        showTimes(main);
        Idiomorph.morph(document.querySelector("main"), main, { callbacks: keep, restoreFocus: true });
        showTimes(document);
      }
    }
  } catch {
    connected(false); // the stream's own reconnecting brings the next look
  } finally {
    looking = false;
    if (again) { again = false; soon(); }
  }
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(look, Math.max(60, looked + LEAST_MS - Date.now()));
}

function follow() {
  if (!stream || !window.EventSource) return;
  const source = new EventSource(`${stream}?after=${page.dataset.event}`);
  source.onopen = () => { connected(true); };
  source.onmessage = () => { connected(true); soon(); };
  source.onerror = () => {
    connected(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
  window.addEventListener("pagehide", () => source.close(), { once: true });
}

// -- buttons --------------------------------------------------------------------------------------------

function say(box, kind, title, rest) {
  box.className = `answer ${kind}`;
  const strong = document.createElement("strong");
  strong.textContent = title;
  box.replaceChildren(strong, rest ? ` ${rest}` : "");
  box.hidden = false;
}

function spoken(body) {
  const answer = body.answer || {};
  const parts = Object.entries(answer).filter(([, value]) => value !== null && typeof value !== "object");
  return parts.map(([name, value]) => `${name} ${value}`).join(", ");
}

async function send(form, button) {
  const box = document.getElementById("answer");
  const data = new URLSearchParams(new FormData(form));
  data.set("do", button.value);
  const name = button.textContent.trim();
  button.disabled = true;
  say(box, "waiting", `${name}: asked, waiting for the controller…`, "");
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, headers: { Accept: "application/json" } });
    const body = await answer.json();
    if (body.state === "accepted") {
      say(box, "accepted", `${name}: accepted.`, spoken(body));
      const why = form.querySelector("input[name=why]");
      if (why) why.value = "";
    } else if (body.state === "waiting") {
      say(box, "waiting", `${name}: no answer yet.`, "It is kept, and obeyed or refused when a controller sees it.");
    } else {
      const error = body.error || {};
      say(box, "refused", `${name}: refused.`, [error.rule, error.way_out].filter(Boolean).join(". "));
    }
  } catch {
    say(box, "refused", `${name}: not sent.`, "The console cannot be reached; nothing was asked.");
  }
  button.disabled = false;
  soon();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !form.hasAttribute("data-wish") || !event.submitter) return;
  if (event.submitter.hasAttribute("data-plain")) return; // its answer is a page
  event.preventDefault();
  send(form, event.submitter);
});

showTimes(document);
setInterval(() => showTimes(document), 1000);
setInterval(() => { if (stream && !document.hidden && Date.now() - looked > NET_MS) look(); }, 5000);
document.addEventListener("visibilitychange", () => { if (stream && !document.hidden) soon(); });
follow();
