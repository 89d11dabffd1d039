// Charts of the last two minutes, drawn as SVG paths that are rewritten once a second. The elements stay
// the same for the life of a card, so that nothing piles up. Time runs to the right in the same
// scale on every card: what broke first stands further left.

import { el, put, set, svg } from './dom.js';
import { count, duration, latency, niceCeiling, rate, roundLatency, words } from './format.js';
import { HOLE, SPAN } from './operation.js';

// The charts' own units; the browser stretches them to the card.
const W = 480;
const H = 100;

const BANDS = [
  ['successes', 'success'],
  ['caller_faults', 'caller-fault'],
  ['failures', 'failure'],
  ['timed_out', 'timeout'],
  ['rejected', 'rejected'],
];

/** Stacked calls per second by outcome. */
export function rateChart() {
  const bands = BANDS.map(([field, name]) => [field, svg('path', { class: `band ${name}` })]);
  // A pattern, so that refused calls differ from failed ones by more than colour. By attribute: browsers
  // disagree about what a bare #fragment in a style sheet is relative to.
  set(bands.at(-1)[1], 'fill', 'url(#hatch)');
  const chart = frame('rates', bands.map(([, path]) => path));
  chart.draw = (operation) => {
    const total = (sample) => BANDS.reduce((sum, [field]) => sum + sample.rates[field], 0);
    const peak = Math.max(0, ...operation.samples.map(total));
    const top = niceCeiling(peak, 1);
    const runs = unbroken(operation.samples);
    const floors = new Map(operation.samples.map((sample) => [sample, 0]));
    for (const [field, path] of bands) {
      set(path, 'd', runs.map((run) => band(run, operation.at, top, field, floors)).join(''));
    }
    put(chart.scale, `${count(top)} calls/s`);
    put(chart.note, peak === 0 ? 'no calls in this time' : '');
    describe(chart.picture, `Calls per second, the last two minutes: at most ${rate(peak)}.`);
  };
  return chart;
}

/** Median and 99th percentile of latency. */
export function latencyChart() {
  const lines = ['p99', 'p50'].map((field) => [field, svg('path', { class: `line ${field}` })]);
  const chart = frame('latencies', lines.map(([, path]) => path));
  chart.draw = (operation) => {
    const known = operation.samples.flatMap(({ p50, p99 }) => [p50 ?? 0, p99 ?? 0]);
    const peak = Math.max(0, ...known);
    const top = niceCeiling(peak, 0.1);
    for (const [field, path] of lines) {
      const runs = unbroken(operation.samples.filter((sample) => sample[field] !== null));
      set(path, 'd', runs.map((run) => line(run, operation.at, top, field)).join(''));
    }
    put(chart.scale, peak > 0 ? `${roundLatency(top)} latency` : '');
    put(chart.note, peak > 0 ? '' : 'no latency measured');
    describe(chart.picture, `Latency, the last two minutes: p99 at most ${latency(peak)}.`);
  };
  return chart;
}

/** The circuit's state over the same time. */
export function stateStrip() {
  const picture = svg('svg', { viewBox: `0 0 ${W} 10`, preserveAspectRatio: 'none', role: 'img' });
  const node = el('div', { class: 'chart strip' }, picture);
  const draw = (operation) => {
    const stays = operation.stays.filter((stay) => stay.to > operation.at - SPAN);
    while (picture.childElementCount > stays.length) picture.lastChild.remove();
    while (picture.childElementCount < stays.length) picture.append(svg('rect', { y: 0, height: 10 }));
    stays.forEach((stay, n) => {
      const [from, to] = [x(stay.from, operation.at), x(stay.to, operation.at)];
      const rect = picture.children[n];
      set(rect, 'class', `stay ${stay.state}`);
      set(rect, 'x', from.toFixed(1));
      // Even the shortest stay is seen.
      set(rect, 'width', Math.max(1.5, to - from).toFixed(1));
    });
    const said = stays.map((stay) => `${words(stay.state)} ${duration(stay.to - Math.max(stay.from, operation.at - SPAN))}`);
    describe(picture, `The circuit, the last two minutes: ${said.join(', then ')}.`);
  };
  return { node, draw };
}

/** A chart with the value of its upper edge, and a note for when it is empty. */
function frame(kind, paths) {
  const picture = svg(
    'svg',
    { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: 'none', role: 'img' },
    svg('path', { class: 'grid', d: `M0 ${H / 2}H${W}` }),
    ...paths,
  );
  const scale = el('span', { class: 'scale' });
  const note = el('span', { class: 'note' });
  return { node: el('div', { class: `chart ${kind}` }, picture, scale, note), picture, scale, note };
}

function describe(picture, text) {
  set(picture, 'aria-label', text);
}

/** Where an instant lies. */
function x(t, now) {
  return Math.max(0, ((t - now + SPAN) / SPAN) * W);
}

/** Cuts samples where snapshots are missing: a line across a hole would claim what nobody saw. */
function unbroken(samples) {
  const runs = [];
  let before = -Infinity;
  for (const sample of samples) {
    if (sample.t - before > HOLE) runs.push([]);
    runs.at(-1).push(sample);
    before = sample.t;
  }
  return runs;
}

/** One outcome's area over a run of samples, on top of `floors`, which it raises. */
function band(run, now, top, field, floors) {
  const above = [];
  const below = [];
  for (const [at, sample] of spread(run)) {
    const floor = floors.get(sample);
    above.push(point(at, now, (floor + sample.rates[field]) / top));
    below.push(point(at, now, floor / top));
  }
  for (const sample of run) floors.set(sample, floors.get(sample) + sample.rates[field]);
  return `M${above.join('L')}L${below.reverse().join('L')}Z`;
}

function line(run, now, top, field) {
  return `M${spread(run).map(([at, sample]) => point(at, now, sample[field] / top)).join('L')}`;
}

/** A sample stands for the second before it, so a run begins a second early, and one alone is seen. */
function spread(run) {
  return [[run[0].t - 1000, run[0]], ...run.map((sample) => [sample.t, sample])];
}

function point(t, now, share) {
  return `${x(t, now).toFixed(1)} ${(H - share * H).toFixed(1)}`;
}
