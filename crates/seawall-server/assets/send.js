// Questions to the control API and changes through it, each answered in words that can be shown. A key is
// asked for where the server wants one, and the request is sent again with it.

import { request } from './api.js';
import { askForKey } from './key.js';

const PATIENCE = 10_000;
const ROOT = '/internal/resilience';

/** What is read: `{ ok, status, data, text }`. `data` is the answer, or the problem document. */
export function get(path) {
  return exchange(path, () => ({}));
}

/** A change; `text` says in a sentence why it was not made. */
export function send(method, path, body) {
  return exchange(path, () => ({
    method,
    headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  }));
}

/** A file that the API makes: `{ ok, blob, text }`. With a body it is asked for by POST. */
export async function download(path, body) {
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const options = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) };
  try {
    const response = await request(ROOT + path, options);
    if (!response.ok) return await told(response);
    return { ok: true, blob: await response.blob(), text: '' };
  } catch {
    return refused(0, 'The answer broke off before its end.');
  }
}

/** Query parameters, with what stands before them; nothing where there are none. */
export function search(parameters) {
  const text = new URLSearchParams(parameters).toString();
  return text && `?${text}`;
}

/** The path of one operation's own endpoint. */
export const operationPath = (name, rest = '') => `/operations/${encodeURIComponent(name)}${rest}`;
export const limitPath = (name, rest = '') => `/rate-limits/${encodeURIComponent(name)}${rest}`;
export const circuitPath = (name, rest = '') => `/circuit-breakers/${encodeURIComponent(name)}${rest}`;

async function exchange(path, options) {
  try {
    for (;;) {
      const response = await request(ROOT + path, { ...options(), signal: AbortSignal.timeout(PATIENCE) });
      if (response.status !== 401) return await told(response);
      if (!(await askForKey())) return refused(401, 'An API key is needed.');
    }
  } catch (error) {
    // The request may have arrived; only the state tells.
    return refused(0, error.name === 'TimeoutError' ? 'No answer in 10 s; watch the state.' : 'The server cannot be reached.');
  }
}

async function told(response) {
  const { status } = response;
  const data = await response.json().catch(() => null);
  if (response.ok && data !== null) return { ok: true, status, data, text: '' };
  const why = data?.detail ?? data?.title ?? `${status} ${response.statusText}`.trim();
  // Whoever looks with a read-only key must learn that the key is the reason, and what to do.
  if (status === 403) return refused(status, `This key does not allow it: ${why}. “Forget the API key” below lets you enter another.`, data);
  return refused(status, why, data);
}

function refused(status, text, data = null) {
  return { ok: false, status, data, text };
}
