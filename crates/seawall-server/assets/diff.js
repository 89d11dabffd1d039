// What a change comes to: its differences value by value, what is wrong with it, and what to look at.

import { el, table, wide } from './dom.js';
import { shown } from './policies.js';

/** A table of differences; a sentence where there are none. */
export function differences(diff, label) {
  if (diff.length === 0) return el('p', {}, 'No value is another than before.');
  const rows = diff.map((one) => [
    el('th', { scope: 'row' }, one.path),
    el('td', { class: 'old' }, side(one, 'old')),
    el('td', { class: 'new' }, side(one, 'new')),
    one.origin,
  ]);
  return wide(label, table(label, ['Path', 'Old', 'New', 'From'], rows, { class: 'diff' }));
}

function side(one, name) {
  if (!(name in one)) return el('span', { class: 'nothing' }, 'not set');
  return el(name === 'old' ? 'del' : 'ins', {}, shown(one[name]));
}

/** Mistakes or warnings, each with its path, and what would be right. */
export function findings(list, kind) {
  const rows = list.map(({ path, message, right, source, line }) => {
    const place = line > 0 ? ` (${source}:${line})` : '';
    return el(
      'li',
      {},
      ...(path === null ? [] : [el('code', {}, path || 'the whole'), ' ']),
      `${message}${place}`,
      ...(right ? [el('span', { class: 'right' }, ` → ${right}`)] : []),
    );
  });
  return el('ul', { class: `findings ${kind}` }, ...rows);
}

/** All that is wrong by a problem document. */
export function mistakes({ status, data, text }) {
  if (data?.errors?.length > 0) return data.errors;
  // What is refused for another reason than its content has no path.
  return [{ path: status === 422 ? (data?.field ?? '') : null, message: text, right: null, line: 0 }];
}

/** What a change that is right comes to: differences, warnings, what waits for a restart. */
export function outcome({ diff, warnings, needs_restart: waits }, label) {
  const parts = [differences(diff, label)];
  if (waits.length > 0) parts.push(el('p', { class: 'notice' }, `From the next start on: ${waits.join(', ')}`));
  if (warnings.length > 0) {
    parts.push(el('p', {}, `${warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`}:`), findings(warnings, 'warnings'));
  }
  return parts;
}
