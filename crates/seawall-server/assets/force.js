// Forcing a circuit's state, with a reason that whoever comes later reads, and an end.

import { asked, choice, labelled } from './ask.js';
import { el } from './dom.js';
import { duration, words } from './format.js';
import { circuitPath, send } from './send.js';

const STATES = [
  ['open', 'Open'],
  ['closed', 'Closed'],
  ['disabled', 'Disabled'],
  ['auto', 'Auto'],
];
const EFFECTS = {
  open: 'Every call is refused, and no probe runs.',
  closed: 'Every call passes; failures are counted, and open nothing.',
  disabled: 'Every call passes, and nothing is counted.',
  auto: 'The circuit decides again; it begins closed.',
};
const EXPIRIES = [
  ['300', '5 minutes'],
  ['900', '15 minutes'],
  ['3600', '1 hour'],
  ['14400', '4 hours'],
  ['86400', '1 day'],
  ['', 'until somebody ends it'],
];

/** `button` opens `panel`; `offer(circuit)` follows the circuit's state. `done` is called after a change. */
export function forceControl(name, done = () => {}) {
  const reason = el('input', { type: 'text', maxlength: '200', autocomplete: 'off' });
  const expiry = el('select', {}, ...EXPIRIES.map(([value, word]) => el('option', { value }, word)));
  const effect = el('p', { class: 'hint', 'aria-live': 'polite' });
  const detail = [labelled('Reason', reason, 'Who comes later reads it.'), labelled('Ends after', expiry)];
  const follow = (state) => {
    effect.textContent = EFFECTS[state];
    for (const field of detail) field.hidden = state === 'auto';
  };
  const state = choice(`force-${name}`, 'State', STATES, follow);
  const control = asked({
    word: 'Force …',
    label: `Force the circuit of ${name}`,
    firm: 'Force',
    question: () => `Which state shall the circuit of ${name} be held in?`,
    fields: [state.node, effect, ...detail],
    opened: () => {
      state.choose('open');
      follow('open');
      expiry.value = '900';
    },
    act: async () => {
      const given = reason.value.trim();
      if (state.value() !== 'auto' && !given) {
        reason.focus();
        return { done: false, stay: true, text: 'Not forced: say why, in a few words.' };
      }
      const answer = await force(name, state.value(), given, expiry.value);
      if (answer.done) reason.value = '';
      done();
      return answer;
    },
  });
  control.offer = (circuit) => (control.button.hidden = !circuit);
  return control;
}

async function force(name, state, reason, seconds) {
  const body = { state };
  if (state !== 'auto') body.reason = reason;
  if (state !== 'auto' && seconds) body.seconds = Number(seconds);
  const { ok, data, text } = await send('POST', circuitPath(name, '/force'), body);
  if (!ok) return { done: false, stay: true, text: `Not forced: ${text}` };
  const end = body.seconds ? ` It ends by itself after ${duration(body.seconds * 1000)}.` : '';
  return { done: true, text: `${words(data.old_state)} → ${words(data.new_state)}.${end}` };
}
