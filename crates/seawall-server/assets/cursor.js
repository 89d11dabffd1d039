// The reading line across the charts: it stands at the same instant on every card, which shows what
// failed first, and reads out the values of the card that it was moved on.

import { el, put, set } from './dom.js';
import { clock, latency, rate, words } from './format.js';
import { SPAN } from './operation.js';

const SECONDS = SPAN / 1000;

/** Puts charts under the reading line. `operation()` is the one that they show. */
export function withCursor(name, plots, operation) {
  const readout = el('p', { class: 'readout', 'aria-hidden': 'true' });
  const node = el(
    'div',
    {
      class: 'plots',
      tabindex: '0',
      role: 'slider',
      'aria-label': `Read the charts of ${name}`,
      'aria-valuemin': String(-SECONDS),
      'aria-valuemax': '0',
      'aria-valuenow': '0',
      'aria-valuetext': 'now',
    },
    ...plots,
    el('span', { class: 'cursor' }),
    readout,
  );

  const move = (ago) => {
    const at = Math.min(0, Math.max(-SECONDS, ago));
    const list = node.closest('.cards');
    list.classList.add('reading');
    list.style.setProperty('--cursor', `${((at + SECONDS) / SECONDS) * 100}%`);
    const text = describe(operation(), at);
    put(readout, text);
    set(node, 'aria-valuenow', String(Math.round(at)));
    set(node, 'aria-valuetext', text);
    node.classList.add('read');
    node.classList.toggle('early', at < -SECONDS / 2);
  };
  const leave = () => {
    node.closest('.cards')?.classList.remove('reading');
    node.classList.remove('read');
  };

  node.addEventListener('pointermove', ({ clientX }) => {
    const { left, width } = node.getBoundingClientRect();
    move(((clientX - left) / width - 1) * SECONDS);
  });
  node.addEventListener('pointerleave', leave);
  node.addEventListener('blur', leave);
  node.addEventListener('keydown', (event) => {
    const now = Number(node.getAttribute('aria-valuenow'));
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now + 10, PageDown: now - 10, Home: -SECONDS, End: 0 };
    if (event.key === 'Escape') leave();
    if (!(event.key in to)) return;
    event.preventDefault();
    move(to[event.key]);
  });
  return node;
}

function describe(operation, ago) {
  const t = operation.at + ago * 1000;
  const sample = operation.sampleAt(t);
  const state = operation.stateAt(t);
  const said = [clock(t)];
  if (state) said.push(words(state));
  if (!sample) return [...said, 'nothing known'].join(' · ');
  const { rates } = sample;
  said.push(`success ${rate(rates.successes)}/s`);
  if (rates.caller_faults > 0) said.push(`caller faults ${rate(rates.caller_faults)}/s`);
  if (rates.failures > 0) said.push(`failures ${rate(rates.failures)}/s`);
  if (rates.timed_out > 0) said.push(`timed out ${rate(rates.timed_out)}/s`);
  if (rates.rejected > 0) said.push(`rejected ${rate(rates.rejected)}/s`);
  if (sample.p50 !== null) said.push(`p50 ${latency(sample.p50)}`);
  if (sample.p99 !== null) said.push(`p99 ${latency(sample.p99)}`);
  return said.join(' · ');
}
