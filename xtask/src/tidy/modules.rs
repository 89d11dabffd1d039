//! Rules for the modules of a crate: each may use those on the floors below it, and imports a thing from the
//! module that defines it.

use super::paths::Named;

/// The modules of one crate, the lowest floor first.
struct Building {
    folder: &'static str,
    floors: &'static [&'static [&'static str]],
}

const BUILDINGS: &[Building] = &[CORE, STORE, SERVER];

const CORE: Building = Building {
    folder: "crates/seawall/src/",
    floors: &[
        // Seams and leaves, which know no policy.
        &["config", "name", "sync", "time"],
        &["attributes", "backoff", "histogram", "random", "rejection", "timer"],
        &["keyed", "outcome"],
        &["command", "error", "event", "recent"],
        // The contract, and beside it what several policies count with.
        &["dead_letters", "observers", "policy", "window"],
        &["policies"],
        &["metrics", "pipeline", "profiles"],
        &["execution"],
        &["run", "testing"],
        &["registry"],
    ],
};

const STORE: Building = Building {
    folder: "crates/seawall-store/src/",
    floors: &[
        &["store"],
        &["embedded", "log", "memory"],
        &["contract"],
        &["letters"],
        // Places that other machines reach as well.
        &["redis"],
    ],
};

const SERVER: Building = Building {
    folder: "crates/seawall-server/src/",
    floors: &[
        // Leaves: the configuration, types on the server's runtime, times, and what answers are made of.
        &["config", "feed", "latency", "runtime", "schema", "wall_clock"],
        &["access", "actor", "dead_letters", "persistence", "prometheus"],
        &["circuits", "journal", "tenants"],
        &["audit_trail", "gateway", "inputs"],
        // What is in force and what it was before, and what watches it.
        &["replays", "revisions"],
        &["active"],
        &["benchmark", "fleet"],
        &["alerts"],
        &["sampler"],
        &["control"],
        &["serve"],
    ],
};

/// The uses in this file that point upward, sideways or through the crate's front.
pub(super) fn findings(file: &str, named: &[Named<'_>]) -> Vec<(usize, String)> {
    let Some(building) = BUILDINGS.iter().find(|building| file.starts_with(building.folder)) else {
        return Vec::new();
    };
    building.findings(&file[building.folder.len()..], named)
}

impl Building {
    fn findings(&self, file: &str, named: &[Named<'_>]) -> Vec<(usize, String)> {
        let here = module(file);
        // The front of the crate hands out what all floors make.
        let Some(own) = here.first() else { return Vec::new() };
        let Some(floor) = self.floor(own) else {
            let what = format!(
                "module `{own}` stands on no floor of the table in xtask/src/tidy/modules.rs"
            );
            return vec![(0, what)];
        };
        let told = |named: &Named<'_>| {
            Some((named.line, self.wrong(own, floor, top(&here, &named.words)?)?))
        };
        let mut found: Vec<_> = named.iter().filter_map(told).collect();
        found.dedup();
        found
    }

    fn floor(&self, module: &str) -> Option<usize> {
        self.floors.iter().position(|modules| modules.contains(&module))
    }

    /// The finding, if naming `target` on this floor is wrong.
    fn wrong(&self, own: &str, floor: usize, target: &str) -> Option<String> {
        match self.floor(target) {
            _ if target == own => None,
            Some(below) if below < floor => None,
            Some(_) => Some(format!("`{own}` must not use `{target}`, which is not below it")),
            None => Some(format!("`crate::{target}`: import it from the module that defines it")),
        }
    }
}

/// The module that a file below `src/` is, as its names from the crate's root.
fn module(file: &str) -> Vec<&str> {
    let file = file.strip_suffix(".rs").unwrap_or(file);
    if matches!(file, "lib" | "main") { Vec::new() } else { file.split('/').collect() }
}

/// The first name below the crate's root of a path named in `here`; none where the path stays below it, or is
/// another crate's.
fn top<'a>(here: &[&'a str], words: &[&'a str]) -> Option<&'a str> {
    match words.split_first()? {
        (&"crate", rest) => rest.first().copied(),
        (&"super", _) => {
            let up = words.iter().take_while(|word| **word == "super").count();
            if up < here.len() { None } else { words.get(up).copied() }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{paths, tokens},
        *,
    };

    const BUILDING: Building = Building {
        folder: "crates/a/src/",
        floors: &[&["time", "name"], &["window"], &["policies"]],
    };

    fn told(file: &str, source: &str) -> Vec<String> {
        let tokens = tokens::read(source).unwrap();
        BUILDING.findings(file, &paths::read(&tokens)).into_iter().map(|(_, what)| what).collect()
    }

    #[test]
    fn modules_below_may_be_used() {
        for (file, source) in [
            ("policies/retry.rs", "use crate::{time::Instant, window::{Ring, Window}};"),
            ("policies/retry.rs", "use super::{super::time, Policy}; use std::time;"),
            (
                "window.rs",
                "mod count; use count::Ring; fn f() -> crate::window::Ring { super::time::now() }",
            ),
            ("lib.rs", "mod time; pub use policies::Policy; use crate::window;"),
        ] {
            assert_eq!(told(file, source), [""; 0], "{source}");
        }
    }

    #[test]
    fn modules_above_or_beside_may_not_be_used() {
        let upward = "`window` must not use `policies`, which is not below it";
        assert_eq!(told("window.rs", "use crate::policies::Policy;"), [upward]);
        assert_eq!(told("window/count.rs", "fn f(_: super::super::policies::Policy) {}"), [upward]);
        assert_eq!(
            told("time.rs", "fn f() { crate::name::Name::new() }"),
            ["`time` must not use `name`, which is not below it"]
        );
    }

    #[test]
    fn the_front_is_no_module_and_a_new_module_needs_its_floor() {
        assert_eq!(
            told("policies.rs", "use crate::{Window, time::Instant};"),
            ["`crate::Window`: import it from the module that defines it"]
        );
        assert_eq!(
            told("cache.rs", ""),
            ["module `cache` stands on no floor of the table in xtask/src/tidy/modules.rs"]
        );
    }
}
