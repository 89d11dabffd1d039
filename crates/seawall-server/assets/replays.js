// Replays of many letters: what each was asked to do, how far it is, and the buttons to pause, resume and cancel it.

import { arrange, byId, el, put } from './dom.js';
import { clock, words } from './format.js';
import { get, send } from './send.js';

/** The latest ones are shown; the API has all that are remembered. */
const MOST = 10;

export class Replays {
  #list = byId('replays');
  #rows = new Map();
  #jobs = [];
  #asking = false;
  #ended;

  /** `ended()` is called when a replay has come to its end. */
  constructor(ended) {
    this.#ended = ended;
  }

  /** Looks again while one is under way: called once a second. */
  async follow() {
    const under = () => this.#jobs.filter(isUnderWay).length;
    const before = under();
    if (before === 0) return;
    await this.load();
    if (under() < before) this.#ended();
  }

  async load() {
    if (this.#asking) return;
    this.#asking = true;
    const { ok, data } = await get('/dlq/replays');
    this.#asking = false;
    if (!ok) return;
    this.#jobs = data.slice(0, MOST);
    for (const [id, row] of this.#rows) {
      if (this.#jobs.some((job) => job.id === id)) continue;
      row.node.remove();
      this.#rows.delete(id);
    }
    for (const job of this.#jobs) {
      if (!this.#rows.has(job.id)) this.#rows.set(job.id, new Row(job.id, () => this.load()));
      this.#rows.get(job.id).draw(job);
    }
    arrange(this.#list, this.#jobs.map(({ id }) => this.#rows.get(id).node));
    byId('replays-none').hidden = this.#jobs.length > 0;
  }
}

const isUnderWay = ({ status }) => ['running', 'paused'].includes(status);

class Row {
  #title = el('p', { class: 'what' });
  #bar = el('progress', { max: '1', value: '0' });
  #numbers = el('p', { class: 'hint' });
  #fault = el('p', { class: 'fault', role: 'status' });
  #buttons;
  node;

  constructor(id, changed) {
    this.#buttons = ['pause', 'resume', 'cancel'].map((change) => {
      const word = change[0].toUpperCase() + change.slice(1);
      const button = el('button', { type: 'button', 'aria-label': `${word} replay ${id}`, 'data-change': change }, word);
      button.addEventListener('click', async () => {
        const { ok, text } = await send('POST', `/dlq/replays/${id}/${change}`);
        put(this.#fault, ok ? '' : `Nothing changed: ${text}`);
        changed();
      });
      return button;
    });
    this.#bar.setAttribute('aria-label', `Progress of replay ${id}`);
    const actions = el('div', { class: 'actions' }, ...this.#buttons);
    this.node = el('li', { class: 'replay', 'data-job': id }, this.#title, this.#bar, this.#numbers, actions, this.#fault);
  }

  draw(job) {
    const { found, succeeded, failed, skipped } = job.progress;
    const { rate, concurrency, dry_run: dry } = job.order;
    const what = dry ? 'Dry run' : 'Replay';
    put(this.#title, `${what} of ${clock(Date.parse(job.started))}: ${words(job.status)}`);
    this.node.dataset.status = job.status;
    const of = job.total === undefined || job.total === null ? '' : ` of ${job.total}`;
    const ended = `${succeeded} succeeded, ${failed} failed, ${skipped} skipped`;
    const said = dry ? `${found} would be replayed` : `${found}${of} handed out: ${ended}; ${rate} a second, ${concurrency} at once`;
    put(this.#numbers, `${said}.`);
    this.#progress(job);
    for (const button of this.#buttons) {
      const offered = { pause: job.status === 'running', resume: job.status === 'paused', cancel: isUnderWay(job) };
      // The one that has the focus goes on in its place, not at the top of the page.
      const wasHeld = button === document.activeElement;
      button.hidden = !offered[button.dataset.change];
      if (wasHeld && button.hidden) this.#buttons.find((one) => !one.hidden)?.focus();
    }
  }

  #progress({ status, total, progress }) {
    const { found, succeeded, failed, skipped } = progress;
    const over = !['running', 'paused'].includes(status);
    this.#bar.hidden = over;
    if (over) return;
    // Without a known total nobody knows how far it is, and the bar says so.
    const all = total ?? 0;
    if (all > 0) {
      this.#bar.max = Math.max(all, found);
      this.#bar.value = succeeded + failed + skipped;
    } else {
      this.#bar.removeAttribute('value');
    }
  }
}
