// The timeline's picture: one axis, a lane for the configuration, one for alerts, and one for each operation
// that had something to tell. A change of the configuration is a line through all of them: what came after
// it may come from it.

import { el, put, set, svg } from './dom.js';
import { clock, words } from './format.js';
import { told } from './hour.js';
import { operationAddress } from './route.js';

const W = 1000;
const H = 20;
const MINUTE = 60_000;
const STATES = { c: 'closed', s: 'shadow', h: 'half_open', o: 'open', f: 'forced' };

export class Lanes {
  #box;
  #lanes = new Map();
  #ticks = Array.from({ length: 5 }, () => el('span'));
  #axis = el('div', { class: 'lane axis', 'aria-hidden': 'true' }, el('span'), el('div', { class: 'ticks' }, ...this.#ticks));

  constructor(box) {
    this.#box = box;
  }

  /** `span` milliseconds until `now`, `uptime` of the server; `names` are the operations that get a lane. */
  draw({ now, span, uptime, items, names, operations }) {
    const scale = { now, uptime, x: (at) => Math.max(0, Math.min(W, ((at - now + span) / span) * W)) };
    const revisions = items.filter(({ kind }) => kind === 'configuration');
    const wanted = [
      ['', 'Configuration', revisions, 'configuration'],
      [' ', 'Alerts', items.filter(({ kind }) => kind === 'alert'), 'alert'],
      ...names.map((name) => [`/${name}`, name, items.filter(({ operation }) => operation === name), 'operation']),
    ];
    const keys = new Set(wanted.map(([key]) => key));
    for (const [key, lane] of this.#lanes) {
      if (keys.has(key)) continue;
      lane.node.remove();
      this.#lanes.delete(key);
    }
    const nodes = wanted.map(([key, label, mine, kind]) => {
      if (!this.#lanes.has(key)) this.#lanes.set(key, lane(label, kind));
      const one = this.#lanes.get(key);
      paint(one, kind, mine, revisions, scale, operations.get(label)?.data);
      return one.node;
    });
    const before = [...this.#box.children];
    const after = [...nodes, this.#axis];
    if (before.length !== after.length || before.some((node, n) => node !== after[n])) this.#box.replaceChildren(...after);
    this.#ticks.forEach((label, n) => put(label, clock(now - span + (span * n) / 4).replace(/:\d\d$/, '')));
  }
}

function lane(label, kind) {
  const picture = svg('svg', { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: 'none', role: 'img' });
  const name = kind === 'operation' ? el('a', { href: operationAddress(label) }, label) : el('span', {}, label);
  return { node: el('div', { class: `lane of-${kind}` }, el('p', { class: 'lane-name' }, name), picture), picture, drawn: '' };
}

function paint(one, kind, mine, revisions, scale, data) {
  const shapes = [];
  if (kind === 'operation') shapes.push(...stays(mine, scale), ...minutes(data, mine, scale));
  if (kind === 'alert') shapes.push(...mine.map((item) => bar(item, scale)));
  shapes.push(...revisions.map(({ at }) => ['changed', scale.x(at) - 1, 2, 0, H]));
  if (kind === 'operation') shapes.push(...mine.filter((item) => item.kind !== 'alert').map((item) => mark(item, scale)));
  const text = shapes.map((shape) => shape.join(' ')).join('|');
  set(one.picture, 'aria-label', summary(kind, mine, data));
  if (text === one.drawn) return;
  one.drawn = text;
  const rects = shapes.map(([name, x, width, y, height]) =>
    svg('rect', { class: name, x: x.toFixed(1), width: width.toFixed(1), y, height }),
  );
  one.picture.replaceChildren(...rects);
}

/** From one transition to the next, as far as transitions are known. */
function stays(items, { x, now }) {
  const changes = items.filter(({ kind }) => kind === 'circuit').toReversed();
  return changes.map(({ at, to }, n) => {
    const end = changes[n + 1]?.at ?? now;
    return [`stay ${to}`, x(at), Math.max(1, x(end) - x(at)), 5, 10];
  });
}

/** What the server remembers of each minute of the last hour, until the first transition that is known:
 *  from there on the transitions are more exact. */
function minutes(data, items, { x, now, uptime }) {
  if (!data?.circuit) return [];
  const first = items.filter(({ kind }) => kind === 'circuit').at(-1) ?? { at: Infinity };
  const cells = [...data.hour];
  return cells.flatMap((state, n) => {
    // The server's minutes begin with it; the present one is not over.
    const from = now - (uptime % MINUTE) - (cells.length - 1 - n) * MINUTE;
    const to = Math.min(from + MINUTE, now);
    if (!(state in STATES) || from >= first.at) return [];
    // The minute of the first failure was closed until then.
    const name = to > first.at && first.from === 'closed' ? 'closed' : STATES[state];
    const [left, right] = [x(from), x(Math.min(to, first.at))];
    return right > left ? [[`stay ${name}`, left, right - left, 5, 10]] : [];
  });
}

function bar({ at, end, level }, { x, now }) {
  return [`span ${level}`, x(at), Math.max(3, x(end ?? now) - x(at)), 4, 12];
}

function mark({ at, kind, to }, { x }) {
  return [kind === 'circuit' ? `mark ${to}` : 'mark operator', x(at) - 1.5, 3, 0, H];
}

function summary(kind, items, data) {
  const many = items.length === 1 ? '1 entry' : `${items.length} entries`;
  if (kind !== 'operation') return `${many}; the list below tells them.`;
  const now = data?.circuit ? `now ${words(data.circuit.state)}; ` : '';
  return `${now}${many} in this time; the list below tells them. ${data?.circuit ? told(data.hour) : ''}`;
}
