// The dead letters' page: numbers of all queues, groups of one kind of failure, the letters of one of them,
// what can be done with them, and replays under way.

import { byId, el, put, table, wide } from './dom.js';
import { bytes, clock, count, duration, UNKNOWN } from './format.js';
import { LetterActions } from './letter-actions.js';
import { LetterList } from './letter-list.js';
import { Replays } from './replays.js';
import { lettersAddress } from './route.js';
import { get, search } from './send.js';

const STATES = ['waiting', 'quarantined', 'replaying', 'replayed'];
/** How often the numbers and the groups are looked at. */
const LOOK_EVERY = 5000;

export class LettersPage {
  /** '' when another view is shown; `groups`, `all`, or the fingerprint of a group. */
  #part = '';
  #lookedAt = 0;
  #now = Date.now();
  #counted = 0;
  /** A letter of the largest group. */
  #example = null;
  /** What the groups that stand there were made of. */
  #drawn = '';
  #list = new LetterList(() => this.#told());
  #replays = new Replays(() => this.#look());
  #actions = new LetterActions(() => this.#target(), () => this.#again());

  constructor() {
    const states = [...STATES.map((state) => [state, state]), ['', 'any']];
    byId('letters-state').append(...states.map(([value, word]) => el('option', { value }, word)));
    byId('letters-state').addEventListener('change', () => this.#again());
    byId('letters-text').addEventListener('change', () => this.#again());
  }

  /** Shows a part of it; '' when another view is shown. */
  show(part) {
    if (part === this.#part) return;
    this.#part = part;
    if (!part) return;
    for (const link of byId('letters-parts').children) {
      if (link.dataset.part === part) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    this.#actions.close();
    this.#again();
  }

  /** Called with each snapshot; `at` is the server's clock. */
  draw({ at }) {
    if (!this.#part) return;
    this.#now = Date.parse(at);
    this.#replays.follow();
    if (Date.now() - this.#lookedAt > LOOK_EVERY) this.#look();
  }

  /** Which letters are meant by what is set on the page, as the API has it. */
  #query() {
    const query = {};
    const [state, text] = [byId('letters-state').value, byId('letters-text').value.trim()];
    if (state) query.state = state;
    if (text) query.text = text;
    if (!['groups', 'all'].includes(this.#part)) query.fingerprint = this.#part;
    return query;
  }

  /** What an action is about: the chosen letters, or all that are meant. */
  #target() {
    const ids = this.#part === 'groups' ? [] : this.#list.chosen();
    const counted = ids.length || this.#counted;
    const letters = counted === 1 ? '1 letter' : `${counted} letters`;
    const state = byId('letters-state').selectedOptions[0].textContent;
    const group = this.#query().fingerprint ? ` of group ${this.#part}` : '';
    const text = this.#query().text ? ` with “${this.#query().text}”` : '';
    const words = ids.length > 0 ? `${letters} that ${counted === 1 ? 'is' : 'are'} chosen` : `${letters}${group}${text}, state: ${state}`;
    return { ids, query: this.#query(), counted, words, example: ids[0] ?? this.#list.first() ?? this.#example };
  }

  /** Shows everything as it is after a change, or for another query. */
  async #again() {
    this.#drawn = '';
    const part = this.#part;
    byId('letters-groups').hidden = part !== 'groups';
    byId('letters-list').hidden = part === 'groups';
    this.#list.clear();
    if (part !== 'groups') put(byId('letters-fault'), await this.#list.load(this.#query()));
    await this.#look();
  }

  async #look() {
    const [part, query] = [this.#part, this.#query()];
    if (!part) return;
    this.#lookedAt = Date.now();
    const [stats, groups] = await Promise.all([get('/dlq/stats'), get(`/dlq/groups${search(query)}`), this.#replays.load()]);
    // Meanwhile somebody may have gone on, or asked for others.
    if (part !== this.#part || JSON.stringify(query) !== JSON.stringify(this.#query())) return;
    const wrong = [stats, groups].find(({ ok }) => !ok);
    if (wrong) return put(byId('letters-fault'), wrong.text);
    put(byId('letters-fault'), troubles(stats.data));
    put(byId('letters-about'), stats.data.place);
    byId('letters-figures').replaceChildren(...figures(stats.data, this.#now));
    this.#take(groups.data);
  }

  #take({ groups, others }) {
    this.#counted = groups.reduce((sum, { letters }) => sum + letters, others);
    this.#example = groups[0]?.example.id ?? null;
    this.#told();
    const drawn = JSON.stringify(groups);
    if (this.#part !== 'groups' || drawn === this.#drawn) return;
    this.#drawn = drawn;
    // A table that is made again must not lose the place of who goes through it by keyboard.
    const focused = document.activeElement?.closest('#letters-groups a')?.getAttribute('href');
    byId('letters-groups').replaceChildren(...(groups.length > 0 ? [groupsTable(groups)] : []));
    if (focused) [...byId('letters-groups').querySelectorAll('a')].find((link) => link.getAttribute('href') === focused)?.focus();
  }

  /** Says how many letters are meant, and what the actions are about. */
  #told() {
    const none = this.#part === 'groups' || this.#list.isEmpty();
    const words = this.#counted === 1 ? '1 letter' : `${this.#counted} letters`;
    put(byId('letters-count'), this.#counted === 0 && none ? 'There are no such letters.' : words);
    this.#actions.follow(this.#target());
  }
}

/** What is wrong with the place of the letters, in a sentence; '' where nothing is. */
function troubles({ failure, corrupt }) {
  if (failure) return `Letters cannot be kept now: ${failure}`;
  return corrupt > 0 ? `${corrupt} letters were damaged on the disk, and are set aside.` : '';
}

function figures({ queues }, now) {
  const all = Object.values(queues);
  const sum = (name) => all.reduce((total, queue) => total + queue[name], 0);
  const oldest = all.map((queue) => queue.oldest).filter(Boolean).sort()[0];
  const cells = [
    ['waiting', count(sum('waiting')), 'letters that can be replayed'],
    ['oldest', oldest ? duration(now - Date.parse(oldest)) : UNKNOWN, 'since the oldest letter that waits failed'],
    ['quarantined', count(sum('quarantined')), 'letters of which too many replays failed'],
    ['replaying', count(sum('replaying')), 'letters whose replay is under way'],
    ['replayed', count(sum('replayed')), 'letters whose replay succeeded, and that are still there'],
    ['enqueued', count(sum('enqueued')), 'letters that came since the queues exist'],
    ['dropped', count(sum('dropped')), 'letters that gave way to newer ones'],
    ['refused', count(sum('refused')), 'letters that were not taken: the queue was full, or they were too large'],
    ['stored', bytes(sum('bytes')), 'what payloads and headers take, as they are stored'],
  ];
  return cells.map(([label, value, title]) => {
    const worry = ['dropped', 'refused', 'quarantined'].includes(label) && value !== '0';
    return el('div', { class: `cell${worry ? ' worry' : ''}`, title, 'data-figure': label }, el('dt', {}, label), el('dd', {}, value));
  });
}

function groupsTable(groups) {
  const rows = groups.map(({ fingerprint, letters, first_failure: first, last_failure: last, example }) => [
    el('th', { scope: 'row' }, el('a', { href: lettersAddress(fingerprint) }, fingerprint)),
    String(letters),
    example.operation,
    el('td', {}, el('b', {}, example.error_class), `: ${example.error}`),
    time(first),
    time(last),
  ]);
  const heads = ['Group', 'Letters', 'Operation', 'Error', 'First', 'Last'];
  return wide('Groups of letters', table('Letters by their kind of failure, the largest group first', heads, rows));
}

function time(at) {
  return el('time', { datetime: at }, clock(Date.parse(at)));
}
