// The timeline's page: transitions with their reasons, what operators did, changes of the configuration and
// alerts, on one axis and as a list.

import { choice } from './ask.js';
import { byId, el, icon, put } from './dom.js';
import { clock, duration } from './format.js';
import { Happenings } from './happenings.js';
import { Lanes } from './lanes.js';
import { operationAddress } from './route.js';
import { get } from './send.js';

const RANGES = { '15 min': 900_000, '1 h': 3_600_000, '24 h': 86_400_000 };
const ASK_EVERY = 15_000;
const LANES = 25;
const ROWS = 300;
const ICONS = { circuit: 'change', operator: 'held', configuration: 'sliders', alert: 'alert', server: 'dot' };

export class Timeline {
  #happenings = new Happenings();
  #lanes = new Lanes(byId('lanes'));
  #range = choice('range', 'How far back', Object.keys(RANGES).map((word) => [word, word]), () => this.#redraw());
  #shown = false;
  #askedAt = 0;
  #most = LANES;
  #listed = '';
  #last = null;

  constructor() {
    this.#range.node.id = 'timeline-range';
    this.#range.node.firstChild.className = 'unseen';
    byId('timeline-range').replaceWith(this.#range.node);
    this.#range.choose('1 h');
    byId('happened-filter').addEventListener('input', () => this.#redraw());
    byId('lanes-more').addEventListener('click', () => {
      this.#most += LANES;
      this.#redraw();
    });
  }

  show(shown) {
    this.#shown = shown;
    if (shown) this.#ask();
  }

  /** Takes an event of the stream. */
  heed(event) {
    // What the tail does not tell, or not in full, is asked for when it says that there is something.
    if (['configuration', 'alert_started', 'alert_ended'].includes(event.kind)) this.#askedAt = 0;
    this.#happenings.heed(event);
  }

  draw(operations, snapshot) {
    this.#last = { operations, now: Date.parse(snapshot.at), uptime: snapshot.uptime_ms };
    if (Date.now() - this.#askedAt > ASK_EVERY) this.#ask();
    this.#redraw();
  }

  async #ask() {
    this.#askedAt = Date.now();
    const [circuits, history, alerts, audit] = await Promise.all([
      get('/circuit-breakers'),
      get('/config/history?limit=100'),
      get('/monitoring/alerts?max_alerts=200'),
      get('/audit?limit=200'),
    ]);
    const failed = [circuits, history, alerts, audit].find(({ ok }) => !ok);
    put(byId('timeline-fault'), failed ? failed.text : '');
    const data = ({ ok, data: answer }) => (ok ? answer : null);
    const answers = { circuits: data(circuits), history: data(history), alerts: data(alerts), audit: data(audit) };
    this.#happenings.take(answers);
    this.#redraw();
  }

  #redraw() {
    if (!this.#last || !this.#shown) return;
    const { operations, now, uptime } = this.#last;
    const span = RANGES[this.#range.value()];
    const items = this.#happenings.since(now - span);
    const names = affected(items, operations, span);
    this.#lanes.draw({ now, span, uptime, items, names: names.slice(0, this.#most), operations });
    byId('lanes-more').hidden = names.length <= this.#most;
    put(byId('lanes-more'), `Show more (${names.length - this.#most} not shown)`);
    const quiet = operations.size - names.length;
    const about = quiet > 0 ? `${quiet} ${quiet === 1 ? 'operation' : 'operations'} had nothing to tell` : '';
    put(byId('timeline-about'), about);
    this.#list(items);
  }

  #list(items) {
    const wanted = byId('happened-filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = items.filter(({ operation, kind, text }) => {
      const all = `${operation} ${kind} ${text}`.toLowerCase();
      return wanted.every((word) => all.includes(word));
    });
    byId('happened-none').hidden = found.length > 0;
    // Alerts tell the latest value, which changes each second: the list is not rewritten for that.
    const key = found.map(({ at, kind, operation, end }) => [at, kind, operation, end].join()).join(';');
    if (key === this.#listed) return;
    this.#listed = key;
    byId('happened').replaceChildren(...found.slice(0, ROWS).map(row));
  }
}

/** Operations that something happened to, the latest first; then those that were not closed all the time. */
function affected(items, operations, span) {
  const names = new Set(items.map(({ operation }) => operation).filter((name) => operations.has(name)));
  const minutes = Math.ceil(span / 60_000);
  for (const [name, { data }] of operations) {
    if (data.circuit && /[ohf]/.test(data.hour.slice(-minutes))) names.add(name);
  }
  return [...names];
}

function row({ at, kind, operation, text, to, level, end }) {
  const instant = new Date(at).toISOString();
  const lasted = end ? ` – ended after ${duration(end - at)}` : end === null ? ' – lasts' : '';
  const whose = operation ? [el('a', { href: operationAddress(operation) }, operation), ' '] : [];
  const number = /^revision \d+/.exec(text)?.[0];
  const link = kind === 'configuration' && number ? [el('a', { href: '#/configuration/history' }, number)] : [];
  return el(
    'li',
    { class: 'happening', 'data-kind': kind, 'data-state': to ?? level ?? '' },
    el('time', { datetime: instant, title: instant }, clock(at)),
    icon(ICONS[kind]),
    el('p', {}, ...whose, ...link, link.length > 0 ? text.slice(number.length) : text, lasted),
  );
}
