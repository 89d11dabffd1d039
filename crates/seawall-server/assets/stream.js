// The connection to the event stream: opens it, watches it, and opens it again with jitter, so that a
// restarted server is not met by every dashboard in the same instant.

import { complaint, request } from './api.js';
import { Parser } from './sse.js';

const URL = '/internal/resilience/events';
// A snapshot comes every second, so this much silence is a dead connection, whatever TCP believes.
const LONGEST_SILENCE = 10_000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
// A connection must have held this long to count as good; a server that accepts and hangs up at once
// must not be asked twice a second.
const GOOD_AFTER = 5000;

export class Stream {
  /** 'connecting', 'live', 'lost' or 'locked' (a key is needed). */
  state = 'connecting';
  /** Why it was lost. */
  why = '';
  /** When it was lost, and when the next try begins (0: one is under way). */
  lostAt = 0;
  retryAt = 0;

  #handlers;
  #failures = 0;
  #abort = new AbortController();
  #lastByte = 0;
  #wake = () => {};

  /** Handlers: `message(event, data)` with parsed JSON, `changed()` after a change of state, and
   *  `unauthorized()`, whose promise ends when there is another key to try. */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  /** Runs for as long as the page lives. */
  async run() {
    setInterval(() => this.#watch(), 1000);
    for (;;) {
      const opened = Date.now();
      const refused = await this.#readToEnd();
      if (refused) {
        this.#become('locked', 'an API key is needed');
        await this.#handlers.unauthorized();
        this.#become('connecting');
        continue;
      }
      this.#failures = Date.now() - opened > GOOD_AFTER ? 1 : this.#failures + 1;
      await this.#pause();
    }
  }

  /** Ends a pause between two tries. */
  retryNow() {
    this.#wake();
  }

  /** Drops the connection and opens another, as after a change of key. */
  reopen() {
    this.#abort.abort(new Error('opened anew'));
    this.#wake();
  }

  /** True when the server wants a key. */
  async #readToEnd() {
    this.#abort = new AbortController();
    this.#lastByte = Date.now();
    try {
      const response = await request(URL, {
        headers: { Accept: 'text/event-stream' },
        signal: this.#abort.signal,
      });
      if (response.status === 401) return true;
      if (!response.ok) throw new Error(await complaint(response));
      await this.#readBody(response.body);
      this.#lose('the server ended the stream');
    } catch (error) {
      // Browsers word network errors each in their own way; none of them helps an operator.
      this.#lose(error instanceof TypeError ? 'the server cannot be reached' : error.message);
    }
    return false;
  }

  async #readBody(body) {
    const parser = new Parser((event, data) => this.#deliver(event, data));
    const reader = body.getReader();
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        this.#lastByte = Date.now();
        parser.push(decoder.decode(value, { stream: true }));
      }
    } finally {
      // Leaving by an error must also close the connection.
      this.#abort.abort();
    }
  }

  #deliver(event, data) {
    if (this.state !== 'live') this.#become('live');
    this.#handlers.message(event, JSON.parse(data));
  }

  #lose(why) {
    if (this.state !== 'lost') this.lostAt = Date.now();
    this.#become('lost', why);
  }

  #become(state, why = '') {
    this.state = state;
    this.why = why;
    this.#handlers.changed();
  }

  /** Waits between half and all of an exponentially growing time. */
  async #pause() {
    const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (this.#failures - 1));
    const pause = longest * (0.5 + Math.random() / 2);
    this.retryAt = Date.now() + pause;
    this.#handlers.changed();
    let timer;
    await new Promise((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, pause);
      addEventListener('online', resolve, { once: true });
    }).finally(() => {
      clearTimeout(timer);
      removeEventListener('online', this.#wake);
      this.#wake = () => {};
    });
    this.retryAt = 0;
    this.#handlers.changed();
  }

  #watch() {
    const reading = this.state === 'live' || this.retryAt === 0;
    if (reading && this.state !== 'locked' && Date.now() - this.#lastByte > LONGEST_SILENCE) {
      this.#abort.abort(new Error('no data came'));
    }
  }
}
