// Requests to the control API: the key, and what an error says.

const KEY = 'seawall.api_key';

/** The key of this tab. Session storage only: it ends with the tab and reaches no other. */
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** A fetch with the key, which follows no redirect: the key goes to this server only. */
export function request(path, { headers = {}, ...options } = {}) {
  const held = key.get();
  return fetch(path, {
    cache: 'no-store',
    redirect: 'error',
    ...options,
    headers: held ? { ...headers, 'X-API-Key': held } : headers,
  });
}

/** What a refused request says: the problem's `detail`, else its title, else the status. */
export async function complaint(response) {
  const status = `${response.status} ${response.statusText}`.trim();
  try {
    const { detail, title } = await response.json();
    return String(detail ?? title ?? status);
  } catch {
    return status;
  }
}
