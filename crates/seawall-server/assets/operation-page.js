// The page of one operation: its card, the buttons that change it, its policies with the origin of every
// value, and what its retries cost.

import { Alerts } from './alerts.js';
import { brakeControl } from './brake.js';
import { Card } from './card.js';
import { byId, el, put } from './dom.js';
import { clock, count } from './format.js';
import { forceControl } from './force.js';
import { Policies } from './policies.js';
import { get, operationPath } from './send.js';

// The policies change by events, which are followed at once; counters are looked at this often.
const LOOK_EVERY = 5000;
/** Events after which policies, modes or the circuit are not what they were. */
const TELLING = new Set(['mode', 'brake', 'forced', 'reset', 'configuration']);

export class OperationPage {
  #name = '';
  #card = null;
  #operation = null;
  #force = null;
  #brake = null;
  #alerts = new Alerts(byId('operation-alerts'), byId('operation-alerts-title'));
  #policies = new Policies(byId('policies'), () => this.#look());
  #lookedAt = 0;
  #revision = 0;

  /** Shows this operation; '' when another view is shown. */
  show(name) {
    if (name === this.#name) return;
    this.#name = name;
    byId('operation-card').replaceChildren();
    this.#card = null;
    this.#operation = null;
    if (!name) return;
    put(byId('operation-title'), name);
    put(byId('operation-about'), '');
    put(byId('operation-fault'), '');
    this.#policies.clear();
    byId('retries').replaceChildren();
    this.#force = forceControl(name, () => this.#look());
    this.#brake = brakeControl(name, () => this.#look());
    const buttons = [this.#force.button, this.#brake.button];
    const panels = [this.#force.panel, this.#brake.panel];
    this.#card = new Card(name, { buttons, panels, alone: true });
    this.#look();
  }

  /** Draws from a snapshot. */
  draw(operations, { revision, alerts, at }) {
    const operation = operations.get(this.#name);
    if (!this.#card || !operation?.data) return;
    this.#operation = operation;
    if (!this.#card.node.isConnected) byId('operation-card').append(this.#card.node);
    this.#alerts.draw(alerts.filter((alert) => alert.operation === this.#name), Date.parse(at));
    this.#card.draw(operation);
    this.#force.offer(operation.data.circuit);
    this.#brake.follow(operation.data.repeats_paused);
    if (revision !== this.#revision || Date.now() - this.#lookedAt > LOOK_EVERY) this.#look();
    this.#revision = revision;
  }

  /** Takes note of an event. */
  heed({ kind, operation }) {
    if (this.#name && TELLING.has(kind) && [this.#name, ''].includes(operation)) this.#look();
  }

  async #look() {
    const name = this.#name;
    if (!name) return;
    this.#lookedAt = Date.now();
    const { ok, data, text } = await get(operationPath(name));
    // Meanwhile somebody may have gone on to another.
    if (name !== this.#name) return;
    put(byId('operation-fault'), ok ? '' : text);
    if (!ok) return;
    put(byId('operation-about'), data.strategy ? `follows the strategy ${data.strategy}` : 'has policies of its own');
    this.#policies.draw(data);
    retries(data.metrics);
    const forced = data.circuit_breaker?.forced;
    if (forced && this.#operation) this.#operation.forcedWhy = `${forced.reason}; ${ending(forced.until)}`;
  }
}

function ending(until) {
  return until ? `it ends by itself at ${clock(Date.parse(until))}` : 'it lasts until somebody ends it';
}

function retries(metrics) {
  const begun = metrics.total_calls - metrics.rejected_calls;
  const each = begun > 0 ? (metrics.attempts / begun).toFixed(2) : '–';
  const figures = [
    ['calls', count(metrics.total_calls), 'since the start, or the last reset of the counters'],
    ['attempts', count(metrics.attempts), 'calls of the upstream, retries and hedges included'],
    ['attempts for each call', each, 'what retries multiply the load by'],
    ['retries', count(metrics.retries_executed), ''],
    ['not paid by the budget', count(metrics.retries_unaffordable), 'retries that the budget refused'],
    ['held by the brake', count(metrics.repeats_paused), 'retries and hedges that an operator had paused'],
    ['hedges', count(metrics.hedges), ''],
    ['fallbacks', count(metrics.fallbacks), ''],
  ];
  const cells = figures.map(([label, value, title]) =>
    el('div', { class: 'cell', title }, el('dt', {}, label), el('dd', {}, value)),
  );
  byId('retries').replaceChildren(...cells);
}
