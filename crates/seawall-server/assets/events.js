// The event tail: newest first, bounded, with a filter and a pause.
//
// An outage is a flood of equal rejections, which would push the one line that matters, the circuit's
// change, out of sight. So an event like one that was just shown is counted on that line instead.

import { byId, el, icon, put } from './dom.js';
import { clock, words } from './format.js';

/** Lines kept, in the DOM as in memory. */
const MOST = 200;
// A line takes further events of its kind until it was quiet for this long, or for this long in all.
const QUIET = 5000;
const LONGEST = 60_000;

// Kinds that are never counted together: each of them is news.
export const NEWS = new Set([
  'circuit_changed', 'reset', 'forced', 'mode', 'brake', 'configuration', 'alert_started', 'alert_ended',
  'started', 'stopping', 'connection',
]);
const ICONS = {
  circuit_changed: 'change',
  reset: 'change',
  forced: 'held',
  mode: 'sliders',
  brake: 'brake',
  configuration: 'sliders',
  alert_started: 'alert',
  alert_ended: 'alert',
  rejected: 'off',
  timed_out: 'clock',
};

export class Tail {
  #list = byId('event-list');
  #filter = byId('event-filter');
  #shown = byId('event-count');
  #pause = byId('event-pause');
  /** Events not yet on the page: of this frame, or since the pause began. */
  #waiting = [];
  #dropped = 0;
  #paused = false;
  /** The operation whose lines alone are shown, or ''. */
  #scope = '';
  #scheduled = false;
  /** Lines that may still count: key → { row, first, last, times }. */
  #counting = new Map();
  /** The newest event taken, to leave out what the server repeats when a connection is made anew. */
  #newest = { id: -1, at: -1 };

  constructor() {
    this.#filter.addEventListener('input', () => this.#sift());
    this.#pause.addEventListener('click', () => this.#toggle());
  }

  take(event) {
    const at = Date.parse(event.at) || Date.now();
    // After a restart ids begin again, but time does not.
    if (event.id <= this.#newest.id && at <= this.#newest.at) return;
    this.#newest = { id: event.id, at };
    this.#queue({ ...event, at });
  }

  /** A line of the page's own: the stream was cut or came back. */
  note(text) {
    this.#queue({ at: Date.now(), operation: '', policy: '', kind: 'connection', text });
  }

  /** Shows only lines with this text. */
  show(text) {
    this.#filter.value = text;
    this.#sift();
    this.#list.parentElement.scrollTop = 0;
  }

  /** Shows only lines of one operation, or with '' those of all. */
  scope(name) {
    this.#scope = name;
    put(byId('events-title'), name ? `Events of ${name}` : 'Events');
    this.#sift();
  }

  #queue(event) {
    this.#waiting.push(event);
    if (this.#waiting.length > 5 * MOST) {
      this.#waiting.splice(0, MOST);
      this.#dropped += MOST;
    }
    if (this.#paused) this.#label();
    else this.#schedule();
  }

  /** Once a frame, however many came; not at all while the tab is hidden. */
  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      if (!this.#paused) this.#flush();
    });
  }

  #flush() {
    if (this.#dropped > 0) {
      const text = `${this.#dropped} older events were left out`;
      this.#add({ at: this.#waiting[0].at, operation: '', policy: '', kind: 'connection', text });
    }
    for (const event of this.#waiting) this.#add(event);
    this.#waiting = [];
    this.#dropped = 0;
    while (this.#list.childElementCount > MOST) this.#list.lastElementChild.remove();
    for (const [key, line] of this.#counting) if (!line.row.isConnected) this.#counting.delete(key);
    this.#sift();
  }

  #add(event) {
    if (NEWS.has(event.kind)) {
      // What follows a change is a new story, even if it looks the same.
      for (const [key, line] of this.#counting) {
        if (line.operation === event.operation) this.#counting.delete(key);
      }
      this.#list.prepend(row(event));
      return;
    }
    const key = [event.operation, event.policy, event.kind].join('\n');
    const line = this.#counting.get(key);
    if (line && event.at - line.last < QUIET && event.at - line.first < LONGEST) {
      line.last = event.at;
      line.times += 1;
      recount(line.row, event, line.times);
      return;
    }
    const fresh = row(event);
    this.#list.prepend(fresh);
    const { at, operation } = event;
    this.#counting.set(key, { row: fresh, operation, first: at, last: at, times: 1 });
  }

  /** Every word of the filter must occur in a line. */
  #sift() {
    const wanted = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let [shown, all] = [0, 0];
    for (const line of this.#list.children) {
      const text = wanted.length > 0 ? line.textContent.toLowerCase() : '';
      // Lines of the page's own, about the connection, are everybody's.
      const inScope = !this.#scope || [this.#scope, ''].includes(line.dataset.operation);
      line.hidden = !inScope || !wanted.every((word) => text.includes(word));
      all += inScope ? 1 : 0;
      shown += line.hidden ? 0 : 1;
    }
    put(this.#shown, wanted.length > 0 ? `${shown} of ${all}` : `${all}`);
    byId('event-none').hidden = shown > 0;
  }

  #toggle() {
    this.#paused = !this.#paused;
    this.#pause.setAttribute('aria-pressed', String(this.#paused));
    if (!this.#paused) this.#flush();
    this.#label();
  }

  #label() {
    const news = this.#waiting.length + this.#dropped;
    put(this.#pause, this.#paused ? `Resume${news > 0 ? ` (${news} new)` : ''}` : 'Pause');
  }
}

function row({ at, operation, policy, kind, text }) {
  const instant = new Date(at).toISOString();
  return el(
    'li',
    { class: `event ${NEWS.has(kind) ? 'news' : ''}`, 'data-kind': kind, 'data-operation': operation },
    el(
      'p',
      { class: 'what' },
      el('time', { datetime: instant, title: instant }, clock(at)),
      ' ',
      icon(ICONS[kind] ?? 'dot'),
      el('b', {}, operation),
      ' ',
      el('span', { class: 'kind', title: policy ? `policy: ${words(policy)}` : '' }, words(kind)),
      ' ',
      el('span', { class: 'times' }),
    ),
    el('p', { class: 'text' }, text.replaceAll('half_open', 'half-open')),
  );
}

function recount(line, { at, text }, times) {
  put(line.querySelector('.times'), `×${times} until ${clock(at)}`);
  put(line.querySelector('.text'), text);
}
