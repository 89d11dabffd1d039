// The last hour of one operation: calls a minute by outcome, and the circuit's worst state of each minute.
// The server keeps it, so a page that was just opened has it too, and flapping is visible.

import { el, put, set, svg } from './dom.js';
import { count, niceCeiling } from './format.js';

const MINUTES = 60;
const HEIGHT = 30;
/** What a cell's character means, in the order of the paths. */
const STATES = { c: 'closed', s: 'shadow', h: 'half_open', o: 'open', f: 'forced' };
const WORDS = { c: 'closed', s: 'would refuse in shadow', h: 'half-open', o: 'open', f: 'forced', '-': 'without a circuit' };
const OUTCOMES = ['success', 'caller-fault', 'failure', 'rejected'];

/** `node` and `draw(data)`, which takes an entry of the snapshot. */
export function hourChart() {
  const bars = OUTCOMES.map((name) => svg('path', { class: `band ${name}` }));
  const outcomes = picture(HEIGHT, bars);
  const cells = Object.values(STATES).map((name) => svg('path', { class: `stay ${name}` }));
  const circuit = picture(10, cells);
  const scale = el('span', { class: 'scale' });
  const strip = el('div', { class: 'chart strip' }, circuit);
  const axis = el('div', { class: 'axis', 'aria-hidden': 'true' });
  axis.append(...['−60 min', '−30 min', 'now'].map((text) => el('span', {}, text)));
  const node = el('div', { class: 'hour' }, el('div', { class: 'chart minutes' }, outcomes, scale), strip, axis);

  const draw = ({ minutes, hour, circuit: has }) => {
    const totals = minutes.map(({ calls }) => calls);
    const top = niceCeiling(Math.max(0, ...totals), 1);
    const paths = stacked(minutes, top);
    bars.forEach((bar, n) => set(bar, 'd', paths[n]));
    put(scale, `${count(top)} calls/min`);
    set(outcomes, 'aria-label', sums(minutes));
    strip.hidden = !has;
    if (!has) return;
    Object.keys(STATES).forEach((state, n) => set(cells[n], 'd', blocks(hour, state)));
    set(circuit, 'aria-label', told(hour));
  };
  return { node, draw };
}

/** The strip in words: how long in which state, and when it was not closed. */
export function told(hour) {
  const said = Object.keys(WORDS).flatMap((state) => {
    const minutes = [...hour].filter((one) => one === state).length;
    return minutes > 0 && state !== '-' ? [`${WORDS[state]} in ${minutes}`] : [];
  });
  const spells = runs(hour).filter(({ state }) => 'ohf'.includes(state));
  const last = spells.slice(-4).map(({ state, from, to }) => {
    const [ago, end] = [hour.length - from, hour.length - to];
    return `${WORDS[state]} ${ago === 1 ? 'now' : end === 0 ? `for ${ago} min, until now` : `from ${ago} to ${end} min ago`}`;
  });
  const seen = `The circuit, minute by minute of the last ${hour.length}: ${said.join(', ') || 'nothing known'}.`;
  return last.length > 0 ? `${seen} ${spells.length} times not closed; latest: ${last.join('; ')}.` : seen;
}

function sums(minutes) {
  const sum = (field) => minutes.reduce((all, minute) => all + minute[field], 0);
  const parts = `${sum('failed')} failed, ${sum('rejected')} rejected, ${sum('caller_faults')} caller faults, ${sum('retries')} retries`;
  return `The last hour: ${sum('calls')} calls, of which ${parts}.`;
}

/** `{ state, from, to }` for each run of equal cells. */
export function runs(hour) {
  const found = [];
  [...hour].forEach((state, n) => {
    if (found.at(-1)?.state === state) found.at(-1).to = n + 1;
    else found.push({ state, from: n, to: n + 1 });
  });
  return found;
}

function picture(height, children) {
  const box = { viewBox: `0 0 ${MINUTES} ${height}`, preserveAspectRatio: 'none', role: 'img' };
  return svg('svg', box, ...children);
}

/** The newest minute stands at the right edge, whatever is known before it. */
function blocks(hour, state) {
  const first = MINUTES - hour.length;
  const cells = [...hour].map((one, n) => (one === state ? `M${first + n + 0.08} 0h.84v10h-.84z` : ''));
  return cells.join('');
}

function stacked(minutes, top) {
  const first = MINUTES - minutes.length;
  const paths = OUTCOMES.map(() => '');
  minutes.forEach(({ calls, caller_faults: spoiled, failed, rejected }, n) => {
    const parts = [Math.max(0, calls - spoiled - failed - rejected), spoiled, failed, rejected];
    let floor = HEIGHT;
    parts.forEach((part, kind) => {
      const height = Math.min(floor, (part / top) * HEIGHT);
      if (height <= 0) return;
      floor -= height;
      paths[kind] += `M${first + n + 0.08} ${floor.toFixed(2)}h.84v${height.toFixed(2)}h-.84z`;
    });
  });
  return paths;
}
