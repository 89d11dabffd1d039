//! What instances of a fleet say of themselves, and show of one another.

use crate::{inputs::ApiLayer, revisions::Cause, wall_clock};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// It takes requests, and has the fleet's revision in force if there is one.
    Ready,
    /// It stops after the requests in progress.
    Draining,
    /// It takes requests, and the fleet's revision is not in force: its `reason` says why.
    Refused,
    /// It has not been heard of for some seconds. The rest is what it said last.
    Gone,
}

impl InstanceState {
    /// The name of the state in the API.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }
}

/// An instance, as it says itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceReport {
    /// The name of the instance.
    pub name: String,
    /// The name with a part that is another one at each start.
    pub id: String,
    /// The address at which others reach its control plane.
    pub address: String,
    /// Its version.
    pub version: String,
    /// The time at which the instance started.
    pub started_at: String,
    /// Its state.
    pub state: InstanceState,
    /// The reason why the fleet's revision is not in force, or why the instance does not know whether it is; none if it is.
    pub reason: Option<String>,
    /// The number of the revision in force in this instance's own history.
    pub revision: u64,
    /// The number of the fleet's revision that it has in force; none where the fleet was never changed through the API.
    pub fleet_revision: Option<u64>,
    /// Whether a change was made on this instance alone since.
    pub changed_alone: bool,
    /// A short hash of the configuration in force, without the fields that the API may not change: instances with the same one
    /// act alike.
    pub configuration: String,
    /// The number of circuits that refuse calls.
    pub open_circuits: usize,
    /// Calls that ended in the last minute, a second.
    pub calls_per_second: f64,
    /// The share of them without a good answer, from 0 to 1.
    pub error_share: f64,
    /// The stores that do not answer, or cannot be written: `store`, `dead_letters`, `shared_limits`, `fleet`.
    pub degraded: Vec<String>,
}

/// An instance of the fleet, as another one sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetInstance {
    /// What the instance said last. Of one that never answered, only the name and the address are known.
    #[serde(flatten)]
    pub report: InstanceReport,
    /// The number of seconds since the instance was last heard of; none if it never was.
    pub heartbeat_age_seconds: Option<f64>,
    /// Whether it is alive and has another revision or another configuration in force than the instance that was asked.
    pub differs: bool,
    /// Whether it is the instance that was asked.
    pub is_asked: bool,
}

/// The way in which an instance knows the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FleetKind {
    /// The instance is on its own: `fleet` is not configured.
    Alone,
    /// The instances are a list in the file. A change through the API is made on one alone.
    Listed,
    /// The instances share a Redis. A change through the API reaches all of them, or is refused.
    Shared,
}

/// A fleet, as one of its instances sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetView {
    /// The way in which the instance that was asked knows the others.
    pub kind: FleetKind,
    /// The fleet's revision, as the instance that was asked knows it; none where the fleet was never changed through the API.
    pub revision: Option<FleetRevisionView>,
    /// Why the instances cannot be known, or the fleet cannot be changed, at present; none if all is well.
    pub degraded: Option<String>,
    /// The instances by name, those that are gone among them.
    pub instances: Vec<FleetInstance>,
}

/// A revision of the configuration for a whole fleet, in a few words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetRevisionView {
    /// The number of the revision among those of the fleet.
    pub number: u64,
    /// The time at which the revision was made.
    pub at: String,
    /// The name of the key that made it.
    pub who: String,
    /// The name of the instance on which it was made.
    pub instance: String,
}

/// A revision of the configuration for a whole fleet, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FleetRevision {
    pub(super) number: u64,
    #[serde(with = "wall_clock")]
    pub(super) at: u64,
    pub(super) who: String,
    pub(super) instance: String,
    pub(super) cause: Cause,
    /// The change through the API that all instances lay over their files; none where it was taken away.
    pub(super) change: Option<ApiLayer>,
}

impl FleetRevision {
    pub(super) fn view(&self) -> FleetRevisionView {
        FleetRevisionView {
            number: self.number,
            at: wall_clock::text(self.at),
            who: self.who.clone(),
            instance: self.instance.clone(),
        }
    }

    /// `revision 4 (by ops on gateway-1)`.
    pub(super) fn named(&self) -> String {
        format!("revision {} (by {} on {})", self.number, self.who, self.instance)
    }
}
