// Tells the worker of each test of `node --test`, while it runs. Its destination is the worker's pipe.
import { readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';

const spec = JSON.parse(process.env.LEUKO_WORKER_SPEC ? readFileSync(process.env.LEUKO_WORKER_SPEC, 'utf8') : '{}');
delete process.env.LEUKO_WORKER_SPEC; // what the tests start does not find it
const top = spec.top ? realpathSync(spec.top) : process.cwd();
const asked = new Map((spec.files ?? []).map((file) => [real(path.resolve(top, file)), file]));
const CAP = 65000;
const SEPARATOR = ' > ';
const PATIENCE = 30; // ms until a test that runs is announced: a suite has shown its first test by then

function real(file) {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

function shown(file) {
  const found = real(file);
  return asked.get(found) ?? path.relative(top, found);
}

function cut(text) {
  if (text.length <= CAP) return text;
  const half = CAP / 2;
  const missing = text.length - 2 * half;
  return `${text.slice(0, half)}\n[leuko] ${missing} characters of output were left out here\n${text.slice(-half)}`;
}

// Output of a file comes without the name of a test: it is given to the test that ended next.
class Output {
  constructor() {
    this.head = '';
    this.tail = '';
    this.missing = 0;
  }

  add(text) {
    const room = CAP / 2 - this.head.length;
    this.head += text.slice(0, Math.max(0, room));
    this.tail += text.slice(Math.max(0, room));
    if (this.tail.length > CAP) {
      this.missing += this.tail.length - CAP / 2;
      this.tail = this.tail.slice(-CAP / 2);
    }
  }

  take() {
    const said = this.missing ? `\n[leuko] ${this.missing} characters of output were left out here\n` : '';
    const text = this.head + said + this.tail;
    this.head = this.tail = '';
    this.missing = 0;
    return text;
  }
}

class File {
  constructor(file) {
    this.file = shown(file);
    this.running = []; // by nesting: what began and has not ended
    this.path = []; // by nesting: what is being reported
    this.output = new Output();
    this.told = 0;
    this.announced = new Set();
    this.counts = new Map();
  }
}

function said(error) {
  const cause = error?.cause ?? error;
  const message = typeof cause === 'object' && cause !== null ? (cause.message ?? String(cause)) : String(cause);
  const stack = typeof cause === 'object' && cause !== null ? (cause.stack ?? message) : message;
  return { reason: String(message).split('\n').find((line) => line.trim()) ?? 'failed', text: String(stack) };
}

function isFile(data) {
  return data.nesting === 0 && data.file !== undefined && real(path.resolve(data.name)) === real(data.file);
}

// The second test of a name gets " (2)".
function numbered(name, number) {
  return number > 1 ? `${name} (${number})` : name;
}

// A test is announced only where its path is certain: not below tests that run at the same time.
function begins(one, data) {
  const level = data.nesting;
  one.running[level] ??= [];
  one.running[level].push(data.name);
  for (let above = 0; above < level; above += 1) if (one.running[above]?.length !== 1) return null;
  const name = [...one.running.slice(0, level).map((names) => names[0]), data.name].join(SEPARATOR);
  return numbered(name, (one.counts.get(name) ?? 0) + 1);
}

function completes(one, data) {
  const names = one.running[data.nesting] ?? [];
  const at = names.indexOf(data.name);
  if (at >= 0) names.splice(at, 1);
}

function ended(one, data, passed) {
  const { error, duration_ms: milliseconds, type } = data.details;
  const plain = isFile(data) ? '' : [...one.path.slice(0, data.nesting), data.name].join(SEPARATOR);
  const number = (one.counts.get(plain) ?? 0) + 1;
  const name = numbered(plain, number);
  const failure = passed ? null : said(error);
  const counted = passed || error?.failureType === 'subtestsFailed';
  if (type === 'suite' && counted && !one.announced.delete(name)) return null; // the sum of its tests
  let state = passed ? 'passed' : 'failed';
  let reason = failure?.reason ?? '';
  if (data.skip !== undefined && data.skip !== false) {
    state = 'skipped';
    reason = typeof data.skip === 'string' ? data.skip : '';
  } else if (data.todo !== undefined && data.todo !== false) {
    const why = typeof data.todo === 'string' && data.todo ? `: ${data.todo}` : '';
    if (!passed) state = 'skipped';
    reason = passed ? `passed, though it is still to do${why}` : `failed, as expected of what is still to do${why}`;
  }
  one.counts.set(plain, number);
  const printed = one.output.take();
  const output = cut([failure?.text, printed].filter(Boolean).join('\n'));
  one.told += 1;
  return { e: 'ended', file: one.file, name, state, seconds: (milliseconds ?? 0) / 1000, reason: reason.slice(0, 300), output };
}

function* told(files, { type, data }, waiting) {
  if (data?.file === undefined) return;
  if (!files.has(data.file)) files.set(data.file, new File(data.file));
  const one = files.get(data.file);
  if (type === 'test:stdout' || type === 'test:stderr') {
    one.output.add(String(data.message));
  } else if (type === 'test:dequeue') {
    if (isFile(data)) yield { e: 'file', file: one.file };
    else {
      const name = begins(one, data);
      if (name !== null) waiting.push({ at: Date.now() + PATIENCE, one, name, data });
    }
  } else if (type === 'test:enqueue') {
    const parent = waiting.findIndex((each) => each.one === one && each.data.nesting + 1 === data.nesting);
    if (parent >= 0) waiting.splice(parent, 1);
  } else if (type === 'test:complete') {
    if (!isFile(data)) completes(one, data);
    const at = waiting.findIndex((each) => each.one === one && each.data.name === data.name && each.data.nesting === data.nesting);
    if (at >= 0) waiting.splice(at, 1);
  } else if (type === 'test:start') {
    one.path[data.nesting] = data.name;
  } else if (type === 'test:pass' || type === 'test:fail') {
    if (isFile(data) && type === 'test:pass' && one.told) return;
    const event = ended(one, data, type === 'test:pass');
    if (event) yield event;
  }
}

function line(event) {
  return `${JSON.stringify(event).replace(/[\u0080-\uffff]/g, escaped)}\n`;
}

function escaped(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)));
}

export default async function* report(source) {
  const files = new Map();
  const waiting = []; // tests that run, and are not announced yet
  const events = source[Symbol.asyncIterator]();
  yield line({ e: 'hello', pid: process.pid, runner: `node ${process.version}` });
  let next = events.next();
  for (;;) {
    const found = waiting.length ? await Promise.race([next, sleep(waiting[0].at - Date.now())]) : await next;
    if (found === undefined) {
      const { one, name } = waiting.shift();
      one.announced.add(name);
      yield line({ e: 'began', file: one.file, name });
      continue;
    }
    if (found.done) return;
    next = events.next();
    for (const one of told(files, found.value, waiting)) yield line(one);
  }
}
