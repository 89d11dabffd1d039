// Numbers, lengths of time and instants as an operator reads them. Values that are unknown are a dash,
// never a zero: "0 ms" and "not measured" mean different things at 3 a.m.

export const UNKNOWN = '–';

const known = (value) => typeof value === 'number' && Number.isFinite(value);

/** Per second. One decimal while it matters; a trickle is never shown as nothing. */
export function rate(value) {
  if (!known(value)) return UNKNOWN;
  if (value === 0) return '0';
  if (value < 0.05) return '<0.1';
  return short(value, value < 99.95 ? 1 : 0);
}

/** A share of 0 to 1. Rounded down, so "100 %" means that nothing at all failed. */
export function percent(share) {
  if (!known(share)) return UNKNOWN;
  return share >= 1 ? '100 %' : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}

/** Milliseconds to three figures, in the unit that fits. */
export function latency(ms) {
  if (!known(ms)) return UNKNOWN;
  if (ms >= 60_000) return duration(ms);
  if (ms >= 1000) return `${figures(ms / 1000)}\u00a0s`;
  if (ms >= 0.1 || ms === 0) return `${figures(ms)}\u00a0ms`;
  return `${figures(ms * 1000)}\u00a0µs`;
}

/** As `latency` for a round number, on an axis: "2 s", not "2.00 s". */
export function roundLatency(ms) {
  return latency(ms).replace(/\.0+(?=\D)|(?<=\.\d)0+(?=\D)/, '');
}

export function count(value) {
  return known(value) ? short(value, 0) : UNKNOWN;
}

/** "0 B", "1.20 kB", "34.5 MB". */
export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [size, at] = [value, 0];
  for (; size >= 999.5 && at < units.length - 1; at += 1) size /= 1000;
  return `${at === 0 ? size : figures(size)}\u00a0${units[at]}`;
}

/** The two largest units: "12 s", "1 min 48 s", "2 h 14 min", "3 d 4 h". */
export function duration(ms) {
  if (!known(ms)) return UNKNOWN;
  return units(Math.floor(Math.max(0, ms) / 1000));
}

/** As `duration`, rounded up: a countdown shows 1 s until the moment has come. */
export function countdown(ms) {
  return units(Math.ceil(Math.max(0, ms) / 1000));
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** The wall clock where the operator sits. An instant of another day says which. */
export function clock(ms) {
  const at = new Date(ms);
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  const today = at.toDateString() === new Date().toDateString();
  return today ? time : `${at.getDate()}\u00a0${MONTHS[at.getMonth()]}\u00a0${time}`;
}

/** "UTC+2", for a label that says which clock the page shows. */
export function zone() {
  const minutes = -new Date().getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const rest = Math.abs(minutes) % 60;
  const hours = Math.trunc(Math.abs(minutes) / 60);
  return `UTC${minutes < 0 ? '−' : '+'}${hours}${rest ? `:${two(rest)}` : ''}`;
}

/** "chat", "chat and search", "chat, search and 3 more". */
export function names(list, most = 3) {
  const shown = list.slice(0, list.length > most ? most - 1 : most);
  const rest = list.length - shown.length;
  if (rest > 0) return `${shown.join(', ')} and ${rest} more`;
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

/** The next of 1, 2, 5, 10, 20 … : axes that jump rarely and read at a glance. */
export function niceCeiling(value, least) {
  if (value <= least) return least;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((bound) => bound >= value * 0.999);
}

/** `half_open` → `half-open`, `circuit_changed` → `circuit changed`. */
export function words(label) {
  return label === 'half_open' ? 'half-open' : label.replaceAll('_', ' ');
}

const two = (number) => String(number).padStart(2, '0');

function figures(value) {
  return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

function short(value, decimals) {
  if (value < 9999.5) return value.toFixed(decimals);
  if (value < 999_500) return `${figures(value / 1000)}k`;
  return `${figures(value / 1_000_000)}M`;
}

function units(seconds) {
  const [d, h, m, s] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${s} s` : `${s} s`;
}
