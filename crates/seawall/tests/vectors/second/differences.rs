//! The further cases that do not hold, each with the step (from 0) and the field at which it differs first.

/// Cases with a cache, which is a layer: `seawall-tower/tests/layers/vectors.rs` replays them.
pub(super) const IN_TOWER: &[&str] = &["CO-10"];

/// A `(case, place)` pair, and the reason for the difference.
type Difference = (&'static [(&'static str, &'static str)], &'static str);

pub(super) const DIFFERENCES: &[Difference] = &[
    (
        &[("CB-R4J-04", "1 state")],
        "a call that takes exactly slow_call_duration is slow: bounds are reached, not passed",
    ),
    (
        &[("CB-R4J-08", "1 admitted")],
        "the open time ends at its end, not after it, as with Polly, Failsafe and Sentinel",
    ),
    (
        &[
            ("CB-R4J-11", "4 admitted"),
            ("CB-FSF-03", "1 state"),
            ("CB-FSF-04", "1 state"),
            ("CB-FSF-08", "2 state"),
        ],
        "one failed probe opens the circuit again; no ratio is taken of a handful of probes",
    ),
    (
        &[("CB-R4J-20", "4 state")],
        "the place of a hung probe goes to a new probe, so the circuit stays half-open and is never stuck",
    ),
    (
        &[("CB-GOB-04", "1 calls")],
        "a call counts when it ends, and counts slide: a tumbling interval would forget an outage in progress",
    ),
    (
        &[("CB-POL-01", "3 state")],
        "a success may open the circuit: it may be the call that completes minimum_calls",
    ),
    (
        &[("CB-SEN-03", "2 state")],
        "a probe that a later policy refused says nothing: its place goes to the next call at once",
    ),
    (
        &[("CB-FRS-04", "1 state")],
        "the window is exact: a moving average opens later the longer the calls were good before",
    ),
    (
        &[("CB-ENV-01", "6 ejected")],
        "after the open time the host is probed, and one failure opens its circuit again, not five",
    ),
    (
        &[("CB-ENV-02", "8 ejected")],
        "the open time grows by a factor from one failed probe to the next, and one good probe ends that",
    ),
    (
        &[("CB-ENV-04", "1 ejected"), ("CB-ENV-05", "0 ejected")],
        "a breaker answers for one dependency: how many of several may be left out is for whoever balances",
    ),
    (
        &[("RL-R4J-02", "0 config"), ("RL-R4J-04", "0 config"), ("RL-FSF-02", "0 config")],
        "only a token bucket lets callers wait for a turn: in fixed windows all of them would come at its start",
    ),
    (&[("RL-R4J-05", "1 remaining")], "a limit that is changed begins afresh"),
    (
        &[("RL-FSF-04", "1 allowed"), ("RL-FSF-07", "2 allowed")],
        "what costs more than the whole limit never passes: it would starve all others for several periods",
    ),
    (
        &[("RT-TEN-04", "4 delay_ms")],
        "additive jitter comes on top of the cap, so that callers at the cap do not come together",
    ),
    (
        &[("RT-AWS-06", "1 delay_ms")],
        "the wait that a server asks for is kept as it is up to a bound, not clamped to our own wait",
    ),
    (
        &[("RT-SMI-05", "0 delay_ms")],
        "a server that asks for more than the bound ends the retrying: coming back earlier helps nobody",
    ),
    (
        &[("RT-ENV-05", "2 allowed"), ("RT-FGO-03", "1 allowed")],
        "no budget is a share of the calls in progress: ours are by calls, by time and by outcomes",
    ),
    (
        &[("RT-LKD-01", "0 allowed")],
        "a budget begins full, so that the first calls of a process may be retried",
    ),
    (
        &[("RT-TWR-02", "1 allowed")],
        "what calls paid in does not expire: max_saved bounds it, and rare calls may be retried, too",
    ),
    (
        &[("CO-02", "0 error"), ("CO-11", "1 attempts")],
        "no retry repeats a refusal, which would only add load, and a real failure is told before a refusal",
    ),
    (
        &[("HD-14", "0 result")],
        "a hedge is against slow calls: a failure with nothing beside it is for the retry, pauses included",
    ),
];
