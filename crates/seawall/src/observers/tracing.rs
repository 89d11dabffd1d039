//! Events as events of the crate `tracing`.

use crate::event::{Event, Kind, Observer};
use ::tracing::{Level, event};

/// Passes every event to the subscriber of the crate `tracing`, with the target `seawall`.
///
/// A circuit that opens is a warning, and its other changes are information. What policies do for a call (a refusal, a
/// retry, a timeout, a fallback …) is `DEBUG`, since an outage makes one of them for each call; the course of every
/// call is `TRACE`. `RUST_LOG=info,seawall=debug` shows all but the last. A level that nobody listens to costs one
/// comparison.
///
/// Fields: `operation`; `event`, the label of the [`Kind`]; `policy`, where the event is about one; `shadow`, which is
/// true where the policy would have done so and did not; `execution`, the same number for all events of one execution.
/// The message says the same in words.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

/// One event at a level, which `tracing` wants to know when it is compiled.
macro_rules! at {
    ($level:expr, $event:expr) => {
        event!(
            target: "seawall",
            $level,
            operation = %$event.operation,
            event = $event.kind.label(),
            policy = $event.kind.policy(),
            shadow = $event.shadow,
            execution = $event.execution,
            "{}", $event.kind
        )
    };
}

impl Observer for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        match event.kind {
            Kind::CircuitChanged(change) if change.to.is_open() && !event.shadow => {
                at!(Level::WARN, event);
            }
            Kind::StoreLost { .. } | Kind::LetterLost { .. } => at!(Level::WARN, event),
            Kind::CircuitChanged(_) | Kind::StoreFound { .. } => at!(Level::INFO, event),
            Kind::Started
            | Kind::CallStarted { .. }
            | Kind::CallFinished { .. }
            | Kind::CallCancelled { .. }
            | Kind::Finished { .. }
            | Kind::StoreAnswered { .. }
            | Kind::Abandoned { .. } => at!(Level::TRACE, event),
            Kind::AnswerFailed { .. }
            | Kind::Rejected(_)
            | Kind::Queued { .. }
            | Kind::LimitDegraded { .. }
            | Kind::RetryScheduled { .. }
            | Kind::Withheld { .. }
            | Kind::Hedged { .. }
            | Kind::FaultInjected(_)
            | Kind::TimedOut { .. }
            | Kind::DeadlinePassed { .. }
            | Kind::LetterKept
            | Kind::FellBack { .. } => at!(Level::DEBUG, event),
        }
    }
}
