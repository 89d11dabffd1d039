// The few DOM shorthands the other modules share. Text only ever enters as text nodes, so names and
// reasons that come from callers or upstreams cannot become markup.

const SVG = 'http://www.w3.org/2000/svg';

/** A new HTML element: `el('p', { class: 'why' }, 'text', otherElement)`. */
export function el(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/** A new SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

/** An icon from the page's symbols. It is decoration: the word beside it carries the meaning. */
export function icon(name) {
  return svg('svg', { class: 'icon', 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));
}

/** Points an existing icon at another symbol. */
export function changeIcon(node, name) {
  set(node.firstElementChild, 'href', `#i-${name}`);
}

/** Sets text where it differs. Most numbers stay the same from one second to the next, and leaving
 *  them alone keeps layout and accessibility trees still. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute where it differs. */
export function set(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Sets text, and takes the element away when there is none. */
export function putOrHide(node, text) {
  put(node, text);
  node.hidden = text === '';
}

/** A table with these column heads; a cell is text, or an element: a cell of its own, such as the row's head, or its
 *  content. */
export function table(label, heads, rows, attributes = {}) {
  const head = el('tr', {}, ...heads.map((text) => el('th', { scope: 'col' }, text)));
  const cell = (one) => (one instanceof HTMLTableCellElement ? one : el('td', {}, one));
  const lines = rows.map((cells) => el('tr', {}, ...cells.map(cell)));
  return el('table', attributes, el('caption', { class: 'unseen' }, label), el('thead', {}, head), el('tbody', {}, ...lines));
}

/** A part of the page that scrolls by itself where it is too wide. */
export function wide(label, content) {
  return el('div', { class: 'wide', tabindex: '0', role: 'region', 'aria-label': label }, content);
}

export const byId = (id) => document.getElementById(id);

/** Puts `wanted` into that order with as few moves as it can. The child that holds the focus is never
 *  moved, because moving it would drop the focus; its siblings go around it. */
export function arrange(parent, wanted) {
  const held = wanted.find((child) => child.contains(document.activeElement));
  let next = null;
  for (const child of wanted.toReversed()) {
    if (child !== held && (child.parentNode !== parent || child.nextElementSibling !== next)) {
      parent.insertBefore(child, next);
    }
    next = child;
  }
}

function dress(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
