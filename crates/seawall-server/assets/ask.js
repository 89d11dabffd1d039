// A change that is asked about first: a button, a question with its fields, and what came of it, all in
// one place, so that nobody changes the wrong thing by a slip of the hand or of the list.

import { el, put } from './dom.js';

/** `button` opens `panel`. `label` names the button for screen readers; `question()` is asked when it is
 *  opened; `fields` are elements of the form; `act()` makes the change and ends with `{ done, text }`. */
export function asked({ word, label, firm, question, fields = [], act, opened = () => {} }) {
  const button = el('button', { type: 'button', 'aria-label': label, 'aria-expanded': 'false' }, word);
  const yes = el('button', { type: 'submit', class: 'firm' }, firm);
  const no = el('button', { type: 'button' }, 'Cancel');
  const text = el('p');
  const buttons = el('div', { class: 'actions' }, yes, no);
  const ask = el('form', { class: 'ask', 'aria-label': label, novalidate: '' }, text, ...fields, buttons);
  const outcome = el('p', { class: 'outcome' });
  // Always in the tree: a live region that appears with its text is not read out.
  const panel = el('div', { class: 'asked' }, ask, el('div', { role: 'status' }, outcome));
  ask.hidden = true;

  const show = (kind, said) => {
    outcome.className = `outcome ${kind}`;
    put(outcome, said);
  };
  const close = () => {
    ask.hidden = true;
    button.setAttribute('aria-expanded', 'false');
    button.focus();
  };
  const open = () => {
    show('', '');
    put(text, question());
    ask.hidden = false;
    button.setAttribute('aria-expanded', 'true');
    opened();
    // The harmless choice has the focus: a second Enter must not confirm. Where something is to be
    // filled in, that comes first.
    (ask.querySelector('input:not([type="radio"]), select, textarea') ?? no).focus();
  };

  button.addEventListener('click', () => (ask.hidden ? open() : close()));
  no.addEventListener('click', close);
  ask.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    close();
  });
  ask.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (yes.disabled) return;
    yes.disabled = true;
    put(yes, `${firm} …`);
    const { done, text: said, stay } = await act();
    show(done ? 'done' : 'failed', said);
    put(yes, firm);
    yes.disabled = false;
    if (!stay) close();
  });
  return { button, panel, show, open, close, isOpen: () => !ask.hidden };
}

/** A labelled field: `labelled('Reason', input, 'who comes later reads it')`. */
export function labelled(label, input, hint = '') {
  const parts = hint ? [el('span', { class: 'hint' }, hint)] : [];
  return el('label', { class: 'field' }, el('span', {}, label), input, ...parts);
}

/** A choice of few, as a switch that arrows move: `{ node, value, choose(value) }`. */
export function choice(name, legend, options, changed = () => {}) {
  const inputs = options.map(([value]) => el('input', { type: 'radio', name, value }));
  const labels = options.map(([, word], n) => el('label', {}, inputs[n], el('span', {}, word)));
  const node = el('fieldset', { class: 'switch' }, el('legend', {}, legend), ...labels);
  const choose = (value) => inputs.forEach((input) => (input.checked = input.value === value));
  node.addEventListener('change', ({ target }) => changed(target.value));
  return { node, choose, value: () => inputs.find((input) => input.checked)?.value ?? '' };
}
