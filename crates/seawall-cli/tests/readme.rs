//! What the documents show works: the first YAML of the README carries traffic, and every file shown is right.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall_config::{Format, load_str};
use seawall_server::GatewayConfig;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
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
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
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
            if let Err(mistakes) = load_str::<GatewayConfig>(&name, block, Format::Yaml) {
                panic!("{mistakes}");
            }
        }
    }
    assert!(seen >= 3, "{seen} files are too few: are the documents where they were?");
}

/// An upstream that answers every request with its name.
fn upstream(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() {
                        let length = name.len();
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
                        let answer = format!("{head}content-length: {length}\r\n\r\n{name}");
                        if (&stream).write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(yaml: &str) -> (Running, String) {
    let folder = std::env::temp_dir().join(format!("seawall-readme-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("seawall.yaml");
    fs::write(&file, yaml).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let running = Running(child);
    let serving = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, rest) = line.split_once("serving on http://")?;
        Some(rest.split(',').next().unwrap().to_owned())
    });
    fs::remove_dir_all(&folder).unwrap();
    thread::spawn(move || lines.for_each(drop));
    (running, serving.expect("it says where it serves"))
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
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
    let (_running, address) = serve(&both);
    let answer = get(&address, "/v1/models");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nchat"), "{answer}");
    assert!(answer.contains("x-seawall-upstream: chat\r\n"), "{answer}");
    assert!(get(&address, "/dashboard").starts_with("HTTP/1.1 200"));

    // Nobody listens where the first upstream should be: the second one answers.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = both.replace(&chat.to_string(), &gone.to_string());
    let down = down.replace("strategy: conservative", "policies: []");
    let (_running, address) = serve(&down);
    let answer = get(&address, "/v1/models");
    assert!(answer.ends_with("\r\n\r\nbackup"), "{answer}");
}
