// The dashboard: takes the stream's messages, keeps what they say, and has the parts show it.

import { Alerts } from './alerts.js';
import { key } from './api.js';
import { brakeControl } from './brake.js';
import { Cards } from './cards.js';
import { ConfigurationPage } from './configuration.js';
import { showConnection } from './connection.js';
import { byId, put } from './dom.js';
import { Tail } from './events.js';
import { FleetPage } from './fleet.js';
import { duration, zone } from './format.js';
import { judge, show, tally } from './health.js';
import { askForKey } from './key.js';
import { LettersPage } from './letters.js';
import { LimitsPage } from './limits.js';
import { OperationPage } from './operation-page.js';
import { Operation } from './operation.js';
import { follow } from './route.js';
import { Stream } from './stream.js';
import { Timeline } from './timeline.js';

/** Name → Operation. */
let operations = new Map();
/** The last snapshot, what it amounts to, and when it came by this browser's clock. */
let snapshot = null;
let verdict = null;
let seen = 0;
let stale = false;
let drawing = false;
let view = 'overview';

const tail = new Tail();
const alerts = new Alerts(byId('alerts'), byId('alerts-title'));
const brake = brakeControl();
const page = new OperationPage();
const timeline = new Timeline();
const letters = new LettersPage();
const limits = new LimitsPage();
const fleet = new FleetPage();
const configuration = new ConfigurationPage();
const cards = new Cards(byId('cards'), (name) => {
  tail.show(name);
  byId('events').scrollIntoView({ block: 'nearest' });
  byId('event-filter').focus();
});
const stream = new Stream({ message, changed, unauthorized });

function message(event, data) {
  if (event === 'snapshot') takeSnapshot(data);
  if (event === 'event') takeEvent(data);
}

function takeSnapshot(data) {
  const at = Date.parse(data.at);
  const before = operations;
  operations = new Map();
  const news = [];
  for (const entry of data.operations) {
    const operation = before.get(entry.name) ?? new Operation();
    const was = operation.data && operation.look;
    const level = operation.look.level;
    operation.take(entry, at);
    operations.set(entry.name, operation);
    // A probe that comes and goes is no news of an outage that lasts.
    const lasts = level === 'open' && operation.look.level === 'open' && !operation.data.circuit?.state.startsWith('forced');
    if (was && !lasts && was.word !== operation.look.word) news.push(operation);
  }
  snapshot = data;
  seen = Date.now();
  verdict = judge(data, operations);
  announce(news, stale);
  tick();
  schedule();
}

function takeEvent(event) {
  page.heed(event);
  timeline.heed(event);
  if (event.kind === 'circuit_changed') {
    // The stream's first events may come before its first snapshot.
    if (!operations.has(event.operation)) operations.set(event.operation, new Operation());
    operations.get(event.operation).changed(event.text, Date.parse(event.at));
  }
  if (event.kind === 'forced' && operations.has(event.operation)) operations.get(event.operation).forcedWhy = event.text;
  tail.take(event);
}

/** Draws once a frame, and not while the tab is hidden; what came meanwhile is kept. */
function schedule() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  // One that is only known from an event so far has nothing to show.
  const known = new Map([...operations].filter(([, operation]) => operation.data));
  // Only what is looked at.
  if (view === 'overview') {
    alerts.draw(snapshot.alerts, Date.parse(snapshot.at));
    brake.follow(snapshot.repeats_paused);
    cards.draw(known);
    put(byId('tally'), tally(known));
  }
  if (view === 'operation') page.draw(known, snapshot);
  if (view === 'letters') letters.draw(snapshot);
  if (view === 'limits') limits.draw();
  fleet.draw();
  if (view === 'timeline') timeline.draw(known, snapshot);
  configuration.follow(snapshot.revision);
  put(byId('preset'), snapshot.preset);
  put(byId('revision'), String(snapshot.revision));
  put(byId('version'), snapshot.version);
  put(byId('uptime'), duration(snapshot.uptime_ms));
}

/** Once a second, and when the connection changes: the banner, the sentence, the tab's title. */
function tick() {
  const was = stale;
  stale = showConnection(stream, seen, snapshot ? Date.parse(snapshot.at) : 0);
  document.body.classList.toggle('stale', stale && snapshot !== null);
  if (verdict) show(verdict, stale);
  if (stale && !was) {
    say(byId('banner-text').textContent);
    tail.note(byId('banner-text').textContent);
  }
  if (was && !stale) tail.note('connected again');
}

function changed() {
  tick();
}

async function unauthorized() {
  let given = await askForKey();
  while (!given) {
    // Declined. The banner's button asks again.
    await new Promise((resolve) => byId('banner-act').addEventListener('click', resolve, { once: true }));
    given = await askForKey();
  }
  byId('forget').hidden = false;
}

/** Reads out changes of state, not numbers. A storm is told by its sentence. */
function announce(news, wasStale) {
  if (byId('live').textContent === '' || wasStale || news.length > 3) say(verdict.text);
  else if (news.length > 0) say(news.map(({ data, look }) => told(data, look)).join(' '));
}

function told({ name, circuit }, look) {
  return `${name}: ${look.word}.${circuit?.reason ? ` ${circuit.reason}.` : ''}`;
}

function say(text) {
  put(byId('live'), text);
}

byId('brake').replaceWith(brake.button);
byId('brake-panel').replaceWith(brake.panel);
byId('banner-act').addEventListener('click', () => stream.retryNow());
byId('forget').hidden = !key.get();
byId('forget').addEventListener('click', () => {
  key.forget();
  byId('forget').hidden = true;
  stream.reopen();
});
put(byId('zone'), `times in ${zone()}`);
follow((route) => {
  view = route.view;
  byId('events').hidden = !['overview', 'operation'].includes(view);
  tail.scope(view === 'operation' ? route.rest[0] : '');
  page.show(view === 'operation' ? route.rest[0] : '');
  letters.show(view === 'letters' ? (route.rest[0] ?? 'groups') : '');
  limits.show(view === 'limits');
  fleet.show(view === 'fleet');
  timeline.show(view === 'timeline');
  configuration.show(view === 'configuration' ? (route.rest[0] ?? 'change') : '');
  if (snapshot) schedule();
});
setInterval(tick, 1000);
stream.run();
