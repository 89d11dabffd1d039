// What the page knows of one operation: the last snapshot, two minutes of history, and the judgement
// how bad it is. It never touches the DOM.

/** How far back the charts look. */
export const SPAN = 120_000;
/** Samples further apart than this have a hole between them, which charts leave open. */
export const HOLE = 2500;

/** A snapshot and an event of one change tell instants that differ by this much at most. */
const SAME = 250;
const MINUTES = 60;
const UNSEEN = { calls: 0, failed: 0, rejected: 0, retries: 0, circuit: '-' };

/** Worst first; the index is the rank. */
export const LEVELS = ['open', 'degraded', 'healthy'];

// An operation whose circuit is closed is degraded when this share of calls fails or is rejected. It is
// called healthy again only below the lower bound and after a while, or it would jump about the list.
const DEGRADED_FROM = 0.05;
const HEALTHY_BELOW = 0.02;
const DEGRADED_AT_LEAST = 10_000;

const LOOKS = {
  open: { level: 'open', icon: 'open', word: 'Open' },
  forced_open: { level: 'open', icon: 'held', word: 'Forced open' },
  // Between two probes it is the same outage: it keeps its rank, or cards would change places with each probe.
  half_open: { level: 'open', icon: 'half-open', word: 'Half-open' },
  // An override is not a fault, but whoever is called at night must know that nothing protects here.
  forced_closed: { level: 'degraded', icon: 'held', word: 'Forced closed' },
  disabled: { level: 'degraded', icon: 'off', word: 'Disabled' },
};
/** Whether what the circuit decides is done. In shadow it would refuse and refuses nothing; off, it is not asked. */
export const acts = (circuit) => !circuit.mode || circuit.mode === 'enforce';
const DEGRADED = { level: 'degraded', icon: 'degraded', word: 'Degraded' };
const CLOSED = { level: 'healthy', icon: 'closed', word: 'Closed' };
const HEALTHY = { level: 'healthy', icon: 'closed', word: 'Healthy' };

export class Operation {
  /** The last snapshot's entry, and when it was taken (the server's clock). */
  data;
  at = 0;
  /** One per snapshot, oldest first: `{ t, rates, p50, p99 }`. */
  samples = [];
  /** The circuit's states, oldest first: `{ state, from, to, told }`, told by an event. Holes are unknown. */
  stays = [];
  /** Since when the circuit has not been closed, failed probes included; null while it is. */
  brokenSince = null;
  /** Why it left the closed state. A later reason, "a probe failed", says less. */
  brokenWhy = '';
  /** Why an operator forced it, as far as an event or its page told. */
  forcedWhy = '';
  /** The level, icon and word to show. */
  look = HEALTHY;

  #minute = 0;
  #minutes = [];
  #degradedSince = null;
  #lastBad = 0;

  /** Takes an entry of the snapshot of the instant `at`. */
  take(data, at) {
    data.minutes = lastHour(this.data, data);
    this.data = { ...data, minutes: this.#hour(data) };
    this.at = at;
    const { rates, latency_ms: latency } = data;
    this.samples.push({ t: at, rates, p50: latency?.p50 ?? null, p99: latency?.p99 ?? null });
    this.#forget(at);
    if (data.circuit) this.#stay(data.circuit, at);
    this.#judge(at);
  }

  /** Takes note of an event `closed → open: why`: the strip has each change of state where it happened, also
   *  those that came and went between two snapshots. */
  changed(text, at) {
    const [, from, to, why] = /^(\w+) → (\w+)(?:: )?(.*)/s.exec(text) ?? [];
    if (!to) return;
    if (from === 'closed' && /^(half_)?open$/.test(to)) this.brokenWhy = why;
    if (to === 'closed') this.brokenWhy = '';
    this.#enter(from, to, at);
  }

  /** Since when the operation has been as it looks. */
  get since() {
    if (this.look === DEGRADED) return this.#degradedSince;
    return this.data.circuit ? this.at - this.data.circuit.in_state_ms : null;
  }

  /** The share of calls that were answered by the operation; null without calls. */
  get success() {
    const bad = harmed(this.data.rates);
    const ended = this.data.rates.successes + bad;
    return ended > 0 ? this.data.rates.successes / ended : null;
  }

  /** How much it matters among its equals: what is lost where something is wrong, else traffic. */
  get weight() {
    const of = this.look.level === 'healthy' ? (rates) => rates.calls : harmed;
    return this.samples.reduce((sum, { rates }) => sum + of(rates), 0) / this.samples.length;
  }

  /** The sample that covers the instant `t`, if there is one. */
  sampleAt(t) {
    const sample = this.samples.findLast((one) => one.t <= t + 1000);
    return sample && t - sample.t < HOLE ? sample : undefined;
  }

  stateAt(t) {
    return this.stays.findLast((stay) => stay.from <= t && t <= stay.to)?.state;
  }

  /** A stream's first snapshot has the last hour, those after it the present minute only. */
  #hour({ minute, minutes }) {
    const begun = minute - this.#minute;
    this.#minute = minute;
    // Also where the server was started anew, and counts from one again.
    if (minutes.length !== 1 || !(begun >= 0) || begun >= MINUTES) return (this.#minutes = minutes);
    const missed = Array.from({ length: Math.max(0, begun - 1) }, () => UNSEEN);
    const before = begun === 0 ? this.#minutes.slice(0, -1) : this.#minutes;
    this.#minutes = [...before, ...missed, ...minutes].slice(-MINUTES);
    return this.#minutes;
  }

  /** A change of state at an instant. Events come in order, and may come after the snapshot that has their state. */
  #enter(from, to, at) {
    // The snapshot was first, and the event knows the instant; or the event came before, and comes again.
    const is = ({ state, from: began, told }) => state === to && (told ? began === at : Math.abs(began - at) <= SAME);
    const known = this.stays.findIndex(is);
    if (known >= 0) {
      if (known > 0) this.stays[known - 1].to = at;
      Object.assign(this.stays[known], { from: at, told: true });
      return;
    }
    // What is known from a later snapshot is known anew from the events, which are more exact.
    const later = this.stays.findIndex((stay) => stay.from > at);
    if (later >= 0) this.stays.length = later;
    const last = this.stays.at(-1);
    if (last) last.to = at;
    else this.stays.push({ state: from, from: at - SPAN, to: at });
    this.stays.push({ state: to, from: at, to: Math.max(at, this.at), told: true });
  }

  /** The state of a snapshot goes on from the last change; a change that no event told began when it says. */
  #stay({ state, in_state_ms, broken_for_ms, reason }, at) {
    const from = at - in_state_ms;
    const last = this.stays.at(-1);
    if (last?.state === state) {
      last.to = at;
    } else if (!last || from >= last.from) {
      if (last) last.to = Math.max(last.from, from);
      this.stays.push({ state, from: Math.max(from, last?.to ?? from), to: at });
    }
    this.brokenSince = typeof broken_for_ms === 'number' ? at - broken_for_ms : null;
    if (this.brokenSince === null) this.brokenWhy = '';
    else this.brokenWhy ||= reason ?? '';
  }

  #judge(at) {
    const bad = 1 - (this.success ?? 1);
    if (bad >= DEGRADED_FROM || (this.#degradedSince !== null && bad >= HEALTHY_BELOW)) {
      this.#degradedSince ??= at;
      this.#lastBad = at;
    } else if (at - this.#lastBad > DEGRADED_AT_LEAST) {
      this.#degradedSince = null;
    }
    const { circuit } = this.data;
    if (circuit && !acts(circuit)) {
      // It refuses nobody: how the operation stands is how its calls end.
      const word = circuit.mode === 'shadow' ? `Shadow: ${circuit.state === 'closed' ? 'closed' : 'would refuse'}` : 'Off';
      const level = this.#degradedSince === null ? 'healthy' : 'degraded';
      this.look = { level, icon: 'off', word };
    } else if (circuit && circuit.state !== 'closed') {
      // A state of a newer server is shown by its own name, and as nothing to sleep through.
      this.look = LOOKS[circuit.state] ?? { ...DEGRADED, word: circuit.state };
    } else if (this.#degradedSince !== null) {
      this.look = DEGRADED;
    } else {
      this.look = circuit ? CLOSED : HEALTHY;
    }
  }

  #forget(at) {
    const oldest = at - SPAN - HOLE;
    // A clock that was set back leaves samples in the future; they would sort wrongly for ever.
    this.samples = this.samples.filter((one) => one.t > oldest && one.t <= at);
    this.stays = this.stays.filter((stay) => stay.to > oldest && stay.from <= at);
  }
}

/** Calls a second that did not get the operation's answer. */
export function harmed({ failures, timed_out, rejected }) {
  return failures + timed_out + rejected;
}

/** The minutes of the last hour. Only a stream's first snapshot has them all; those after it the present one. */
function lastHour(before, { minutes, minute }) {
  const begun = minute - (before?.minute ?? -Infinity);
  if (minutes.length !== 1 || begun < 0 || begun > 1) return minutes;
  return [...(begun ? before.minutes : before.minutes.slice(0, -1)), ...minutes].slice(-60);
}
