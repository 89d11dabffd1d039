//! The fleet that an instance belongs to.

use super::{Secret, endpoint::Endpoint};
use seawall::config::{Problems, millis, secs};
use std::time::Duration;

/// The most instances that a list may name.
const MOST_LISTED: usize = 100;

seawall::configuration! {
    /// The instances that serve together. With `store.redis` they find one another there, and a change through the API reaches all
    /// of them or is refused; with `instances` they only show one another. Set in files and variables only, never through the
    /// API; a change counts from the next start on.
    #[check(Self::check_instances)]
    pub struct FleetConfig {
        /// The name of this instance, which others show. Left out: the name of the host, and the port.
        #[schemars(length(min = 1, max = 64))]
        name: Option<String> = None,
        /// The address at which others reach the control plane of this instance, such as `http://10.0.0.7:8000`. Left out: the address
        /// that it listens on.
        address: Option<String> = None,
        /// The addresses of the control planes of all instances, where no Redis is shared: each asks the others for their state, and
        /// a change through the API is made on one alone. At most 100.
        #[schemars(length(max = 100))]
        instances: Vec<String> = Vec::new(),
        /// The key with which the others of `instances` are asked; it needs to read only.
        key: Option<Secret> = None,
        /// How long a change waits until every instance has said that it can make it. Then it is refused.
        #[range(millis(100)..=secs(60))]
        prepare_timeout: Duration = secs(5),
        /// How long an instance that is gone is still shown.
        #[range(secs(10)..=seawall::config::days(30))]
        gone_for: Duration = secs(600),
    }
}

impl FleetConfig {
    fn check_instances(&self, problems: &mut Problems) {
        let fits = |name: &String| {
            (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic() && c != '~')
        };
        if let Some(name) = &self.name {
            problems.require(
                fits(name),
                "name",
                name,
                "1 to 64 visible ASCII characters without ~",
            );
        }
        let listed = self.instances.iter().enumerate();
        let listed = listed.map(|(at, address)| (format!("instances[{at}]"), address));
        let own = self.address.iter().map(|address| ("address".to_owned(), address));
        for (field, address) in own.chain(listed) {
            let right = "an address such as http://10.0.0.7:8000";
            problems.require(Endpoint::parse(address).is_some(), &field, address, right);
        }
        let few = self.instances.len() <= MOST_LISTED;
        let value = format_args!("{} addresses", self.instances.len());
        problems.require(few, "instances", value, "at most 100 addresses");
    }
}
