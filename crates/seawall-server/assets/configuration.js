// The configuration's page: a change, the history, and every value in force. It follows the revision in
// force while it is shown.

import { byId, el, put } from './dom.js';
import { Draft } from './draft.js';
import { History } from './history.js';
import { get } from './send.js';
import { Values } from './values.js';

const PARTS = ['change', 'history', 'values'];

export class ConfigurationPage {
  #part = '';
  #loaded = 0;
  #loading = null;
  #draft = new Draft(() => this.#anew());
  #history = new History(() => this.#anew());
  #values = new Values();

  /** Shows a part of it; '' when another view is shown. */
  show(part) {
    this.#part = part && !PARTS.includes(part) ? 'change' : part;
    if (!this.#part) return;
    for (const one of PARTS) byId(`part-${one}`).hidden = one !== this.#part;
    for (const link of byId('configuration').querySelectorAll('[data-part]')) {
      if (link.dataset.part === this.#part) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    this.#load();
  }

  /** Takes note of the revision in force. */
  follow(revision) {
    if (!this.#part || revision === this.#loaded || this.#loading) return;
    this.#load();
  }

  /** As it is after what was just done: what was asked before that does not count. */
  async #anew() {
    await this.#loading;
    return this.#load();
  }

  /** Ends with the configuration in force, or with null. */
  #load() {
    this.#loading ??= this.#fetch().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #fetch() {
    const [{ ok, data, text }, fault] = await Promise.all([get('/config'), this.#history.load()]);
    put(byId('configuration-fault'), ok ? fault : text);
    if (!ok) return null;
    this.#loaded = data.revision;
    const warnings = data.warnings.length;
    const about = `revision ${data.revision} · preset ${data.preset_name}`;
    byId('configuration-about').replaceChildren(about, ...(warnings > 0 ? [el('span', {}, ` · ${warnings} warnings`)] : []));
    this.#draft.take(data);
    this.#values.take(data);
    return data;
  }
}
