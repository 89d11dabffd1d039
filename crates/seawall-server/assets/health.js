// The one sentence that says how things are, in the header, in the tab's title and its icon.

import { byId, changeIcon, put, set } from './dom.js';
import { clock, duration, names, words } from './format.js';
import { LEVELS } from './operation.js';

const ICONS = { open: 'open', degraded: 'degraded', healthy: 'closed' };
// Shapes that differ even where colours do not: a cross, a bar, a full disc.
const FAVICONS = {
  open: '<circle cx="8" cy="8" r="8" fill="#b3261e"/><path d="M5 5l6 6m0-6l-6 6" stroke="#fff" stroke-width="2"/>',
  degraded: '<path d="M8 0l8 15H0z" fill="#c77700"/><path d="M8 5v5m0 1.500v1.5" stroke="#fff" stroke-width="2"/>',
  healthy: '<circle cx="8" cy="8" r="7" fill="#2b7a69"/>',
  unknown: '<circle cx="8" cy="8" r="6.5" fill="none" stroke="#777" stroke-width="2" stroke-dasharray="3 2"/>',
};

/** The level of the whole, and the sentence. */
export function judge({ health }, operations) {
  const broken = brokenOf(health);
  const total = health.total_circuit_breakers;
  const degraded = [...operations.values()].filter((one) => one.look.level === 'degraded');
  const said = [];
  if (broken.length > 0) said.push(circuits(broken, total, operations));
  if (degraded.length > 0) said.push(failing(degraded));
  if (said.length === 0) said.push(health.healthy ? calm(total, operations.size) : 'not healthy');
  const text = said.join('; ');
  return { level: level(health, degraded), text: text[0].toUpperCase() + text.slice(1) };
}

/** "1 open · 1 degraded · 6 healthy". */
export function tally(operations) {
  const found = LEVELS.map((one) => [one, [...operations.values()].filter(({ look }) => look.level === one).length]);
  return found.filter(([, many]) => many > 0).map(([one, many]) => `${many} ${words(one)}`).join(' · ');
}

/** Shows it. A sentence about a stream that was cut says so first. */
export function show({ level: how, text }, stale) {
  const shown = stale ? 'unknown' : how;
  set(byId('health'), 'data-level', shown);
  changeIcon(byId('health').querySelector('svg'), stale ? 'off' : ICONS[how]);
  put(byId('sentence'), stale ? `Unknown now. Last seen: ${text}` : text);
  const title = `${stale ? '? ' : ''}${text} – Seawall`;
  if (document.title !== title) document.title = title;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${FAVICONS[shown]}</svg>`;
  set(byId('favicon'), 'href', `data:image/svg+xml,${encodeURIComponent(svg)}`);
}

/** A circuit is open, half-open while a probe is out, and open again: one outage, and one sentence. */
function brokenOf(health) {
  return [...health.open_circuit_breakers, ...health.half_open_circuit_breakers].sort();
}

function level(health, degraded) {
  if (brokenOf(health).length > 0) return 'open';
  return degraded.length > 0 || !health.healthy ? 'degraded' : 'healthy';
}

/** "1 of 3 circuits open: chat, since 02:59:48 (12 s)". */
function circuits(list, total, operations) {
  const known = list.map((name) => operations.get(name)).filter((one) => one?.data);
  const text = `${list.length} of ${total} ${total === 1 ? 'circuit' : 'circuits'} open: ${names(list)}`;
  if (known.length === 0) return text;
  const from = Math.min(...known.map((one) => one.brokenSince ?? one.since ?? one.at));
  return `${text}, since ${clock(from)} (${duration(known[0].at - from)})`;
}

function failing(degraded) {
  const many = degraded.length === 1 ? '1 operation' : `${degraded.length} operations`;
  return `${many} degraded: ${names(degraded.map((one) => one.data.name))}`;
}

function calm(circuitCount, operationCount) {
  if (circuitCount > 0) return circuitCount === 1 ? 'the circuit is closed' : `all ${circuitCount} circuits closed`;
  return operationCount > 0 ? 'healthy; no circuit breakers' : 'no operations yet';
}
