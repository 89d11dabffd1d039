// A change in the making: the form and the JSON say the same, it is checked before it is applied, and what
// it would change is shown before it does. It is made for one revision; if another is in force, nothing is
// applied by mistake.

import { byId, el, put } from './dom.js';
import { findings, mistakes, outcome } from './diff.js';
import { Fields } from './fields.js';
import { having } from './leaves.js';
import { send } from './send.js';

export class Draft {
  #text = byId('draft');
  #verdict = byId('verdict');
  #fields = new Fields(byId('change-form'), (keys, value) => this.#edited(keys, value));
  /** The configuration that the draft was made for. */
  #base = null;
  /** The text as it was loaded, and as it was found right. */
  #loaded = '';
  #checked = null;
  #reload;

  /** `reload()` fetches the configuration in force and ends with it. */
  constructor(reload) {
    this.#reload = reload;
    this.#text.addEventListener('input', () => this.#typed());
    byId('check').addEventListener('click', () => this.#check());
    byId('apply').addEventListener('click', () => this.#apply());
    byId('discard').addEventListener('click', () => this.#begin(this.#base));
  }

  /** Takes the configuration in force. A draft that somebody works on is kept, and said to be outdated. */
  take(config) {
    const first = this.#base === null;
    if (first || (!this.#isTouched() && config.revision !== this.#base.revision)) this.#begin(config);
    else this.#outdated(config.revision);
    if (first) this.#fields.prepare().then(() => this.#show());
  }

  #isTouched() {
    return this.#text.value !== this.#loaded;
  }

  #outdated(revision) {
    const notice = byId('outdated');
    notice.hidden = revision === this.#base.revision;
    if (notice.hidden) return;
    const use = el('button', { type: 'button' }, `Take revision ${revision} as the base`);
    use.addEventListener('click', () => this.#rebase());
    const said = `Revision ${revision} is in force by now; this draft was made for revision ${this.#base.revision}. `;
    notice.replaceChildren(said, use);
  }

  #begin(config) {
    this.#base = config;
    this.#text.value = JSON.stringify(config.api_change ?? {}, null, 2);
    this.#loaded = this.#text.value;
    this.#verdict.replaceChildren();
    this.#doubt();
    this.#outdated(config.revision);
    this.#show();
  }

  /** The draft as an object; undefined where the text is none. */
  #parsed() {
    try {
      const value = JSON.parse(this.#text.value || '{}');
      const right = value !== null && typeof value === 'object' && !Array.isArray(value);
      put(byId('draft-fault'), right ? '' : 'A change is a JSON object, such as { "preset": "production" }.');
      return right ? value : undefined;
    } catch (error) {
      put(byId('draft-fault'), `This is no JSON: ${error.message}`);
      return undefined;
    }
  }

  #show() {
    const draft = this.#parsed();
    this.#fields.disabled = draft === undefined;
    if (draft) this.#fields.draw(draft, this.#base);
  }

  #typed() {
    this.#doubt();
    this.#show();
  }

  #edited(keys, value) {
    const draft = this.#parsed();
    if (!draft) return;
    this.#text.value = JSON.stringify(having(draft, keys, value), null, 2);
    this.#doubt();
  }

  /** What was checked is not what stands there now. */
  #doubt() {
    this.#checked = null;
    byId('apply').disabled = true;
    this.#fields.mark([]);
  }

  async #check() {
    const configuration = this.#parsed();
    if (!configuration) return this.#text.focus();
    const text = this.#text.value;
    this.#say('', 'Checking …');
    const answer = await send('PUT', '/config', { configuration, dry_run: true });
    if (!answer.ok) return this.#refused(answer, 'Nothing was changed:');
    // Typed on meanwhile: what was found right is no longer there.
    if (text !== this.#text.value) return this.#say('', 'The draft has changed; check it again.');
    this.#fields.mark([]);
    this.#checked = configuration;
    byId('apply').disabled = false;
    const many = answer.data.diff.length;
    const said = many === 1 ? '1 value would change:' : `${many} values would change:`;
    this.#say('right', many === 0 ? 'It is right.' : `It is right. ${said}`, ...outcome(answer.data, 'What would change'));
  }

  async #apply() {
    if (!this.#checked) return;
    const body = { configuration: this.#checked, expected_revision: this.#base.revision };
    const answer = await send('PUT', '/config', body);
    if (answer.status === 409) return this.#conflict(answer);
    if (!answer.ok) return this.#refused(answer, 'Nothing was changed:');
    const { applied, revision } = answer.data;
    const config = await this.#reload();
    if (config) this.#begin(config);
    const said = applied ? `Revision ${revision} is in force.` : 'It was in force already.';
    this.#say('right', said, ...outcome(answer.data, `What revision ${revision} changed`));
  }

  #conflict({ text }) {
    const again = el('button', { type: 'button' }, 'Take it as the base, and check again');
    again.addEventListener('click', () => this.#rebase());
    const why = `Not applied: ${text}, and this draft was made for revision ${this.#base.revision}. Somebody else has changed the configuration; the history says what.`;
    this.#say('wrong', why, again);
    again.focus();
  }

  /** Keeps the draft, and sets it against what is in force now. */
  async #rebase() {
    const config = await this.#reload();
    if (!config) return;
    this.#base = config;
    this.#outdated(config.revision);
    this.#doubt();
    this.#show();
    await this.#check();
  }

  #refused(answer, said) {
    const found = mistakes(answer);
    this.#fields.mark(found);
    this.#say('wrong', said, findings(found, 'errors'));
  }

  #say(kind, text, ...parts) {
    this.#verdict.className = `verdict ${kind}`;
    this.#verdict.replaceChildren(el('p', {}, text), ...parts);
  }
}
