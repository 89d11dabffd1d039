// Every value in force with where it comes from, found by words of its path, value or origin.

import { byId, el, put } from './dom.js';
import { leaves } from './leaves.js';
import { shown } from './policies.js';

const AT_FIRST = 200;

export class Values {
  #rows = [];
  #most = AT_FIRST;

  constructor() {
    byId('values-filter').addEventListener('input', () => {
      this.#most = AT_FIRST;
      this.#draw();
    });
    byId('values-more').addEventListener('click', () => {
      this.#most += AT_FIRST;
      this.#draw();
    });
  }

  take({ document, sources }) {
    this.#rows = leaves(document).map(([path, value]) => [path, shown(value), sources[path] ?? 'default']);
    this.#draw();
  }

  #draw() {
    const wanted = byId('values-filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.#rows.filter((cells) => {
      const text = cells.join(' ').toLowerCase();
      return wanted.every((word) => text.includes(word));
    });
    const head = ['Path', 'Value', 'From'].map((text) => el('th', { scope: 'col' }, text));
    const rows = found.slice(0, this.#most).map(([path, value, origin]) =>
      el('tr', {}, el('th', { scope: 'row' }, path), el('td', {}, value), el('td', {}, origin)),
    );
    const caption = el('caption', { class: 'unseen' }, 'Values in force, with where they come from');
    const table = el('table', { class: 'values' });
    table.append(caption, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...rows));
    byId('values').replaceChildren(table);
    put(byId('values-count'), `${found.length} of ${this.#rows.length} values`);
    byId('values-more').hidden = found.length <= this.#most;
  }
}
