// The fleet's page: the instances that serve together, as the one that shows this page sees them.

import { byId, el, put, table, wide } from './dom.js';
import { clock, count, duration, percent, rate, UNKNOWN, words } from './format.js';
import { get } from './send.js';

const LOOK_EVERY = 2000;

export class FleetPage {
  #isShown = false;
  #lookedAt = 0;
  #link = document.querySelector('#views [data-view="fleet"]');

  show(isShown) {
    if (isShown === this.#isShown) return;
    this.#isShown = isShown;
    if (isShown) this.#look();
  }

  /** Called with each snapshot. Before the first look it is not known whether there is a fleet at all. */
  draw() {
    const due = this.#isShown && Date.now() - this.#lookedAt > LOOK_EVERY;
    if (due || this.#lookedAt === 0) this.#look();
  }

  async #look() {
    this.#lookedAt = Date.now();
    const { ok, data, text } = await get('/fleet');
    put(byId('fleet-fault'), ok ? (data.degraded ?? '') : text);
    if (!ok) return;
    this.#link.hidden = data.kind === 'alone' && !this.#isShown;
    put(byId('fleet-about'), about(data));
    const heads = ['Instance', 'State', 'Revision', 'Version', 'Calls/s', 'Errors', 'Open circuits', 'Last heartbeat', 'Address', 'Notes'];
    byId('fleet-list').replaceChildren(wide('Instances', table('Instances of the fleet', heads, data.instances.map(row))));
  }
}

function about({ kind, revision, instances }) {
  const alive = instances.filter(({ state }) => state !== 'gone').length;
  const many = `${alive} of ${instances.length} alive`;
  if (kind === 'alone') return 'This instance is on its own.';
  if (kind === 'listed') return `${many} · a change is made on one alone`;
  if (revision === null) return many;
  return `${many} · revision ${revision.number} by ${revision.who} on ${revision.instance}, ${clock(Date.parse(revision.at))}`;
}

function row(one) {
  const isGone = one.state === 'gone';
  const now = (text) => (isGone ? UNKNOWN : text);
  const age = one.heartbeat_age_seconds;
  const notes = [
    one.is_asked ? 'shows this page' : '',
    one.differs ? 'differs' : '',
    one.changed_alone ? 'changed alone' : '',
    one.degraded.length > 0 ? `degraded: ${one.degraded.map(words).join(', ')}` : '',
    one.reason ?? '',
  ];
  return [
    el('th', { scope: 'row' }, one.name),
    one.state,
    one.fleet_revision === null ? UNKNOWN : count(one.fleet_revision),
    one.version || UNKNOWN,
    now(rate(one.calls_per_second)),
    now(percent(one.error_share)),
    now(count(one.open_circuits)),
    age === null ? 'never' : duration(age * 1000),
    one.address,
    notes.filter((note) => note !== '').join('; '),
  ];
}
