// What happened, from all who tell of it: events as they come, each breaker's last transition, the history
// of the configuration, and alerts. What two of them tell is kept once.

import { NEWS } from './events.js';
import { words } from './format.js';

/** Kept at most of what events told. */
const MOST = 2000;
/** Two reports of one transition differ by less than this. */
const SAME = 2000;
const OPERATORS = new Set(['reset', 'forced', 'mode', 'brake']);

/** Items are `{ at, kind, operation, text, from, to, end }`; `kind` is circuit, operator, configuration, alert or
 *  server, `from` and `to` the states of a circuit, `end` when an alert ended (null: it lasts). */
export class Happenings {
  #told = [];
  #asked = { transitions: [], revisions: [], alerts: [], audited: [] };
  #seen = -1;
  #seenAt = -1;

  /** Takes an event of the stream; true where it is one that is kept. */
  heed({ id, at, kind, operation, text }) {
    const instant = Date.parse(at);
    // The server repeats its tail at each connection; after a restart ids begin again, time does not.
    if (id <= this.#seen && instant <= this.#seenAt) return false;
    [this.#seen, this.#seenAt] = [id, instant];
    // Revisions and alerts are asked for, with what events do not say.
    if (!NEWS.has(kind) || ['configuration', 'alert_started', 'alert_ended'].includes(kind)) return false;
    if (kind === 'circuit_changed') {
      const [, from = '', to = ''] = /^(\w+) → (\w+)/.exec(text) ?? [];
      this.#told.push({ at: instant, kind: 'circuit', operation, text: `circuit ${text.replaceAll('half_open', 'half-open')}`, from, to });
    } else {
      const who = OPERATORS.has(kind) ? 'operator' : 'server';
      this.#told.push({ at: instant, kind: who, operation, text: `${words(kind)}: ${text}` });
    }
    if (this.#told.length > MOST) this.#told.shift();
    return true;
  }

  /** Takes what the API answered; what is null stays as it was. */
  take({ circuits, history, alerts, audit }) {
    if (circuits) this.#asked.transitions = Object.values(circuits.circuit_breakers).flatMap(transition);
    if (history) this.#asked.revisions = history.revisions.map(revision);
    if (alerts) this.#asked.alerts = alerts.alerts.map(alert);
    if (audit) this.#asked.audited = audit.entries.flatMap(audited);
  }

  /** All of them from an instant on, newest first. */
  since(from) {
    const { transitions, revisions, alerts, audited: done } = this.#asked;
    const told = new Map();
    for (const one of this.#told) told.set(key(one), [...(told.get(key(one)) ?? []), one.at]);
    const isNews = (one) => !told.get(key(one))?.some((at) => Math.abs(at - one.at) < SAME);
    const all = [...this.#told, ...[...transitions, ...done].filter(isNews), ...revisions, ...alerts];
    return all.filter(({ at, end }) => Math.max(at, end === null ? Infinity : (end ?? 0)) >= from).sort((a, b) => b.at - a.at);
  }
}

/** What two reports of the same have in common, beside the time. */
const key = ({ kind, operation, to }) => [kind, operation, to].join('\n');

function transition({ name, last_transition: last }) {
  if (!last) return [];
  const text = `circuit ${words(last.from)} → ${words(last.to)}: ${last.reason}`;
  return [{ at: Date.parse(last.at), kind: 'circuit', operation: name, text, from: last.from, to: last.to }];
}

function revision({ revision: number, at, who, cause, diff }) {
  const many = diff.length === 1 ? '1 value' : `${diff.length} values`;
  const first = diff.slice(0, 3).map(({ path }) => path).join(', ');
  const which = diff.length > 0 ? `: ${first}${diff.length > 3 ? ' …' : ''}` : '';
  const text = `revision ${number} by ${who} (${words(cause)}), ${many}${which}`;
  return { at: Date.parse(at), kind: 'configuration', operation: '', text };
}

function alert({ level, title, description, operation, started_at: from, ended_at: to, acknowledged_by: who }) {
  const end = to ? Date.parse(to) : null;
  const taken = who ? `; taken by ${who}` : '';
  const text = `${level}: ${title}. ${description}${taken}`;
  return { at: Date.parse(from), kind: 'alert', operation: operation ?? '', text, level, end };
}

/** What operators did, of which the tail no longer tells: who and what, without the reason. */
function audited({ at, who, method, path, status }) {
  const [, name, did] = /\/(?:circuit-breakers|operations)\/([^/]+)\/(reset|force|mode)$/.exec(path) ?? [];
  const brake = method === 'POST' && path.endsWith('/retries/pause');
  if (status >= 400 || (!did && !brake)) return [];
  const text = `${brake ? 'brake' : did} by ${who}`;
  return [{ at: Date.parse(at), kind: 'operator', operation: name ? decodeURIComponent(name) : '', text }];
}
