// One letter, whole: what failed, each attempt, its headers and its payload. All of it is text, whatever it says.

import { el, put, table, wide } from './dom.js';
import { bytes, clock, latency, words } from './format.js';
import { get } from './send.js';

const title = el('h2', { id: 'letter-title' });
const close = el('button', { type: 'button' }, 'Close');
const body = el('div');
const dialog = el('dialog', { class: 'letter', 'aria-labelledby': 'letter-title' }, el('header', { class: 'bar' }, title, close), body);
close.addEventListener('click', () => dialog.close());
addEventListener('hashchange', () => dialog.close());
document.body.append(dialog);

/** Opens the drawer with this letter. */
export async function showLetter(id) {
  body.replaceChildren(el('p', {}, 'Asking …'));
  put(title, `Letter ${id}`);
  dialog.showModal();
  const { ok, data, text } = await get(`/dlq/letters/${encodeURIComponent(id)}`);
  // Meanwhile another may have been opened.
  if (title.textContent !== `Letter ${id}`) return;
  body.replaceChildren(...(ok ? parts(data) : [el('p', { class: 'fault', role: 'alert' }, text)]));
}

function parts(letter) {
  return [
    facts(letter),
    heading('Error'),
    el('p', { class: 'error' }, el('b', {}, letter.error_class), `: ${letter.error}`),
    heading('Attempts, oldest first'),
    attempts(letter.attempts),
    heading('Headers'),
    headers(letter.headers),
    heading('Payload'),
    ...payload(letter),
  ];
}

const heading = (text) => el('h3', {}, text);

function facts(letter) {
  const at = (time) => (time ? clock(Date.parse(time)) : null);
  const rows = [
    ['queue', letter.queue],
    ['operation', letter.operation],
    ['state', words(letter.state)],
    ['failed first', at(letter.first_failure)],
    ['failed last', at(letter.last_failure)],
    ['came', letter.deliveries === 1 ? 'once' : `${letter.deliveries} times`],
    ['replays', String(letter.replays)],
    ['tenant', letter.tenant],
    ['idempotency key', letter.idempotency_key],
    ['group', letter.fingerprint],
    ['removed at', at(letter.expires)],
  ];
  const known = rows.filter(([, value]) => value !== null && value !== undefined);
  return el('dl', { class: 'about' }, ...known.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}

function attempts(list) {
  if (list.length === 0) return el('p', { class: 'hint' }, 'No call was made.');
  const rows = list.map((one) => [
    clock(Date.parse(one.at)),
    one.upstream ?? '',
    `${one.outcome}${one.replay ? ' (replay)' : ''}`,
    latency(one.duration_ms),
    (one.errors ?? []).join(' ← '),
    one.breaker ? words(one.breaker) : '',
  ]);
  const heads = ['At', 'Upstream', 'Outcome', 'Took', 'Errors', 'Circuit'];
  return wide('Attempts', table('Attempts, oldest first', heads, rows));
}

function headers(list) {
  if (list.length === 0) return el('p', { class: 'hint' }, 'It has none.');
  const rows = list.map(({ name, value }) => [el('th', { scope: 'row' }, name), value]);
  return wide('Headers', table('Headers, without the values of secret ones', ['Name', 'Value'], rows));
}

function payload({ payload: held, unreadable, payload_bytes: length }) {
  if (unreadable) return [el('p', { class: 'fault' }, `It cannot be read: ${unreadable}`)];
  if (!held) return [el('p', { class: 'hint' }, `${bytes(length)}, shown to keys that may write.`)];
  if (length === 0) return [el('p', { class: 'hint' }, 'It is empty.')];
  const said = 'text' in held ? bytes(length) : `${bytes(length)} that are no text, as base64`;
  const text = el('pre', { tabindex: '0', role: 'region', 'aria-label': 'Payload' }, held.text ?? held.base64 ?? '');
  return [el('p', { class: 'hint' }, said), text];
}
