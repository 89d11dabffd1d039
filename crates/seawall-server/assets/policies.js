// The policies of one operation in the order in which a call meets them, each value with where it comes
// from, and the mode that each of them is in.

import { asked, choice } from './ask.js';
import { el } from './dom.js';
import { words } from './format.js';
import { operationPath, send } from './send.js';

const MODES = [
  ['enforce', 'Enforce'],
  ['shadow', 'Shadow'],
  ['off', 'Off'],
];
const EFFECTS = {
  enforce: 'It acts.',
  shadow: 'It only counts what it would have done.',
  off: 'It rests: calls pass it by.',
};

export class Policies {
  #list;
  #changed;
  #drawn = '';
  #asking = [];

  /** `changed()` is called after a mode was set. */
  constructor(list, changed) {
    this.#list = list;
    this.#changed = changed;
  }

  /** Shows nothing, until the next answer. */
  clear() {
    this.#drawn = '';
    this.#asking = [];
    this.#list.replaceChildren();
  }

  /** Takes the API's answer. What stands there is left alone while it is the same, or in use. */
  draw({ name, policies }) {
    const text = JSON.stringify([name, policies]);
    if (text === this.#drawn || this.#asking.some((control) => control.isOpen())) return;
    this.#drawn = text;
    this.#asking = [];
    const rows = policies.map((policy) => this.#row(name, policy, policies));
    this.#list.replaceChildren(...rows);
    if (rows.length === 0) this.#list.append(el('li', { class: 'empty' }, 'No policies: calls pass as they are.'));
  }

  #row(name, { position, type, mode, values }, all) {
    const control = this.#control(name, type, mode, all.filter((one) => one.type === type).length);
    const head = el(
      'div',
      { class: 'head' },
      el('h4', {}, `${position + 1}. ${words(type)}`),
      el('p', { class: `mode ${mode}` }, mode),
      control.button,
    );
    return el('li', { class: 'policy', 'data-mode': mode }, head, control.panel, valueTable(type, values));
  }

  #control(name, type, mode, many) {
    const effect = el('p', { class: 'hint', 'aria-live': 'polite' });
    const follow = (value) => (effect.textContent = EFFECTS[value]);
    const modes = choice(`mode-${name}-${this.#asking.length}`, 'Mode', MODES, follow);
    const which = many > 1 ? `all ${many} policies of type ${words(type)}` : words(type);
    const control = asked({
      word: 'Change mode',
      label: `Change mode of ${words(type)}`,
      firm: 'Set mode',
      question: () => `Which mode shall ${which} of ${name} be in, until its configuration changes?`,
      fields: [modes.node, effect],
      opened: () => {
        modes.choose(mode);
        follow(mode);
      },
      act: async () => {
        const body = { policy: type, mode: modes.value() };
        const { ok, text } = await send('PUT', operationPath(name, '/mode'), body);
        if (!ok) return { done: false, text: `Nothing changed: ${text}` };
        // After the question is closed, or it would keep the list as it is.
        setTimeout(this.#changed);
        return { done: true, text: `${words(type)} is in mode ${body.mode}.` };
      },
    });
    this.#asking.push(control);
    return control;
  }
}

function valueTable(type, values) {
  if (values.length === 0) return el('p', { class: 'hint' }, 'It has no values.');
  const head = ['Value', 'Is', 'From'].map((text) => el('th', { scope: 'col' }, text));
  const rows = values.map(({ field, value, origin }) =>
    el('tr', {}, el('th', { scope: 'row' }, field), el('td', {}, shown(value)), el('td', {}, origin)),
  );
  const caption = el('caption', { class: 'unseen' }, `Values of ${words(type)}`);
  const table = el('table', { class: 'values' }, caption, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...rows));
  return el('div', { class: 'wide' }, table);
}

/** A value as the file would have it. */
export function shown(value) {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
