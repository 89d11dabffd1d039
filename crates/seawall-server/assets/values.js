// Every value in force with where it comes from, found by words of its path, value or origin.

import { byId, el, put, table } from './dom.js';
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
    const rows = found.slice(0, this.#most).map(([path, ...cells]) => [el('th', { scope: 'row' }, path), ...cells]);
    const label = 'Values in force, with where they come from';
    byId('values').replaceChildren(table(label, ['Path', 'Value', 'From'], rows, { class: 'values' }));
    put(byId('values-count'), `${found.length} of ${this.#rows.length} values`);
    byId('values-more').hidden = found.length <= this.#most;
  }
}
