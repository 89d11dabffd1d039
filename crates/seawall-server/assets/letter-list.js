// Letters of one query, a page at a time, the newest first, with a box to choose each.

import { byId, el, put, table, wide } from './dom.js';
import { clock, words } from './format.js';
import { showLetter } from './letter.js';
import { get, search } from './send.js';

const PAGE = 50;

export class LetterList {
  #node = byId('letters-list');
  #more = byId('letters-more');
  #letters = [];
  #chosen = new Set();
  #query = {};
  #next = null;
  #changed;

  /** `changed()` is called when other letters are chosen. */
  constructor(changed) {
    this.#changed = changed;
    this.#more.addEventListener('click', async () => put(byId('letters-fault'), await this.#page(this.#next)));
  }

  /** The identifiers of the letters that are chosen. */
  chosen() {
    return [...this.#chosen];
  }

  isEmpty() {
    return this.#letters.length === 0;
  }

  /** The identifier of the newest letter in the list. */
  first() {
    return this.#letters[0]?.id;
  }

  clear() {
    this.#letters = [];
    this.#chosen.clear();
    this.#next = null;
    this.#draw();
  }

  /** Shows the first page; what went wrong is the answer, or ''. */
  load(query) {
    this.#query = query;
    return this.#page(null);
  }

  async #page(after) {
    const query = this.#query;
    const { ok, data, text } = await get(`/dlq/letters${search({ ...query, limit: PAGE, ...(after ? { after } : {}) })}`);
    if (query !== this.#query) return '';
    if (!ok) return text;
    this.#letters = after ? [...this.#letters, ...data.letters] : data.letters;
    this.#next = data.next ?? null;
    this.#draw();
    return '';
  }

  #draw() {
    this.#more.hidden = this.#next === null;
    const heads = [this.#all(), 'Letter', 'Failed', 'Operation', 'Error', 'State', 'Replays', 'Tenant'];
    const rows = this.#letters.map((letter) => this.#row(letter));
    this.#node.replaceChildren(...(rows.length > 0 ? [wide('Letters', table('Letters, the newest first', heads, rows))] : []));
    this.#changed();
  }

  #all() {
    const every = this.#letters.length > 0 && this.#letters.every(({ id }) => this.#chosen.has(id));
    const box = el('input', { type: 'checkbox', 'aria-label': 'Choose all letters that are shown' });
    box.checked = every;
    box.addEventListener('change', () => {
      for (const { id } of this.#letters) this.#choose(id, box.checked);
      for (const one of this.#node.querySelectorAll('tbody input')) one.checked = box.checked;
      this.#changed();
    });
    return box;
  }

  #choose(id, is) {
    if (is) this.#chosen.add(id);
    else this.#chosen.delete(id);
  }

  #row({ id, operation, error_class: kind, error, state, replays, tenant, last_failure: last }) {
    const box = el('input', { type: 'checkbox', 'aria-label': `Choose letter ${id}` });
    box.checked = this.#chosen.has(id);
    box.addEventListener('change', () => {
      this.#choose(id, box.checked);
      this.#changed();
    });
    const open = el('button', { type: 'button', class: 'quiet', 'aria-label': `Show letter ${id}` }, id.slice(-12));
    open.addEventListener('click', () => showLetter(id));
    return [
      box,
      el('th', { scope: 'row' }, open),
      el('time', { datetime: last }, clock(Date.parse(last))),
      operation,
      el('td', {}, el('b', {}, kind), `: ${error}`),
      words(state),
      String(replays),
      tenant ?? '',
    ];
  }
}
