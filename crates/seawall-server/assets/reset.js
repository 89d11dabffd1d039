// The reset of one circuit: a button, a question, and what came of it, all in the card, so that nobody
// resets the wrong one by a slip of the hand or of the list.

import { complaint, request } from './api.js';
import { el, put } from './dom.js';
import { words } from './format.js';
import { askForKey } from './key.js';

const PATIENCE = 10_000;

/** `button` opens `panel`; `offer(circuit)` follows the circuit's state. */
export function resetControl(name) {
  const button = el('button', { type: 'button', 'aria-label': `Reset the circuit of ${name}` }, 'Reset');
  const yes = el('button', { type: 'button', class: 'firm' }, 'Reset now');
  const no = el('button', { type: 'button' }, 'Cancel');
  const question = el('p');
  const ask = el('div', { class: 'ask', role: 'group', 'aria-label': `Reset ${name}?` }, question, yes, no);
  const outcome = el('p', { class: 'outcome' });
  // Always in the tree: a live region that appears with its text is not read out.
  const panel = el('div', { class: 'reset' }, ask, el('div', { role: 'status' }, outcome));
  ask.hidden = true;

  const close = () => {
    ask.hidden = true;
    button.disabled = false;
    button.focus();
  };
  const show = (kind, text) => {
    outcome.className = `outcome ${kind}`;
    put(outcome, text);
  };

  button.addEventListener('click', () => {
    show('', '');
    put(question, `Close the circuit of ${name}? Calls flow again at once.`);
    button.disabled = true;
    ask.hidden = false;
    // The harmless choice has the focus: a second Enter must not confirm.
    no.focus();
  });
  no.addEventListener('click', close);
  ask.addEventListener('keydown', ({ key }) => key === 'Escape' && close());
  yes.addEventListener('click', async () => {
    yes.disabled = true;
    put(yes, 'Resetting …');
    const { done, text } = await reset(name);
    show(done ? 'done' : 'failed', text);
    put(yes, 'Reset now');
    yes.disabled = false;
    close();
  });

  const offer = (circuit) => {
    button.hidden = !circuit;
    // Where it helps it stands out; elsewhere it is there, quietly.
    button.classList.toggle('quiet', !circuit || circuit.state === 'closed');
    if (!circuit) ask.hidden = true;
  };
  return { button, panel, offer };
}

async function reset(name) {
  const path = `/internal/resilience/circuit-breakers/${encodeURIComponent(name)}/reset`;
  try {
    const options = { method: 'POST', signal: AbortSignal.timeout(PATIENCE) };
    let response = await request(path, options);
    while (response.status === 401) {
      if (!(await askForKey())) return { done: false, text: 'Not reset: an API key is needed.' };
      response = await request(path, { method: 'POST', signal: AbortSignal.timeout(PATIENCE) });
    }
    if (!response.ok) return { done: false, text: `Not reset: ${await complaint(response)}` };
    const { old_state: from, new_state: to, message } = await response.json();
    return { done: true, text: `Reset: ${words(from)} → ${words(to)}. ${message}` };
  } catch (error) {
    // The request may have arrived; only the card's state tells.
    const late = error.name === 'TimeoutError';
    return { done: false, text: late ? 'No answer in 10 s; watch the state.' : 'The server cannot be reached.' };
  }
}
