//! The API against its own description, by requests that are made from it: no server error, no status, type or field
//! that is not described.

use crate::world::{QUIET, World};
use std::process::Command;

const KEY: &str = "a-key-for-the-fuzzer";

#[tokio::test(flavor = "multi_thread")]
async fn requests_made_from_the_description_get_what_it_says() {
    let world = World::with(QUIET, &[("SEAWALL_API_KEYS", KEY)]).await;
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance,ignored_auth,unsupported_method";
    let mut fuzzer = Command::new("schemathesis");
    fuzzer
        .arg("run")
        .arg(format!("http://{}/internal/openapi.json", world.address))
        .args(["-H", &format!("X-API-Key: {KEY}"), "--checks", checks, "--max-examples", "40"])
        // A stream has no end, a benchmark takes what time it is given, and the fuzzer cannot write lines of JSON.
        .args([
            "--exclude-path-regex",
            "events$|performance/benchmark$|dlq/import$",
            "--seed",
            "1",
            "--no-color",
        ])
        .env("HYPOTHESIS_STORAGE_DIRECTORY", world.folder.path())
        .current_dir(world.folder.path());
    let run = tokio::task::spawn_blocking(move || fuzzer.output()).await.unwrap();
    let run = run.unwrap_or_else(|error| {
        panic!("schemathesis cannot be run ({error}); `cargo xtask test` installs it, or: pip install schemathesis")
    });
    let (told, errors) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{told}\n{errors}");
    assert!(told.contains("Tested:"), "it tested nothing:\n{told}");
    assert_eq!(world.json("health").await["healthy"], true, "it still stands");
}
