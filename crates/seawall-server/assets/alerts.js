// Alerts that last, above everything else: what, since when, and who takes care of it.

import { arrange, el, icon, put, putOrHide, set } from './dom.js';
import { clock, duration } from './format.js';
import { operationAddress } from './route.js';
import { send } from './send.js';

// More than these are told in number; the timeline lists them all.
const MOST = 12;

export class Alerts {
  #list;
  #title;
  #rows = new Map();

  /** The list, and its heading. */
  constructor(list, title) {
    [this.#list, this.#title] = [list, title];
  }

  /** `at` is the server's clock. */
  draw(alerts, at) {
    const shown = alerts.slice(0, MOST);
    const known = new Set(shown.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (known.has(id)) continue;
      row.node.remove();
      this.#rows.delete(id);
    }
    for (const alert of shown) {
      if (!this.#rows.has(alert.id)) this.#rows.set(alert.id, new Row(alert));
      this.#rows.get(alert.id).draw(alert, at);
    }
    arrange(this.#list, shown.map(({ id }) => this.#rows.get(id).node));
    this.#title.hidden = shown.length === 0;
    put(this.#title, alerts.length > MOST ? `Alerts: ${MOST} of ${alerts.length}` : 'Alerts');
  }
}

class Row {
  #level = el('b', { class: 'level' });
  #text = el('span');
  #since = el('span', { class: 'since' });
  #taken = el('span', { class: 'taken' });
  #button;
  #fault = el('span', { class: 'fault', role: 'status' });

  constructor({ id, title, operation }) {
    const about = operation ? `${title} of ${operation}` : title;
    this.#button = el('button', { type: 'button', 'aria-label': `Acknowledge: ${about}` }, 'Acknowledge');
    this.#button.addEventListener('click', () => this.#acknowledge(id));
    const name = operation
      ? el('a', { href: operationAddress(operation) }, operation)
      : el('span', {}, 'the server');
    const what = el('p', {}, this.#level, ' ', name, ': ', el('span', {}, title), ' – ', this.#text);
    const when = el('p', { class: 'when' }, this.#since, ' ', this.#taken, this.#fault);
    this.node = el('li', { class: 'alert' }, icon('alert'), el('div', {}, what, when), this.#button);
  }

  draw(alert, at) {
    const from = Date.parse(alert.started_at);
    set(this.node, 'data-level', alert.level);
    put(this.#level, alert.level);
    put(this.#text, alert.description);
    put(this.#since, `for ${duration(at - from)}, since ${clock(from)}`);
    const { acknowledged_by: who, acknowledged_at: when } = alert;
    putOrHide(this.#taken, who ? `· taken by ${who} at ${clock(Date.parse(when))}` : '');
    this.node.classList.toggle('acknowledged', Boolean(who));
    this.#button.hidden = Boolean(who);
  }

  async #acknowledge(id) {
    this.#button.disabled = true;
    const { ok, text } = await send('POST', `/monitoring/alerts/${id}/acknowledge`);
    put(this.#fault, ok ? '' : ` Not acknowledged: ${text}`);
    this.#button.disabled = false;
  }
}
