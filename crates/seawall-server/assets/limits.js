// The rate limits' page: the limit of each operation and tier, what is left of it, whether it is shared with other
// instances, the keys that are nearest to their limit, and the reset of one.

import { asked, labelled } from './ask.js';
import { byId, el, put, table, wide } from './dom.js';
import { count, duration, UNKNOWN } from './format.js';
import { get, limitPath, send } from './send.js';

const LOOK_EVERY = 5000;
/** Keys that are shown; those with the least left. */
const NEAR = 25;

export class LimitsPage {
  #isShown = false;
  #lookedAt = 0;
  #drawn = '';
  /** The operations whose limit is shared with other instances. */
  #shared = new Set();
  #panel = byId('limits-panel');

  show(isShown) {
    if (isShown === this.#isShown) return;
    this.#isShown = isShown;
    this.#drawn = '';
    if (isShown) this.#look();
  }

  /** Called with each snapshot. */
  draw() {
    if (this.#isShown && Date.now() - this.#lookedAt > LOOK_EVERY) this.#look();
  }

  async #look() {
    this.#lookedAt = Date.now();
    const { ok, data, text } = await get(`/rate-limits?near=${NEAR}`);
    put(byId('limits-fault'), ok ? degraded(data.rate_limits) : text);
    if (!ok || !this.#isShown) return;
    const drawn = JSON.stringify(data);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const isShared = ({ limiters }) => limiters.some(({ config }) => config.shared);
    this.#shared = new Set(data.rate_limits.filter(isShared).map(({ name }) => name));
    const focused = document.activeElement?.closest('#limits button')?.getAttribute('aria-label');
    byId('limits-empty').hidden = data.rate_limits.length > 0;
    const near = data.near ?? [];
    byId('limits-keys').replaceChildren(near.length > 0 ? this.#keys(near) : el('p', { class: 'empty' }, 'No key has used any of its limit.'));
    byId('limits-list').replaceChildren(...(data.rate_limits.length > 0 ? [this.#operations(data.rate_limits)] : []));
    if (focused) [...byId('limits').querySelectorAll('button')].find((one) => one.getAttribute('aria-label') === focused)?.focus();
  }

  #keys(near) {
    const rows = near.map(({ operation, key, quota }) => [
      el('th', { scope: 'row' }, key),
      operation,
      left(quota),
      duration(quota.reset_after * 1000),
      this.#button(`Reset key ${key} of ${operation}`, () => this.#ask(operation, { id: key }, `key ${key} of ${operation}`)),
    ]);
    const label = 'Keys with the least left of their limit';
    return wide(label, table(label, ['Key', 'Operation', 'Left', 'Whole again in', 'Reset'], rows));
  }

  #operations(list) {
    const rows = list.flatMap((one) => one.limiters.map((limiter, n) => this.#row(one, limiter, n)));
    const heads = ['Operation', 'Tier', 'Limit', 'Counts by', 'Keys', 'Left', 'Refused', 'Counted', 'Reset'];
    return wide('Limits', table('Rate limits by operation', heads, rows));
  }

  #row(one, { mode, config, keys, quota, degraded: isDegraded }, n) {
    const [, name, tier] = /^(.*?)(?: \[([^[\]]*)\])?$/s.exec(one.name);
    const counted = config.shared ? (isDegraded ? `here, ${config.shared.degraded}: the store does not answer` : 'for all instances') : 'here';
    const reset = one.counts_by === 'call' || n > 0 ? '' : this.#button(`Reset a limit of ${one.name}`, () => this.#ask(one.name, one.counts_by === 'all' ? {} : null, one.name, one.counts_by));
    return [
      el('th', { scope: 'row' }, name),
      tier ?? '',
      `${limitWords(config)}${mode === 'enforce' ? '' : ` (${mode})`}`,
      one.counts_by,
      config.keyed ? count(keys) : UNKNOWN,
      quota ? left(quota) : 'by key',
      n > 0 ? '' : count(one.refused),
      el('td', isDegraded ? { class: 'fault' } : {}, counted),
      reset,
    ];
  }

  #button(label, act) {
    const button = el('button', { type: 'button', 'aria-label': label }, 'Reset …');
    button.addEventListener('click', act);
    return button;
  }

  /** Asks about a reset. `whose` is what the API is told; null asks for the key. */
  #ask(name, whose, words, countsBy = '') {
    const key = el('input', { type: 'text', maxlength: '8192', autocomplete: 'off', spellcheck: 'false', 'data-field': 'key' });
    const quota = el('button', { type: 'button' }, 'Show what is left');
    const said = el('p', { class: 'hint', role: 'status' });
    const asks = () => whose ?? { key: key.value };
    quota.addEventListener('click', async () => {
      const { ok, data, text } = await send('POST', limitPath(name, '/quota'), asks());
      put(said, ok ? `${data.limiters.map(({ quota: one }) => left(one)).join('; ')} left.` : text);
    });
    const control = asked({
      word: 'Reset …',
      label: `Reset ${words}`,
      firm: 'Reset',
      question: () => {
        const asks = whose === null ? `Whose limit of ${name} shall be whole again?` : `Shall the limit of ${words} be whole again?`;
        return this.#shared.has(name) ? `${asks} Only what this instance counts is forgotten; the store of the shared limit goes on counting.` : asks;
      },
      fields: [...(whose === null ? [labelled(`Key: ${countsBy}`, key)] : []), el('div', { class: 'actions' }, quota), said],
      act: async () => {
        const { ok, text } = await send('POST', limitPath(name, '/reset'), asks());
        if (!ok) return { done: false, stay: true, text: `Not reset: ${text}` };
        setTimeout(() => this.#look());
        return { done: true, text: `The limit of ${words} is whole again.` };
      },
    });
    this.#panel.replaceChildren(control.panel);
    this.#panel.scrollIntoView({ block: 'nearest' });
    control.open();
  }
}

function left({ remaining, limit }) {
  return `${remaining} of ${limit}`;
}

/** Which limits are decided without their store, in a sentence; '' where none is. */
function degraded(list) {
  const lost = list.filter(({ limiters }) => limiters.some((limiter) => limiter.degraded)).map(({ name }) => name);
  return lost.length === 0 ? '' : `The store of shared limits does not answer; each instance decides by itself: ${lost.join(', ')}.`;
}

/** "100 in 1 s, 20 more after a quiet time; 1000 in 1 min". */
function limitWords({ rate, per, burst, also = [] }) {
  const one = (limit) => `${limit.rate} in ${limit.per}${limit.burst > 0 ? `, ${limit.burst} more after a quiet time` : ''}`;
  return [{ rate, per, burst }, ...also].map(one).join('; ');
}
