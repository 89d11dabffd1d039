// What can be done with dead letters: replay, release, export, delete, purge. Each is asked about first, and says
// how many letters it is about.

import { asked, labelled } from './ask.js';
import { byId, el, put } from './dom.js';
import { replayControl } from './replay.js';
import { download, search, send } from './send.js';

export class LetterActions {
  #target;
  #done;
  #controls;
  #export = el('button', { type: 'button' }, 'Export');
  #said = el('p', { class: 'outcome', role: 'status' });

  /** `target()` is what they are about: `{ ids, query, counted, words, example }`; `done()` is called after a change. */
  constructor(target, done) {
    this.#target = target;
    this.#done = done;
    const chosen = (word, label, question, act) =>
      asked({ word, label, firm: word.replace(' …', ''), question, act });
    this.#controls = {
      replay: replayControl(target, done),
      release: chosen('Release …', 'Release the chosen letters from quarantine', () => `Let ${target().words} be replayed again?`, () => this.#change('/dlq/release', 'released')),
      delete: chosen('Delete …', 'Delete the chosen letters', () => `Delete ${target().words}, for good?`, () => this.#change('/dlq/delete', 'deleted')),
      purge: this.#purge(),
    };
    this.#export.addEventListener('click', () => this.#carry());
    const controls = Object.values(this.#controls);
    byId('letters-actions').replaceChildren(...controls.map(({ button }) => button), this.#export, this.#said);
    byId('letters-panels').replaceChildren(...controls.map(({ panel }) => panel));
  }

  /** Closes what is open: it was asked about other letters. */
  close() {
    for (const control of Object.values(this.#controls)) {
      if (control.isOpen()) control.close();
      control.show('', '');
    }
    put(this.#said, '');
  }

  follow({ ids, counted }) {
    const [some, many] = [ids.length > 0, counted > 0];
    const { replay, release, delete: remove, purge } = this.#controls;
    put(replay.button, some ? `Replay ${ids.length} chosen …` : 'Replay all of these …');
    put(purge.button, 'Purge all of these …');
    put(this.#export, some ? `Export ${ids.length} chosen` : 'Export all of these');
    replay.button.disabled = !some && !many;
    this.#export.disabled = !some && !many;
    release.button.disabled = !some;
    remove.button.disabled = !some;
    purge.button.disabled = some || !many;
  }

  async #change(path, word) {
    const { ok, data, text } = await send('POST', path, { ids: this.#target().ids });
    if (!ok) return { done: false, stay: true, text: `Not ${word}: ${text}` };
    setTimeout(this.#done);
    return { done: true, text: data.letters === 1 ? `1 letter is ${word}.` : `${data.letters} letters are ${word}.` };
  }

  #purge() {
    const typed = el('input', { type: 'text', inputmode: 'numeric', autocomplete: 'off', 'data-field': 'count' });
    return asked({
      word: 'Purge all of these …',
      label: 'Purge all letters that are meant',
      firm: 'Purge',
      question: () => `Delete ${this.#target().words}, for good? Type how many there are.`,
      fields: [labelled('Number of letters', typed)],
      opened: () => (typed.value = ''),
      act: async () => {
        const expect = typed.value.trim();
        if (!/^[1-9]\d*$/.test(expect)) return { done: false, stay: true, text: 'Nothing is deleted: type the number of letters.' };
        const { ok, data, text } = await send('POST', '/dlq/purge', { query: this.#target().query, expect: Number(expect) });
        if (!ok) return { done: false, stay: true, text: `Nothing is deleted: ${text}` };
        setTimeout(this.#done);
        return { done: true, text: data.letters === 1 ? '1 letter is deleted.' : `${data.letters} letters are deleted.` };
      },
    });
  }

  async #carry() {
    const { ids, query } = this.#target();
    put(this.#said, 'Exporting …');
    const answer = ids.length > 0 ? await download('/dlq/export', { ids }) : await download(`/dlq/export${search(query)}`);
    this.#said.className = `outcome ${answer.ok ? 'done' : 'failed'}`;
    put(this.#said, answer.ok ? 'Exported, as dead-letters.ndjson.' : `Not exported: ${answer.text}`);
    if (!answer.ok) return;
    const address = URL.createObjectURL(answer.blob);
    el('a', { href: address, download: 'dead-letters.ndjson' }).click();
    // The browser has begun to read it by then.
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}
