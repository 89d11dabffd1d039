// What a card says of its operation in words: since when, until when, what is being done, and why.

import { clock, count, countdown, duration, percent, rate } from './format.js';
import { acts, harmed } from './operation.js';

/** "for 12 s, since 02:59:48; not closed since 02:31:07". */
export function since(operation) {
  const { circuit } = operation.data;
  const spent = (from) => `for ${duration(operation.at - from)}, since ${clock(from)}`;
  if (operation.since === null) return 'no circuit breaker';
  if (operation.look.word === 'Degraded') {
    const closed = circuit ? `; circuit closed for ${duration(circuit.in_state_ms)}` : '; no circuit breaker';
    return spent(operation.since) + closed;
  }
  const { brokenSince } = operation;
  const longer = brokenSince !== null && operation.since - brokenSince > 1000;
  return spent(operation.since) + (longer ? `; not closed since ${clock(brokenSince)}` : '');
}

export function probe(circuit) {
  const wait = circuit?.next_probe_in_ms ?? null;
  if (wait === null || circuit.state !== 'open' || !acts(circuit)) return '';
  return wait > 0 ? `next probe in ${countdown(wait)}` : 'the next call will be a probe';
}

/** What the policies do about it, in one line. */
export function doing(operation) {
  const { rates, circuit, queued, repeats_paused: paused } = operation.data;
  const said = [];
  const refusing = rates.rejected > 0 ? `refusing ${rate(rates.rejected)} calls/s` : 'refusing calls';
  if (circuit && !acts(circuit)) {
    const does = circuit.state === 'closed' ? 'refuses nothing' : 'would refuse calls, and refuses nothing';
    said.push(circuit.mode === 'shadow' ? `the circuit is in shadow: it ${does}` : 'the circuit breaker is off: nothing protects here');
  }
  switch (circuit && acts(circuit) ? circuit.state : '') {
    case 'open':
      said.push(refusing);
      break;
    case 'forced_open':
      said.push('held open by an operator', refusing, 'no probe will run');
      break;
    case 'half_open':
      said.push('letting a few probes pass, refusing the rest');
      break;
    case 'forced_closed':
      said.push('held closed by an operator: failures do not open it');
      break;
    case 'disabled':
      said.push('the circuit breaker is off');
      break;
    default:
      if (circuit?.state === 'closed' && circuit.failure_count > 0) {
        said.push(`${circuit.failure_count} failures counted, opens at ${circuit.threshold}`);
      }
  }
  if (operation.look.word === 'Degraded') {
    const bad = 1 - (operation.success ?? 1);
    said.unshift(bad < 0.001 ? 'calls succeed again' : `${percent(bad)} of calls fail or are rejected`);
  }
  if (rates.retries > 0 && harmed(rates) > 0) said.push(`retrying ${rate(rates.retries)}/s`);
  if (paused) said.push('an operator has paused retries and hedges');
  if (rates.fallbacks > 0) said.push(`fallback answers ${rate(rates.fallbacks)}/s`);
  if (queued > 0) said.push(`${count(queued)} queued`);
  return said.join(' · ');
}

export function why({ data: { circuit }, brokenWhy, forcedWhy }) {
  if (!circuit?.reason) return '';
  const isForced = circuit.state.startsWith('forced') || circuit.state === 'disabled';
  if (isForced && forcedWhy) return `why: ${forcedWhy}`;
  if (circuit.state === 'closed') return `last change: ${circuit.reason}`;
  const first = brokenWhy && brokenWhy !== circuit.reason ? `; at first: ${brokenWhy}` : '';
  return `why: ${circuit.reason}${first}`;
}
