//! Every package we build from elsewhere has a licence that lets us pass Seawall on as we do.

use crate::cargo::{cargo, metadata, output};
use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};
use std::collections::BTreeSet;

const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Looks at what is built for any platform, with any feature, also for tests.
pub(crate) fn check() -> Result<(), String> {
    let tree = "tree --workspace --all-features --target all --prefix none --format {p}";
    let tree = output(cargo(tree))?;
    let built = built(&tree);
    let metadata = metadata("--all-features")?;
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let looked_at: Vec<&Value> =
        packages.iter().filter(|package| built.contains(&name_and_version(package))).collect();
    // Our own crates are always among them.
    if looked_at.is_empty() {
        return Err("cargo tree and cargo metadata have no package in common".to_owned());
    }
    let failures: Vec<String> = looked_at.into_iter().filter_map(failure).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The packages of `cargo tree`, by name and version.
///
/// The lock file, and with it `cargo metadata`, also lists what a dependency would build only with features that are
/// not enabled.
fn built(tree: &str) -> BTreeSet<(&str, &str)> {
    let read = |line| {
        let mut words = str::split_whitespace(line);
        Some((words.next()?, words.next()?.strip_prefix('v')?))
    };
    tree.lines().filter_map(read).collect()
}

fn name_and_version(package: &Value) -> (&str, &str) {
    let text = |field: &str| package[field].as_str().unwrap_or_default();
    (text("name"), text("version"))
}

/// A licence with an exception is one of its own.
fn is_allowed(licence: &LicenseReq) -> bool {
    ALLOWED.contains(&licence.to_string().as_str())
}

/// The reason why a package is not acceptable. Packages of the workspace have no source and are ours.
fn failure(package: &Value) -> Option<String> {
    package["source"].as_str()?;
    let reason = match package["license"].as_str() {
        None => "states no licence expression".to_owned(),
        // Lax: older packages write a slash for OR.
        Some(text) => match Expression::parse_mode(text, ParseMode::LAX) {
            Ok(licence) if licence.evaluate(is_allowed) => return None,
            Ok(_) => format!("`{text}` is not covered by the licences we accept"),
            Err(error) => format!("cannot read `{text}`: {}", error.reason),
        },
    };
    let (name, version) = name_and_version(package);
    Some(format!("{name} {version}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_package_of_others_needs_an_accepted_licence() {
        let package = |licence: Option<&str>| json!({ "name": "other", "version": "1.2.3", "source": "elsewhere", "license": licence });
        assert_eq!(failure(&package(Some("GPL-3.0-only OR MIT"))), None);
        assert_eq!(
            failure(&package(Some("GPL-3.0-only AND MIT"))).unwrap(),
            "other 1.2.3: `GPL-3.0-only AND MIT` is not covered by the licences we accept"
        );
        for good in ["MIT/GPL-3.0-only", "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only"] {
            assert_eq!(failure(&package(Some(good))), None, "{good}");
        }
        for bad in ["MIT WITH LLVM-exception", "(MIT OR Apache-2.0) AND GPL-3.0-only"] {
            assert!(failure(&package(Some(bad))).is_some(), "{bad}");
        }
        assert_eq!(failure(&package(None)).unwrap(), "other 1.2.3: states no licence expression");
        assert_eq!(
            failure(&package(Some("MIT OR"))).unwrap(),
            "other 1.2.3: cannot read `MIT OR`: expected one of `<license>`, `(` here"
        );
    }

    #[test]
    fn built_packages_are_read_from_the_tree() {
        let tree = "seawall v0.1.0 (/checkout/crates/seawall)\nserde v1.0.2 (*)\n\n\
                    serde_derive v1.0.2 (proc-macro)\nserde v1.0.2\n";
        let expected = [("seawall", "0.1.0"), ("serde", "1.0.2"), ("serde_derive", "1.0.2")];
        assert_eq!(built(tree), BTreeSet::from(expected));
    }

    #[test]
    fn our_own_packages_are_not_asked() {
        let ours =
            json!({ "name": "seawall", "version": "0.1.0", "source": null, "license": null });
        assert_eq!(failure(&ours), None);
    }
}
