// One card for each operation: what is wrong, since when, what is being done, then charts and numbers.
// A card's elements are made once and rewritten in place.

import { latencyChart, rateChart, stateStrip } from './chart.js';
import { withCursor } from './cursor.js';
import { arrange, changeIcon, el, icon, put, putOrHide, set } from './dom.js';
import { clock, count, countdown, duration, latency, percent, rate } from './format.js';
import { LEVELS, harmed } from './operation.js';
import { resetControl } from './reset.js';

// Traffic changes all the time. The order by it is looked at this often, and not while someone points at
// the list, so that a card does not slip away from under the hand.
const ORDER_EVERY = 10_000;

export class Cards {
  #list;
  #cards = new Map();
  #order = '';
  #orderedAt = 0;
  #showEvents;

  /** `showEvents(name)` shows the events of one operation. */
  constructor(list, showEvents) {
    this.#list = list;
    this.#showEvents = showEvents;
  }

  draw(operations) {
    for (const [name, card] of this.#cards) {
      if (operations.has(name)) continue;
      card.node.remove();
      this.#cards.delete(name);
    }
    for (const [name, operation] of operations) {
      if (!this.#cards.has(name)) this.#cards.set(name, new Card(name, () => this.#showEvents(name)));
      this.#cards.get(name).draw(operation);
    }
    this.#sort(operations);
  }

  #sort(operations) {
    const all = [...operations];
    // Who is how bad: a change of that is shown at once.
    const levels = all.map(([name, { look }]) => `${name}\n${look.level}`).join('\n');
    const due = Date.now() - this.#orderedAt > ORDER_EVERY && !this.#list.matches(':hover');
    if (levels === this.#order && !due) return;
    this.#order = levels;
    this.#orderedAt = Date.now();
    const rank = ([, operation]) => LEVELS.indexOf(operation.look.level);
    all.sort((a, b) => rank(a) - rank(b) || b[1].weight - a[1].weight || a[0].localeCompare(b[0]));
    arrange(this.#list, all.map(([name]) => this.#cards.get(name).node));
  }
}

/** What the numbers are called, how they are read, and from when on they are a worry. */
const NUMBERS = [
  ['calls/s', 'calls', ({ rates }) => rate(rates.calls)],
  ['success', 'successes', (_, operation) => percent(operation.success)],
  ['in flight', 'in-flight', (data) => count(data.in_flight)],
  ['queued', 'queued', (data) => count(data.queued), (data) => data.queued > 0],
  ['failures/s', 'failures', ({ rates }) => rate(rates.failures), ({ rates }) => rates.failures > 0],
  ['timed out/s', 'timeouts', ({ rates }) => rate(rates.timed_out), ({ rates }) => rates.timed_out > 0],
  ['rejected/s', 'rejected', ({ rates }) => rate(rates.rejected), ({ rates }) => rates.rejected > 0],
  ['retries/s', 'retries', ({ rates }) => rate(rates.retries)],
  ['p50', 'p50', ({ latency_ms: ms }) => latency(ms?.p50)],
  ['p95', 'p95', ({ latency_ms: ms }) => latency(ms?.p95)],
  ['p99', 'p99', ({ latency_ms: ms }) => latency(ms?.p99)],
  ['fallbacks/s', 'fallbacks', ({ rates }) => rate(rates.fallbacks)],
];

class Card {
  #title;
  #chipIcon = icon('closed');
  #chipWord = el('span');
  #since = el('p', { class: 'since' });
  #probe = el('p', { class: 'probe' });
  #doing = el('p', { class: 'doing' });
  #why = el('p', { class: 'why' });
  #charts = [rateChart(), latencyChart()];
  #strip = stateStrip();
  #values = NUMBERS.map(() => el('dd'));
  #cells;
  #reset;

  constructor(name, showEvents) {
    this.#title = el('h3', {}, name);
    this.#reset = resetControl(name);
    const events = el('button', { type: 'button', class: 'quiet', 'aria-label': `Events of ${name}` }, 'Events');
    events.addEventListener('click', showEvents);
    this.#cells = NUMBERS.map(([label, kind], n) =>
      el('div', { class: `cell ${kind}` }, el('dt', {}, label), this.#values[n]),
    );
    const axis = el('div', { class: 'axis', 'aria-hidden': 'true' });
    axis.append(...['−2 min', '−1 min', 'now'].map((text) => el('span', {}, text)));
    const plots = [...this.#charts, this.#strip].map((chart) => chart.node);
    this.node = el(
      'li',
      { class: 'card' },
      el(
        'div',
        { class: 'identity' },
        el('div', { class: 'head' }, this.#title, el('p', { class: 'chip' }, this.#chipIcon, this.#chipWord)),
        this.#since,
        this.#probe,
        this.#doing,
        this.#why,
        el('div', { class: 'actions' }, this.#reset.button, events),
        this.#reset.panel,
      ),
      el('div', { class: 'charts' }, withCursor(name, plots, () => this.operation), axis),
      el('dl', { class: 'numbers' }, ...this.#cells),
    );
  }

  draw(operation) {
    this.operation = operation;
    const { data, look } = operation;
    set(this.node, 'data-level', look.level);
    changeIcon(this.#chipIcon, look.icon);
    put(this.#chipWord, look.word);
    put(this.#since, since(operation));
    putOrHide(this.#probe, probe(data.circuit));
    putOrHide(this.#doing, doing(operation));
    putOrHide(this.#why, why(operation));
    NUMBERS.forEach(([, , value, worry], n) => {
      put(this.#values[n], value(data, operation));
      this.#cells[n].classList.toggle('worry', Boolean(worry?.(data)));
    });
    for (const chart of this.#charts) chart.draw(operation);
    this.#strip.node.hidden = !data.circuit;
    if (data.circuit) this.#strip.draw(operation);
    this.#reset.offer(data.circuit);
  }
}

/** "for 12 s, since 02:59:48; not closed since 02:31:07". */
function since(operation) {
  const { circuit } = operation.data;
  const spent = (from) => `for ${duration(operation.at - from)}, since ${clock(from)}`;
  if (operation.since === null) return 'no circuit breaker';
  if (operation.look.word === 'Degraded') {
    const closed = circuit ? `; circuit closed for ${duration(circuit.in_state_ms)}` : '; no circuit breaker';
    return spent(operation.since) + closed;
  }
  const { brokenSince } = operation;
  const longer = brokenSince !== null && operation.since - brokenSince > 1000;
  return spent(operation.since) + (longer ? `; not closed since ${clock(brokenSince)}` : '');
}

function probe(circuit) {
  const wait = circuit?.next_probe_in_ms ?? null;
  if (wait === null || circuit.state !== 'open') return '';
  return wait > 0 ? `next probe in ${countdown(wait)}` : 'the next call will be a probe';
}

/** What the policies do about it, in one line. */
function doing(operation) {
  const { rates, circuit, queued } = operation.data;
  const said = [];
  const refusing = rates.rejected > 0 ? `refusing ${rate(rates.rejected)} calls/s` : 'refusing calls';
  switch (circuit?.state) {
    case 'open':
      said.push(refusing);
      break;
    case 'forced_open':
      said.push('held open by an operator', refusing, 'no probe will run');
      break;
    case 'half_open':
      said.push('letting a few probes pass, refusing the rest');
      break;
    case 'forced_closed':
      said.push('held closed by an operator: failures do not open it');
      break;
    case 'disabled':
      said.push('the circuit breaker is off');
      break;
    default:
      if (circuit?.failure_count > 0) {
        said.push(`${circuit.failure_count} failures counted, opens at ${circuit.threshold}`);
      }
  }
  if (operation.look.word === 'Degraded') {
    const bad = 1 - (operation.success ?? 1);
    said.unshift(bad < 0.001 ? 'calls succeed again' : `${percent(bad)} of calls fail or are rejected`);
  }
  if (rates.retries > 0 && harmed(rates) > 0) said.push(`retrying ${rate(rates.retries)}/s`);
  if (rates.fallbacks > 0) said.push(`fallback answers ${rate(rates.fallbacks)}/s`);
  if (queued > 0) said.push(`${count(queued)} queued`);
  return said.join(' · ');
}

function why({ data: { circuit }, brokenWhy }) {
  if (!circuit?.reason) return '';
  if (circuit.state === 'closed') return `last change: ${circuit.reason}`;
  const first = brokenWhy && brokenWhy !== circuit.reason ? `; at first: ${brokenWhy}` : '';
  return `why: ${circuit.reason}${first}`;
}
