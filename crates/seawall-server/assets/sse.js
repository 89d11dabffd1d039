// A parser for `text/event-stream`. The browser's EventSource cannot send a key in a header, so the
// stream is read with fetch, and this turns its text into messages.

// One message is a snapshot of all operations; ten times the largest expected is a fault, not data.
const LONGEST_LINE = 8 << 20;

export class Parser {
  #rest = '';
  #event = '';
  #data = [];
  #onMessage;

  /** `onMessage(event, data)` is called for each complete message. */
  constructor(onMessage) {
    this.#onMessage = onMessage;
  }

  /** Takes the next piece of the stream, cut anywhere. */
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    if (this.#rest.length > LONGEST_LINE) throw new Error('a line of the stream is too long');
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return; // A comment: keep-alive.
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    if (field === 'data') this.#data.push(value);
  }

  #dispatch() {
    const event = this.#event || 'message';
    const data = this.#data;
    this.#event = '';
    this.#data = [];
    if (data.length > 0) this.#onMessage(event, data.join('\n'));
  }
}
