// The question before a replay: which letters, how fast, how many at once, and whether the circuits on their way let
// them through.

import { asked, labelled } from './ask.js';
import { el, put } from './dom.js';
import { names, words } from './format.js';
import { get, send } from './send.js';

/** `target()` is what it is about; `done()` is called when one has begun. */
export function replayControl(target, done) {
  const rate = el('input', { type: 'number', min: '0.001', max: '10000', step: 'any', 'data-field': 'rate' });
  const concurrency = el('input', { type: 'number', min: '1', max: '1000', step: '1', 'data-field': 'concurrency' });
  const dry = el('input', { type: 'checkbox', 'data-field': 'dry-run' });
  const circuits = el('p', { class: 'hint', role: 'status', 'data-field': 'circuits' });
  return asked({
    word: 'Replay all of these …',
    label: 'Replay letters',
    firm: 'Replay',
    question: () => `Replay ${target().words}? Only letters that wait are sent, the oldest first, as requests of clients are.`,
    fields: [
      labelled('Letters a second', rate, 'Above 0, at most 10,000.'),
      labelled('On their way at once', concurrency, '1 to 1,000.'),
      el('label', { class: 'check' }, dry, el('span', {}, 'Dry run: count them, and send none')),
      circuits,
    ],
    opened: () => {
      [rate.value, concurrency.value, dry.checked] = ['10', '4', false];
      put(circuits, 'Asking for the circuits on their way …');
      circuitsOf(target().example).then((said) => put(circuits, said));
    },
    act: async () => {
      const { ids, query } = target();
      const selection = ids.length > 0 ? { ids } : { query };
      const order = { selection, rate: Number(rate.value), concurrency: Number(concurrency.value), dry_run: dry.checked };
      const { ok, data, text } = await send('POST', '/dlq/replays', order);
      if (!ok) return { done: false, stay: true, text: `Not begun: ${text}` };
      setTimeout(done);
      const what = data.order.dry_run ? 'The count has begun' : 'The replay has begun';
      return { done: true, text: `${what}; its progress is below, under Replays.` };
    },
  });
}

/** A sentence about the circuits that an example of the letters meets. */
async function circuitsOf(example) {
  const [letter, circuits] = await Promise.all([
    example ? get(`/dlq/letters/${encodeURIComponent(example)}`) : { ok: false },
    get('/circuit-breakers'),
  ]);
  if (!circuits.ok) return `How the circuits stand is not known: ${circuits.text}`;
  const all = circuits.data.circuit_breakers;
  const met = letter.ok ? [...new Set(letter.data.attempts.map(({ upstream }) => upstream))].filter((name) => name in all) : [];
  if (met.length > 0) {
    const said = met.map((name) => `The circuit of ${name} is ${words(all[name].state)}.`).join(' ');
    return met.every((name) => all[name].state === 'closed') ? said : `${said} Letters wait while it lets none through.`;
  }
  const broken = Object.keys(all).filter((name) => all[name].state !== 'closed');
  if (broken.length === 0) return 'No circuit is open.';
  return `Not closed: ${names(broken)}. Letters that go there wait.`;
}
