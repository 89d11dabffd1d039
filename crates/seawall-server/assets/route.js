// Which view is shown, by what stands behind # in the address, so that every view can be linked to. A key
// never stands there.

import { byId } from './dom.js';

const VIEWS = ['overview', 'operation', 'letters', 'limits', 'fleet', 'timeline', 'configuration'];

/** The address of an operation's page. */
export const operationAddress = (name) => `#/operation/${encodeURIComponent(name)}`;

/** The address of a group of dead letters. */
export const lettersAddress = (fingerprint) => `#/letters/${encodeURIComponent(fingerprint)}`;

/** What an address asks for: `{ view, rest }`. One that means nothing is the overview. */
export function parse(hash) {
  const [view = '', ...rest] = hash.replace(/^#\/?/, '').split('/');
  if (!VIEWS.includes(view) || (view === 'operation' && !rest[0])) return { view: 'overview', rest: [] };
  return { view, rest: rest.map(decoded) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Shows the view of the address now and at each change, and tells `shown({ view, rest })`. */
export function follow(shown) {
  const go = (moved) => {
    const route = parse(location.hash);
    for (const view of VIEWS) byId(view).hidden = view !== route.view;
    for (const link of byId('views').children) {
      if (link.dataset.view === route.view) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    document.body.dataset.view = route.view;
    shown(route);
    if (!moved) return;
    scrollTo(0, 0);
    // Who uses a keyboard or a screen reader goes on from the new view's beginning.
    heading(route.view).focus({ preventScroll: true });
  };
  addEventListener('hashchange', () => go(true));
  byId('skip').addEventListener('click', (event) => {
    event.preventDefault();
    heading(document.body.dataset.view).focus();
  });
  go(false);
}

function heading(view) {
  return byId(view === 'overview' ? 'operations-title' : `${view}-title`);
}
