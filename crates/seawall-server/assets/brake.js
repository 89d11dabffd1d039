// The brake: no retry and no hedge begins, of one operation or of all, until it is released.

import { asked } from './ask.js';
import { put } from './dom.js';
import { send } from './send.js';

/** `button` opens `panel`; `follow(paused)` says how it stands. Without a name it is for all. */
export function brakeControl(name = null, done = () => {}) {
  const whose = name === null ? 'all operations' : name;
  let paused = false;
  const control = asked({
    word: 'Pause retries',
    label: `Pause or release retries and hedges of ${whose}`,
    firm: 'Yes',
    question: () =>
      paused
        ? `Let retries and hedges of ${whose} begin again?`
        : `Let no retry and no hedge of ${whose} begin? First calls go on; it lasts until it is released.`,
    act: async () => {
      const body = name === null ? { paused: !paused } : { paused: !paused, operation: name };
      const { ok, data, text } = await send('POST', '/retries/pause', body);
      if (!ok) return { done: false, text: `Nothing changed: ${text}` };
      follow(data.paused);
      done();
      return { done: true, text: `Retries and hedges of ${whose} are ${data.paused ? 'paused' : 'released'}.` };
    },
  });
  const follow = (now) => {
    paused = now;
    const every = name === null ? 'all ' : '';
    put(control.button, now ? `Release ${every}retries` : `Pause ${every}retries`);
    control.button.classList.toggle('braked', now);
    // The visible word is part of the name, for who speaks to the page.
    control.button.setAttribute('aria-label', `${control.button.textContent}: retries and hedges of ${whose}`);
  };
  follow(false);
  return { ...control, follow };
}
