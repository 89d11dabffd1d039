// One card for one operation: what is wrong, since when, what is being done, then charts and numbers. Its
// elements are made once and rewritten in place.

import { latencyChart, rateChart, stateStrip } from './chart.js';
import { withCursor } from './cursor.js';
import { changeIcon, el, icon, put, putOrHide, set } from './dom.js';
import { count, latency, percent, rate } from './format.js';
import { hourChart } from './hour.js';
import { resetControl } from './reset.js';
import { operationAddress } from './route.js';
import { doing, probe, since, why } from './saying.js';

/** What the numbers are called, how they are read, and from when on they are a worry. */
const NUMBERS = [
  ['calls/s', 'calls', ({ rates }) => rate(rates.calls)],
  ['success', 'successes', (_, operation) => percent(operation.success)],
  ['in flight', 'in-flight', (data) => count(data.in_flight)],
  ['queued', 'queued', (data) => count(data.queued), (data) => data.queued > 0],
  ['failures/s', 'failures', ({ rates }) => rate(rates.failures), ({ rates }) => rates.failures > 0],
  ['timed out/s', 'timeouts', ({ rates }) => rate(rates.timed_out), ({ rates }) => rates.timed_out > 0],
  ['caller faults/s', 'caller-faults', ({ rates }) => rate(rates.caller_faults)],
  ['rejected/s', 'rejected', ({ rates }) => rate(rates.rejected), ({ rates }) => rates.rejected > 0],
  ['retries/s', 'retries', ({ rates }) => rate(rates.retries)],
  ['p50', 'p50', ({ latency_ms: ms }) => latency(ms?.p50)],
  ['p95', 'p95', ({ latency_ms: ms }) => latency(ms?.p95)],
  ['p99', 'p99', ({ latency_ms: ms }) => latency(ms?.p99)],
  ['fallbacks/s', 'fallbacks', ({ rates }) => rate(rates.fallbacks)],
];

export class Card {
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
  #hour = hourChart();
  #reset;

  /** `buttons` are further ones, and `panels` what they open. On a page of its own it is no link to it. */
  constructor(name, { buttons = [], panels = [], alone = false }) {
    this.name = name;
    this.#title = el('h3', {}, alone ? name : el('a', { href: operationAddress(name) }, name));
    this.#reset = resetControl(name);
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
        el('div', { class: 'actions' }, this.#reset.button, ...buttons),
      ),
      el('div', { class: 'charts' }, withCursor(name, plots, () => this.operation), axis, this.#hour.node),
      el('dl', { class: 'numbers' }, ...this.#cells),
      el('div', { class: 'panels' }, this.#reset.panel, ...panels),
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
    this.#hour.draw(data);
    this.#reset.offer(data.circuit);
  }
}
