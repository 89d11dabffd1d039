// The list of operations, worst first. A thousand of them must not freeze the page: so many are listed, the
// rest comes with "Show more" or is found by name, and only cards on the screen are drawn.

import { Card } from './card.js';
import { arrange, byId, el, put } from './dom.js';
import { LEVELS } from './operation.js';

// Traffic changes all the time. The order by it is looked at this often, and not while someone points at
// the list, so that a card does not slip away from under the hand.
const ORDER_EVERY = 10_000;
const AT_FIRST = 30;
const MORE = 50;

export class Cards {
  #list;
  #cards = new Map();
  #order = [];
  #levels = '';
  #orderedAt = 0;
  #most = AT_FIRST;
  #showEvents;
  #operations = new Map();
  #watch = new IntersectionObserver((seen) => this.#seen(seen), { rootMargin: '200px' });

  /** `showEvents(name)` shows the events of one operation. */
  constructor(list, showEvents) {
    this.#list = list;
    this.#showEvents = showEvents;
    byId('operation-filter').addEventListener('input', () => this.draw(this.#operations));
    byId('more').addEventListener('click', () => {
      this.#most += MORE;
      this.draw(this.#operations);
    });
  }

  draw(operations) {
    this.#operations = operations;
    this.#sort(operations);
    const wanted = byId('operation-filter').value.trim().toLowerCase();
    const found = this.#order.filter((name) => operations.has(name) && name.toLowerCase().includes(wanted));
    // A card that somebody is in the middle of using stays, wherever its operation stands by now.
    const shown = found.filter((name, n) => n < this.#most || this.#isHeld(name));
    this.#keep(new Set(shown));
    const fresh = shown.map((name) => this.#card(name));
    arrange(this.#list, fresh.map(({ node }) => node));
    for (const card of fresh) if (card.visible) card.draw(operations.get(card.name));
    const rest = found.length - shown.length;
    byId('more').hidden = rest === 0;
    put(byId('more'), `Show more (${rest} not shown)`);
    byId('empty').hidden = found.length > 0;
    put(byId('empty'), operations.size > 0 ? NOT_FOUND : NONE);
  }

  #isHeld(name) {
    return this.#cards.get(name)?.node.contains(document.activeElement) ?? false;
  }

  #keep(names) {
    for (const [name, card] of this.#cards) {
      if (names.has(name)) continue;
      this.#watch.unobserve(card.node);
      card.node.remove();
      this.#cards.delete(name);
    }
  }

  #card(name) {
    const known = this.#cards.get(name);
    if (known) return known;
    const events = el('button', { type: 'button', class: 'quiet', 'aria-label': `Events of ${name}` }, 'Events');
    events.addEventListener('click', () => this.#showEvents(name));
    const card = new Card(name, { buttons: [events] });
    card.visible = true;
    this.#cards.set(name, card);
    this.#watch.observe(card.node);
    return card;
  }

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = [...this.#cards.values()].find(({ node }) => node === target);
      if (!card) continue;
      card.visible = isIntersecting;
      const operation = this.#operations.get(card.name);
      if (isIntersecting && operation) card.draw(operation);
    }
  }

  #sort(operations) {
    const all = [...operations];
    // Who is how bad: a change of that is shown at once.
    const levels = all.map(([name, { look }]) => `${name}\n${look.level}`).join('\n');
    const due = Date.now() - this.#orderedAt > ORDER_EVERY && !this.#list.matches(':hover');
    if (levels === this.#levels && !due) return;
    this.#levels = levels;
    this.#orderedAt = Date.now();
    const ranked = all.map(([name, one]) => ({ name, rank: LEVELS.indexOf(one.look.level), weight: one.weight }));
    ranked.sort((a, b) => a.rank - b.rank || b.weight - a.weight || a.name.localeCompare(b.name));
    this.#order = ranked.map(({ name }) => name);
  }
}

const NONE = 'No operations are registered yet. They appear here with their first call.';
const NOT_FOUND = 'No operation has this in its name.';
