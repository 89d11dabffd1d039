//! Rules for the crates of the workspace: who may depend on whom, and that all share the lints.

use super::{Finding, relative};
use serde_json::Value;
use std::path::Path;

/// Each crate with those of ours it may depend on. Dependencies of tests are free.
const DOWNWARD: &[(&str, &[&str])] = &[
    ("seawall-macros", &[]),
    ("seawall", &["seawall-macros"]),
    ("seawall-config", &[]),
    ("seawall-presets", &["seawall", "seawall-config"]),
    ("seawall-tower", &["seawall"]),
    ("seawall-sim", &["seawall"]),
    ("seawall-load", &["seawall", "seawall-sim"]),
    ("seawall-store", &["seawall"]),
    (
        "seawall-server",
        &["seawall", "seawall-config", "seawall-presets", "seawall-store", "seawall-tower"],
    ),
    (
        "seawall-cli",
        &[
            "seawall",
            "seawall-config",
            "seawall-load",
            "seawall-presets",
            "seawall-server",
            "seawall-sim",
            "seawall-tower",
        ],
    ),
    ("seawall-guides", &[]),
    ("xtask", &[]),
];

/// Crates that would bind the core to one runtime, or to HTTP.
const NOT_IN_THE_CORE: &[&str] =
    &["http", "http-body", "hyper", "hyper-util", "tokio", "tokio-util", "tower"];

/// A crate of the workspace.
#[derive(Debug, PartialEq)]
pub(super) struct Package {
    pub(super) name: String,
    /// The path of its `Cargo.toml`, from the root.
    pub(super) manifest: String,
    /// The dependencies of the crate and its build script, without those of its tests.
    pub(super) dependencies: Vec<String>,
}

/// The packages that `cargo metadata --no-deps` lists.
pub(super) fn read(metadata: &Value, root: &Path) -> Result<Vec<Package>, String> {
    let packages = metadata["packages"].as_array();
    let packages = packages.ok_or("cargo metadata lists no packages")?;
    packages.iter().map(|package| read_one(package, root)).collect()
}

fn read_one(package: &Value, root: &Path) -> Result<Package, String> {
    let text = |value: &Value, field: &str| {
        let text = value[field].as_str().map(str::to_owned);
        text.ok_or_else(|| format!("cargo metadata lists a package without `{field}`"))
    };
    let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(Package {
        name: text(package, "name")?,
        manifest: relative(root, Path::new(&text(package, "manifest_path")?)),
        dependencies: dependencies
            .iter()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            // A clock that a test may pause, and that can be left out.
            .filter(|dependency| !(dependency["name"] == "tokio" && dependency["optional"] == true))
            .map(|dependency| text(dependency, "name"))
            .collect::<Result<_, _>>()?,
    })
}

/// Dependencies that point upward, or that the core must not have.
pub(super) fn direction(packages: &[Package]) -> Vec<Finding> {
    let mut found = Vec::new();
    for Package { name, manifest, dependencies } in packages {
        let mut tell = |what| found.push(Finding { file: manifest.clone(), line: 0, what });
        let Some((_, below)) = DOWNWARD.iter().find(|(above, _)| above == name) else {
            tell(format!("`{name}` has no row in the table of who may depend on whom"));
            continue;
        };
        for dependency in dependencies {
            let ours = packages.iter().any(|package| package.name == *dependency);
            if ours && !below.contains(&dependency.as_str()) {
                tell(format!("`{name}` must not depend on `{dependency}`"));
            }
            if name == "seawall" && NOT_IN_THE_CORE.contains(&dependency.as_str()) {
                tell(format!("the core must not depend on `{dependency}`"));
            }
        }
    }
    found
}

/// A manifest that does not take the lints of the workspace.
pub(super) fn lints(manifest: &str, text: &str) -> Option<Finding> {
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let setting: String = line.split_whitespace().collect();
        if (section == "[lints]" && setting == "workspace=true")
            || (section.is_empty() && setting == "lints.workspace=true")
        {
            return None;
        }
    }
    let what = "does not say `[lints] workspace = true`".to_owned();
    Some(Finding { file: manifest.to_owned(), line: 0, what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        let dependencies = dependencies.iter().map(|&name| name.to_owned()).collect();
        Package {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            dependencies,
        }
    }

    fn told(packages: &[Package]) -> Vec<String> {
        direction(packages).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn dependencies_downward_are_fine() {
        let packages = [
            package("seawall", &["smallvec"]),
            package("seawall-tower", &["seawall", "http", "tokio"]),
            package("seawall-cli", &["seawall", "seawall-tower"]),
        ];
        assert_eq!(told(&packages), [""; 0]);
    }

    #[test]
    fn dependencies_upward_and_sideways_are_found() {
        let packages = [
            package("seawall", &["seawall-tower"]),
            package("seawall-tower", &["seawall"]),
            package("seawall-sim", &["seawall", "seawall-tower"]),
        ];
        assert_eq!(
            told(&packages),
            [
                "crates/seawall/Cargo.toml: `seawall` must not depend on `seawall-tower`",
                "crates/seawall-sim/Cargo.toml: `seawall-sim` must not depend on `seawall-tower`",
            ]
        );
    }

    #[test]
    fn a_runtime_in_the_core_is_found() {
        assert_eq!(
            told(&[package("seawall", &["tokio"])]),
            ["crates/seawall/Cargo.toml: the core must not depend on `tokio`"]
        );
    }

    #[test]
    fn a_new_crate_needs_its_row() {
        assert_eq!(
            told(&[package("seawall-new", &[])]),
            [
                "crates/seawall-new/Cargo.toml: `seawall-new` has no row in the table of who may depend \
              on whom"
            ]
        );
    }

    #[test]
    fn only_dependencies_of_tests_are_left_out() {
        let metadata = json!({ "packages": [{
            "name": "seawall",
            "manifest_path": "/checkout/crates/seawall/Cargo.toml",
            "dependencies": [
                { "name": "smallvec", "kind": null },
                { "name": "tokio", "kind": "dev" },
                { "name": "cc", "kind": "build" },
            ],
        }] });
        let packages = read(&metadata, Path::new("/checkout"));
        assert_eq!(packages, Ok(vec![package("seawall", &["smallvec", "cc"])]));
        assert!(read(&json!({}), Path::new("/checkout")).is_err());
    }

    #[test]
    fn the_lints_of_the_workspace_are_asked_for() {
        for good in [
            "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n",
            "[lints]\n# All of them.\nworkspace=true\n",
            "lints.workspace = true\n[package]\n",
        ] {
            assert_eq!(lints("a", good), None, "{good}");
        }
        for bad in [
            "[package]\nname = \"a\"\n",
            "[lints]\nworkspace = false\n",
            "[lints]\n[dependencies]\nworkspace = true\n",
            "[lints]\n# workspace = true\n",
        ] {
            assert!(lints("a", bad).is_some(), "{bad}");
        }
    }
}
