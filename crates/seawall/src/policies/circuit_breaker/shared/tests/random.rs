//! Random fleets: messages are late, lost and out of order, the store is lost and forgets, and instances are held up.

use super::*;
use crate::random::Random;

/// What is on its way.
enum Mail {
    Reports(usize, Instant, Vec<CircuitReport>),
    Answer(usize, Instant, Vec<CircuitReport>, Answer),
    Push(usize, FleetCircuit),
}

struct World {
    fleet: Fleet,
    random: Random,
    mail: Vec<(u64, Mail)>,
    /// Calls under way, with when they end.
    calls: Vec<(u64, usize, Probe)>,
    store_is_lost: bool,
}

const TIMEOUT: u64 = 500;

impl World {
    fn send(&mut self, now: u64, mail: Mail) {
        let delay = 1 + self.random.below(20);
        self.mail.push((now + delay, mail));
    }

    fn deliver(&mut self, now: u64) {
        let due: Vec<usize> =
            (0..self.mail.len()).rev().filter(|n| self.mail[*n].0 <= now).collect();
        for n in due {
            match self.mail.swap_remove(n).1 {
                Mail::Reports(..) if self.store_is_lost => {}
                Mail::Reports(n, asked, reports) => {
                    let Fleet { store, instances } = &mut self.fleet;
                    let (member, circuits) = (&instances[n].member, &instances[n].circuits);
                    let answer = store.batch(at(now), member, circuits, &reports, circuits.seen());
                    for other in (0..instances.len()).filter(|other| *other != n) {
                        for pushed in answer.pushed.clone() {
                            // One in ten is lost.
                            if self.random.below(10) > 0 {
                                let late = now + 1 + self.random.below(50);
                                self.mail.push((late, Mail::Push(other, pushed)));
                            }
                        }
                    }
                    self.send(now, Mail::Answer(n, asked, reports, answer));
                }
                Mail::Answer(n, asked, reports, answer) => {
                    if at(now).since(asked) <= ms(TIMEOUT) {
                        self.fleet.instances[n].take(asked, at(now), &reports, &answer);
                    }
                }
                Mail::Push(n, pushed) => self.fleet.instances[n].circuits.learned(at(now), &pushed),
            }
        }
    }

    fn step(&mut self, now: u64, dependency_works: bool) {
        self.deliver(now);
        for n in 0..self.fleet.instances.len() {
            let pending = self.fleet.instances[n].pending(at(now));
            if !pending.is_empty() {
                self.send(now, Mail::Reports(n, at(now), pending));
            }
            if now % 1_000 == 37 * n as u64 {
                let reports = self.fleet.instances[n].circuits.reports(at(now));
                self.send(now, Mail::Reports(n, at(now), reports));
            }
            if self.random.below(20) == 0
                && let Ok(call) = self.fleet.instances[n].call(at(now))
            {
                self.calls.push((now + self.random.below(100), n, call));
            }
        }
        let ends = |(end, ..): &mut (u64, usize, Probe)| *end <= now;
        for (_, _, call) in self.calls.extract_if(.., ends) {
            match self.random.below(10) {
                0 => drop(call),
                _ if dependency_works => _ = call.success(at(now)),
                _ => _ = call.failure(at(now)),
            }
        }
    }

    fn probing(&self, now: u64) -> usize {
        self.fleet.states(at(now)).iter().filter(|state| **state == State::HalfOpen).count()
    }
}

#[test]
fn random_fleets_probe_one_at_a_time_and_agree_in_the_end() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let instances = 2 + random.below(4) as usize;
        let open_by = if random.below(2) == 0 { OpenBy::Any } else { OpenBy::Quorum };
        let shared = SharedCircuit::default().open_by(open_by);
        let fleet = Fleet::new(instances, &config().shared(shared));
        let (mail, calls) = (Vec::new(), Vec::new());
        let mut world = World { fleet, random, mail, calls, store_is_lost: false };
        let (mut works, mut last_trouble, mut most_apart) = (true, 0, 0);
        for now in 1..40_000 {
            let troubled = now < 20_000;
            if troubled && now % 2_500 == 0 {
                works = world.random.below(2) == 0;
            }
            if troubled && now % 3_700 == 0 {
                world.store_is_lost = world.random.below(3) == 0;
                last_trouble = now;
                if world.random.below(4) == 0 {
                    world.fleet.store = Store::default();
                }
            }
            if now == 20_000 {
                (works, last_trouble, world.store_is_lost) = (false, now, false);
            }
            if now == 30_000 {
                works = true;
            }
            world.step(now, works);
            // Once all are together again, one probes.
            if now > last_trouble + 5_000 && open_by == OpenBy::Any {
                most_apart = most_apart.max(world.probing(now));
            }
            // All have heard of the outage.
            if (26_000..30_000).contains(&now) {
                let states = world.fleet.states(at(now));
                assert!(!states.contains(&State::Closed), "seed {seed} at {now}: {states:?}");
            }
        }
        assert!(most_apart <= 1, "seed {seed}: {most_apart} probe at once");
        let states = world.fleet.states(at(40_000));
        assert!(states.iter().all(|state| *state == State::Closed), "seed {seed}: {states:?}");
    }
}
