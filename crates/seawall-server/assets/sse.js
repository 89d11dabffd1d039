// A parser for `text/event-stream`. The browser's EventSource cannot send a key in a header, so the
// stream is read with fetch, and this turns its text into messages.

// One message is a snapshot of all operations; a thousand of them with their last
// hour take 5 MB, and ten times that is a fault, not data.
const LONGEST_LINE = 50 << 20;

export class Parser {
  #held = '';
  #pieces = [];
  #length = 0;
  #event = '';
  #data = [];
  #onMessage;

  /** `onMessage(event, data)` is called for each complete message. */
  constructor(onMessage) {
    this.#onMessage = onMessage;
  }

  /** Takes the next piece of the stream, cut anywhere. A long line comes in many pieces: only what is new
   *  is looked through. */
  push(text) {
    const fresh = this.#held + text;
    // The second half of a line's end may come with the next piece.
    this.#held = fresh.endsWith('\r') ? '\r' : '';
    const lines = fresh.slice(0, fresh.length - this.#held.length).split(/\r\n|\n|\r/);
    const last = lines.pop();
    if (lines.length > 0) {
      lines[0] = this.#pieces.join('') + lines[0];
      [this.#pieces, this.#length] = [[], 0];
    }
    this.#pieces.push(last);
    this.#length += last.length;
    if (this.#length > LONGEST_LINE) throw new Error('a line of the stream is too long');
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
