// The revisions of the configuration, newest first: who, when, what it changed, and the way back to it.

import { asked } from './ask.js';
import { differences, findings, mistakes, outcome } from './diff.js';
import { byId, el } from './dom.js';
import { clock, words } from './format.js';
import { get, send } from './send.js';

const PAGE = 20;

export class History {
  #list = byId('revisions');
  #next = null;
  #current = 0;
  #rolledBack;

  /** `rolledBack()` is called after a rollback. */
  constructor(rolledBack) {
    this.#rolledBack = rolledBack;
    byId('revisions-more').addEventListener('click', () => this.#page(this.#next));
  }

  /** Shows the newest; what went wrong is the answer, or ''. */
  async load() {
    // A question that is open here would be lost.
    if (this.#list.querySelector('.ask:not([hidden])')) return '';
    return this.#page(null);
  }

  async #page(before) {
    const from = before === null ? '' : `&before=${before}`;
    const { ok, data, text } = await get(`/config/history?limit=${PAGE}${from}`);
    if (!ok) return text;
    this.#current = data.current;
    const rows = data.revisions.map((revision) => this.#row(revision));
    if (before === null) this.#list.replaceChildren(...rows);
    else this.#list.append(...rows);
    this.#next = data.next;
    byId('revisions-more').hidden = data.next === null;
    return '';
  }

  #row({ revision, at, who, cause, diff }) {
    const time = el('time', { datetime: at }, clock(Date.parse(at)));
    const head = el('div', { class: 'head' }, el('h3', {}, `Revision ${revision}`));
    if (revision === this.#current) head.append(el('p', { class: 'mode enforce' }, 'in force'));
    head.append(el('p', { class: 'hint' }, time, ` by ${who} · ${words(cause)}`));
    const row = el('li', { class: 'revision', 'data-revision': revision }, head);
    if (diff.length > 0) {
      const many = diff.length === 1 ? '1 value changed' : `${diff.length} values changed`;
      row.append(el('details', {}, el('summary', {}, many), differences(diff, `What revision ${revision} changed`)));
    } else {
      row.append(el('p', { class: 'hint' }, cause === 'start' ? 'As the server started with it.' : 'No value changed.'));
    }
    if (revision !== this.#current) this.#wayBack(row, head, revision);
    return row;
  }

  #wayBack(row, head, revision) {
    const shows = el('div', { role: 'status' });
    let weighed = null;
    const control = asked({
      word: 'Roll back',
      label: `Roll back to revision ${revision}`,
      firm: 'Roll back now',
      question: () => `Put revision ${revision} in force again? It becomes a new revision.`,
      fields: [shows],
      opened: async () => {
        weighed = null;
        shows.replaceChildren(el('p', {}, 'Asking what would change …'));
        const answer = await send('POST', '/config/rollback', { revision, dry_run: true });
        weighed = answer.ok ? this.#current : null;
        const parts = answer.ok ? outcome(answer.data, 'What would change') : [findings(mistakes(answer), 'errors')];
        shows.replaceChildren(...parts);
      },
      act: async () => {
        if (weighed === null) return { done: false, stay: true, text: 'Nothing was changed.' };
        const { ok, data, text } = await send('POST', '/config/rollback', { revision });
        if (!ok) return { done: false, text: `Nothing was changed: ${text}` };
        setTimeout(this.#rolledBack);
        return { done: true, text: `Revision ${data.revision} is in force.` };
      },
    });
    head.append(control.button);
    row.append(control.panel);
  }
}
