// The form for the fields that are changed most. Each field is a path in the change's JSON; an empty one is
// not part of the change.

import { el, put } from './dom.js';
import { at } from './leaves.js';
import { shown } from './policies.js';
import { get, send } from './send.js';

const CUSTOM = [
  ['retry_attempts', 'Attempts in all', 'the first included'],
  ['circuit_breaker_threshold', 'Failures that open a circuit', 'in a row'],
  ['recovery_timeout', 'Recovery timeout', 'seconds that a circuit stays open'],
  ['default_strategy', 'Strategy', 'where an operation names none', 'strategy'],
  ['exponential_multiplier', 'Backoff multiplier', 'what waits are multiplied by'],
  ['exponential_min', 'Shortest wait', 'seconds'],
  ['exponential_max', 'Longest wait', 'seconds, before jitter'],
  ['jitter_enabled', 'Jitter', 'whether a random part is added', 'boolean'],
  ['jitter_max', 'Longest jitter', 'seconds'],
  ['max_delay_seconds', 'Longest time of retries', 'seconds'],
].map(([name, ...rest]) => [['custom', name], ...rest]);

const GROUPS = [
  ['Preset', [[['preset'], 'Preset', 'what operations start from', 'preset'], ...CUSTOM]],
  [
    'Server',
    [
      [['drain_timeout'], 'Drain timeout', 'how long requests may take to finish, such as 30s'],
      [['limits', 'client_timeout'], 'Client timeout', 'longest pause in a request, such as 30s'],
      [['limits', 'max_body_bytes'], 'Longest body', 'bytes'],
    ],
  ],
  [
    'Alerts',
    [
      [['monitoring', 'alerts', 'error_share_warning'], 'Failed share: warning', '0 to 1'],
      [['monitoring', 'alerts', 'error_share_critical'], 'Failed share: critical', '0 to 1'],
      [['monitoring', 'alerts', 'p95_warning'], 'p95 latency: warning', 'such as 2s'],
      [['monitoring', 'alerts', 'circuit_open'], 'Circuit open: critical', 'after this long, such as 5m'],
    ],
  ],
];

export class Fields {
  #form;
  #fields = [];
  #bounds = {};

  /** `edited(keys, value)` is called when a field was changed; undefined takes it away. */
  constructor(form, edited) {
    this.#form = form;
    form.addEventListener('submit', (event) => event.preventDefault());
    for (const [legend, fields] of GROUPS) {
      const nodes = fields.map((field) => this.#field(field, edited));
      form.append(el('fieldset', {}, el('legend', {}, legend), ...nodes));
    }
  }

  /** Asks once for what may be chosen, and for bounds. */
  async prepare() {
    const presets = await get('/config/presets');
    const wanted = Object.fromEntries(CUSTOM.map(([[, name]]) => [name, 1]));
    // Where validation is switched off the bounds stay unknown; the check still tells them.
    const bounds = await send('POST', '/config/validate/field-whitelist', { configuration: wanted });
    for (const [name, { constraints }] of Object.entries(bounds.data?.field_analysis ?? {})) {
      this.#bounds[name] = constraints ?? {};
    }
    const choices = {
      preset: (presets.ok ? presets.data : []).map(({ name, description }) => [name, `${name}: ${description}`]),
      strategy: (this.#bounds.default_strategy?.enum ?? []).map((name) => [name, name]),
    };
    for (const { kind, input } of this.#fields) {
      if (!(kind in choices)) continue;
      const options = choices[kind].map(([value, word]) => el('option', { value }, word));
      input.replaceChildren(el('option', { value: '' }, 'as it is'), ...options);
    }
  }

  /** Shows what the draft says, and what is in force. */
  draw(draft, config) {
    for (const { keys, input, hint, about } of this.#fields) {
      const value = at(draft, keys);
      const text = value === undefined ? '' : shown(value);
      // A name that is not among the choices is still shown.
      if (input.tagName === 'SELECT' && ![...input.options].some((option) => option.value === text)) {
        input.append(el('option', { value: text }, text));
      }
      if (input.value !== text && document.activeElement !== input) input.value = text;
      put(hint, [about, this.#span(keys), inForce(keys, config)].filter(Boolean).join(' · '));
    }
  }

  /** Marks the fields that mistakes are about. */
  mark(mistakes) {
    for (const { keys, input, fault } of this.#fields) {
      const mine = mistakes.find(({ path }) => path === keys.join('.'));
      put(fault, mine ? `${mine.message}${mine.right ? ` → ${mine.right}` : ''}` : '');
      if (mine) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
    }
  }

  set disabled(off) {
    for (const set of this.#form.children) set.disabled = off;
  }

  #field([keys, label, about, kind = 'text'], edited) {
    const id = `field-${keys.join('-')}`;
    const input = kind === 'text' ? el('input', { type: 'text', autocomplete: 'off', spellcheck: 'false' }) : el('select');
    if (kind === 'boolean') {
      const options = [['', 'as it is'], ['true', 'yes'], ['false', 'no']];
      input.append(...options.map(([value, word]) => el('option', { value }, word)));
    }
    input.id = id;
    input.setAttribute('aria-describedby', `${id}-hint ${id}-fault`);
    const hint = el('span', { class: 'hint', id: `${id}-hint` });
    const fault = el('span', { class: 'fault', id: `${id}-fault` });
    input.addEventListener('input', () => edited(keys, valueOf(input.value, kind)));
    this.#fields.push({ keys, input, hint, fault, about, kind });
    return el('div', { class: 'field' }, el('label', { for: id }, label), input, hint, fault);
  }

  #span([section, name]) {
    const { minimum, maximum } = (section === 'custom' && this.#bounds[name]) || {};
    return minimum === undefined ? '' : `${minimum} to ${maximum}`;
  }
}

function inForce(keys, config) {
  if (!config) return '';
  const [section, name] = keys;
  const origin = config.sources[keys.join('.')];
  if (section === 'custom') {
    return `in force: ${shown(config.configuration[name])}, ${origin ?? `preset ${config.preset_name}`}`;
  }
  return `in force: ${shown(at(config.document, keys))}, ${origin ?? 'default'}`;
}

/** As JSON has it. What is no number stays a text: the check says what would be right. */
function valueOf(text, kind) {
  const given = text.trim();
  if (given === '') return undefined;
  if (kind === 'boolean') return given === 'true';
  return kind === 'text' && /^-?\d+(\.\d+)?$/.test(given) ? Number(given) : given;
}
