// Asks for the API key, when the server wants one. The dialog is one for all who wait for a key.

import { key } from './api.js';
import { byId } from './dom.js';

const dialog = byId('key-dialog');
const input = byId('key-input');
const fault = byId('key-fault');
let asked = null;

/** Ends with true when there is a new key, with false when the operator declined. */
export function askForKey() {
  asked ??= ask().finally(() => (asked = null));
  return asked;
}

async function ask() {
  // There was a key, and the server did not take it.
  fault.textContent = key.get() ? 'The server did not accept this key.' : '';
  key.forget();
  input.value = '';
  dialog.returnValue = '';
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  return dialog.returnValue === 'given';
}

byId('key-form').addEventListener('submit', (event) => {
  // Nothing is ever sent by the form itself; the page's policy would refuse that too.
  event.preventDefault();
  const given = input.value.trim();
  if (!/^[\x21-\x7e]+$/.test(given)) {
    fault.textContent = 'A key has only visible ASCII characters, and no spaces.';
    input.focus();
    return;
  }
  key.set(given);
  input.value = '';
  dialog.close('given');
});
byId('key-cancel').addEventListener('click', () => dialog.close(''));
