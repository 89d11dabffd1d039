// The reset of one circuit, asked about first.

import { asked } from './ask.js';
import { words } from './format.js';
import { circuitPath, send } from './send.js';

/** `button` opens `panel`; `offer(circuit)` follows the circuit's state. */
export function resetControl(name) {
  const control = asked({
    word: 'Reset',
    label: `Reset the circuit of ${name}`,
    firm: 'Reset now',
    question: () => `Close the circuit of ${name}? Calls flow again at once.`,
    act: () => reset(name),
  });
  const { button } = control;
  const offer = (circuit) => {
    button.hidden = !circuit;
    // Where it helps it stands out; elsewhere it is there, quietly.
    button.classList.toggle('quiet', !circuit || circuit.state === 'closed');
    if (!circuit && control.isOpen()) control.close();
  };
  return { ...control, offer };
}

async function reset(name) {
  const { ok, data, text } = await send('POST', circuitPath(name, '/reset'));
  if (!ok) return { done: false, text: `Not reset: ${text}` };
  return { done: true, text: `Reset: ${words(data.old_state)} → ${words(data.new_state)}. ${data.message}` };
}
