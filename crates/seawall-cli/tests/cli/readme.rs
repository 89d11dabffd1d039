//! The examples in the documents work: the first YAML of the README carries traffic, and every file shown is valid.

use crate::support::{Serving, get, upstream};
use seawall_config::{Format, Layers, Source};
use seawall_server::GatewayConfig;
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The blocks of a document that begin with "```language".
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if line.trim() == format!("```{language}") {
            let block: Vec<_> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            found.push(block.join("\n") + "\n");
        }
    }
    found
}

fn documents() -> Vec<(String, String)> {
    let docs = ["docs", "docs/policies"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let docs = docs.into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = docs.chain([root().join("README.md")]).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let read = |path: PathBuf| (path.display().to_string(), fs::read_to_string(path).unwrap());
    paths.into_iter().map(read).collect()
}

#[test]
fn every_gateway_file_shown_is_right() {
    let mut seen = 0;
    for (name, text) in documents() {
        for block in blocks(&text, "yaml").iter().filter(|block| block.contains("upstreams:")) {
            seen += 1;
            let mut layers = Layers::default();
            layers.source(&Source::new(&name, block.as_str(), Format::Yaml), None);
            let key = |name: &str| (name.to_owned(), "a-key-of-the-document".to_owned());
            layers.secrets(["ON_CALL_KEY", "DASHBOARD_KEY"].map(key).into());
            for environment in
                layers.environments().into_iter().map(str::to_owned).collect::<Vec<_>>()
            {
                let mut there = layers.clone();
                there.environment(&environment);
                there.load::<GatewayConfig>().unwrap_or_else(|mistakes| panic!("{mistakes}"));
            }
            layers.load::<GatewayConfig>().unwrap_or_else(|mistakes| panic!("{mistakes}"));
        }
    }
    assert!(seen >= 12, "{seen} files are too few: are the documents where they were?");
}

#[test]
fn the_five_lines_of_yaml_carry_traffic() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let yaml = &blocks(&readme, "yaml")[0];
    assert_eq!(yaml.lines().count(), 5, "five lines are promised");

    let (chat, backup) = (upstream("chat"), upstream("backup"));
    let both = yaml.replace("127.0.0.1:9001", &chat.to_string());
    let both = both.replace("127.0.0.1:9002", &backup.to_string());
    assert_ne!(&both, yaml);
    let serving = Serving::start(&both, &[]);
    let answer = get(&serving.address, "/v1/models");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nchat"), "{answer}");
    assert!(answer.contains("x-seawall-upstream: chat\r\n"), "{answer}");
    assert!(get(&serving.address, "/dashboard").starts_with("HTTP/1.1 200"));

    // Nobody listens where the first upstream should be: the second one answers.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = both.replace(&chat.to_string(), &gone.to_string());
    let down = down.replace("strategy: conservative", "policies: []");
    let serving = Serving::start(&down, &[]);
    let answer = get(&serving.address, "/v1/models");
    assert!(answer.ends_with("\r\n\r\nbackup"), "{answer}");
}
