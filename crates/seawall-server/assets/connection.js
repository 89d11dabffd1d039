// The banner about the connection. It is there only when what the page shows is no longer what is.

import { byId, put } from './dom.js';
import { clock, countdown, duration } from './format.js';

// A snapshot comes every second; three missing ones are no accident.
const LATE = 3500;
// A connection that is back at once is not worth a banner.
const GRACE = 1000;

const STATES = { connecting: 'connecting', live: 'live', lost: 'connection lost', locked: 'key needed' };

/** Shows how the stream is; true when the page's data is old. `seen` is when the last snapshot came
 *  (this browser's clock), `taken` the instant that it shows; 0 before the first. */
export function showConnection(stream, seen, taken, now = Date.now()) {
  const text = complaint(stream, seen, now);
  put(byId('stream'), text && stream.state === 'live' ? 'no data' : STATES[stream.state]);
  byId('stream').dataset.state = text ? 'lost' : stream.state;
  byId('banner').hidden = text === '';
  put(byId('banner-text'), text);
  put(byId('banner-age'), text && taken ? `Shown below: ${clock(taken)}.` : '');
  byId('banner-act').hidden = stream.state === 'live';
  put(byId('banner-act'), stream.state === 'locked' ? 'Enter key' : 'Retry now');
  return text !== '';
}

function complaint(stream, seen, now) {
  if (stream.state === 'locked') return 'The server wants an API key.';
  if (stream.state === 'live') {
    return seen && now - seen > LATE ? `No data for ${duration(now - seen)}; the connection still stands.` : '';
  }
  if (stream.state !== 'lost' || now - stream.lostAt < GRACE) return '';
  const next = stream.retryAt > now ? `retrying in ${countdown(stream.retryAt - now)}` : 'retrying …';
  const lost = seen ? 'Connection lost' : 'No connection for';
  return `${lost} ${duration(now - stream.lostAt)}${seen ? ' ago' : ''} (${stream.why}); ${next}`;
}
