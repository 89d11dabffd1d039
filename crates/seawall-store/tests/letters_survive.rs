//! Dead letters survive what happens to machines: a process killed at any moment, a full disk, a folder that cannot be
//! written, and bytes that change on the disk.
//!
//! `SEAWALL_KILLS=1000 cargo test -p seawall-store --test letters_survive killed` makes more rounds than the usual ones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall_store::letters::{
    Attempt, Begun, Content, EmbeddedLetters, FailedWork, Keys, Letter, LetterId, Letters, Put,
    Query, Queues, Redaction, ReplayOutcome, State,
};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// What a test run by this program itself, as another process, is to do: a part, and the file.
const PART: &str = "SEAWALL_LETTERS_PART";
const FILE: &str = "SEAWALL_LETTERS_FILE";

fn open(path: &Path) -> EmbeddedLetters {
    EmbeddedLetters::open(path, Queues::default(), Keys::default()).unwrap()
}

fn letter(now: u64, payload: usize) -> Letter {
    let work = FailedWork {
        queue: "q".to_owned(),
        operation: "POST /orders".to_owned(),
        error_class: "timeout".to_owned(),
        error: "no answer".to_owned(),
        payload: vec![b'x'; payload],
        ..FailedWork::default()
    };
    Letter::new(work, now, &Redaction::default())
}

/// This program again, with only this test, which does the part.
fn child(test: &str, part: &str, file: &Path) -> Child {
    // A limit of a file's size is an error of a write only where its signal is ignored.
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn file_of_part(part: &str) -> Option<PathBuf> {
    (env::var(PART).ok()? == part).then(|| PathBuf::from(env::var_os(FILE).unwrap()))
}

/// Threads of the process that is killed, and letters of one call.
const THREADS: u64 = 8;
const BATCH: u64 = 20;
/// Letters that most processes have acknowledged before they are killed.
const ACKNOWLEDGED: u64 = 1200;

/// Puts letters, replays some, and says what was acknowledged, until it is killed.
fn put_until_killed(path: &Path) {
    let letters = open(path);
    let said = Mutex::new(std::io::stdout());
    let say = |text: String| said.lock().unwrap().write_all(text.as_bytes()).unwrap();
    say("open\n".to_owned());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 1.. {
                    let batch: Vec<_> = (0..BATCH).map(|_| letter(n, 64)).collect();
                    let ids: Vec<_> = batch.iter().map(|letter| letter.envelope.id).collect();
                    let put = letters.put(batch).unwrap();
                    assert!(put.iter().all(|put| *put == Put::Stored), "{put:?}");
                    let names: Vec<_> = ids.iter().map(|id| format!("put {id}\n")).collect();
                    say(names.concat());
                    assert!(matches!(letters.begin_replay(ids[0]), Ok(Begun::Ready(_))));
                    let done = ReplayOutcome::Succeeded(Attempt::default());
                    letters.finish_replay(ids[0], &done).unwrap();
                    say(format!("replayed {}\n", ids[0]));
                    // From here on it may be gone.
                    say(format!("deleting {}\n", ids[1]));
                    letters.delete(&ids[1..2]).unwrap();
                    say(format!("deleted {}\n", ids[1]));
                }
            });
        }
    });
}

/// What a killed process had acknowledged.
#[derive(Default)]
struct Acknowledged {
    put: BTreeSet<LetterId>,
    replayed: BTreeSet<LetterId>,
    /// Whose deletion began, and may be done without an acknowledgement.
    deleting: BTreeSet<LetterId>,
    deleted: BTreeSet<LetterId>,
}

impl Acknowledged {
    /// Reads lines of one process. The last may be cut off.
    fn read(&mut self, text: &str) {
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let Some((what, id)) = line.split_once(' ') else { continue };
            let Ok(id) = id.parse() else { continue };
            match what {
                "put" => self.put.insert(id),
                "replayed" => self.replayed.insert(id),
                "deleting" => self.deleting.insert(id),
                "deleted" => self.deleted.insert(id),
                _ => false,
            };
        }
    }

    fn check(&self, letters: &EmbeddedLetters) {
        let mut found = BTreeSet::new();
        let mut after = None;
        loop {
            let page = letters.page(&Query::default(), after, 10_000).unwrap();
            found.extend(page.letters.iter().map(|letter| (letter.id, letter.state)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let ids: BTreeSet<_> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids.len(), found.len());
        let lost: Vec<_> =
            self.put.difference(&ids).filter(|id| !self.deleting.contains(id)).collect();
        assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
        let back: Vec<_> = self.deleted.intersection(&ids).collect();
        assert!(back.is_empty(), "deleted, and there again: {back:?}");
        for id in &self.replayed {
            assert!(found.contains(&(*id, State::Replayed)), "{id} was replayed");
        }
        let queue = letters.stats().unwrap().queues.remove("q").unwrap_or_default();
        assert_eq!(queue.letters(), found.len() as u64, "the counters are those of the letters");
        assert_eq!(queue.replaying, 0);
    }
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost_or_replayed_again() {
    if let Some(path) = file_of_part("put") {
        return put_until_killed(&path);
    }
    let rounds = env::var("SEAWALL_KILLS").map_or(100, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut puts = 0;
    let mut acknowledged = Acknowledged::default();
    let mut path = folder.path().join("letters.redb");
    for round in 0..rounds {
        // A file of its own for every five rounds, so that a round does not read all that came before.
        if round % 5 == 0 {
            puts += acknowledged.put.len();
            acknowledged = Acknowledged::default();
            path = folder.path().join(format!("letters-{round}.redb"));
        }
        let name = "killed_at_any_moment_nothing_acknowledged_is_lost_or_replayed_again";
        let mut child = child(name, "put", &path);
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("open") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it opens");
        }
        // Some are killed as soon as they have begun, the others when they have done something; all at a random moment then.
        let wanted = if round % 10 == 0 { 0 } else { ACKNOWLEDGED };
        let mut text = String::new();
        let mut count = 0;
        while count < wanted {
            let line = text.len();
            assert!(said.read_line(&mut text).unwrap() > 0, "it goes on");
            count += u64::from(text[line..].starts_with("put "));
        }
        let reader = thread::spawn(move || {
            _ = said.read_to_string(&mut text);
            text
        });
        thread::sleep(Duration::from_micros((round * 7919) % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.read(&reader.join().unwrap());
        acknowledged.check(&open(&path));
    }
    puts += acknowledged.put.len();
    println!("{rounds} kills, {puts} letters acknowledged");
    assert!(puts as u64 >= rounds * 1000, "{puts}");
}

/// Fills a file under a limit of its size, as a full disk would be, and goes on when there is room again.
fn fill(path: &Path) {
    let letters = open(path);
    let first = letter(1, 10);
    letters.put(vec![first.clone()]).unwrap();
    let (_, hard) = rlimit::Resource::FSIZE.get().unwrap();
    let room = fs::metadata(path).unwrap().len() + (2 << 20);
    rlimit::Resource::FSIZE.set(room, hard).unwrap();
    let mut stored = vec![first.envelope.id];
    let error = loop {
        let mut batch = Vec::new();
        for n in 0..10 {
            let mut payload = letter(stored.len() as u64 + n, 0);
            let noise: Vec<u8> =
                (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            payload.content = Content::Open {
                headers: Vec::new(),
                payload: seawall_store::letters::Payload(noise),
            };
            batch.push(payload);
        }
        let ids: Vec<_> = batch.iter().map(|letter| letter.envelope.id).collect();
        match letters.put(batch) {
            Ok(_) => stored.extend(ids),
            Err(error) => break error.to_string(),
        }
        assert!(stored.len() < 100_000, "the limit is reached");
    };
    assert!(error.contains("letters.redb") && error.contains("make room"), "{error}");
    let count = |letters: &EmbeddedLetters| {
        letters.page(&Query::default(), None, 100_000).unwrap().letters.len()
    };
    assert_eq!(count(&letters), stored.len(), "what was written can be read");
    assert!(letters.put(vec![letter(1, 1000)]).is_err() || count(&letters) == stored.len() + 1);
    let before = count(&letters);
    rlimit::Resource::FSIZE.set(hard, hard).unwrap();
    let started = Instant::now();
    while letters.put(vec![letter(1, 1000)]).is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "it goes on by itself");
    }
    assert_eq!(count(&letters), before + 1);
    println!("filled");
}

#[test]
fn a_full_disk_is_an_error_that_says_so_and_passes() {
    if let Some(path) = file_of_part("fill") {
        return fill(&path);
    }
    let folder = tempfile::tempdir().unwrap();
    let child = child(
        "a_full_disk_is_an_error_that_says_so_and_passes",
        "fill",
        &folder.path().join("letters.redb"),
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("filled"), "{text}");
}

#[test]
#[cfg(unix)]
fn a_folder_that_cannot_be_written_is_an_error_that_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let sealed = folder.path().join("sealed");
    fs::create_dir(&sealed).unwrap();
    fs::set_permissions(&sealed, fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write anywhere but in a file's place.
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    let may_write_anyway = fs::write(sealed.join("probe"), "").is_ok();
    let places =
        [(sealed.join("letters.redb"), may_write_anyway), (file.join("letters.redb"), false)];
    for (place, fine) in places {
        let opened = EmbeddedLetters::open(&place, Queues::default(), Keys::default());
        assert_eq!(opened.is_ok(), fine);
        if let Err(error) = opened {
            assert!(error.to_string().contains("letters.redb"), "{error}");
        }
    }
}

#[test]
fn flipped_bytes_never_panic_and_letters_beside_them_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.redb");
    let letters = open(&path);
    let all: Vec<_> = (0..200).map(|n| letter(n, 300)).collect();
    letters.put(all).unwrap();
    drop(letters);
    let whole = fs::read(&path).unwrap();
    let copy = folder.path().join("copy.redb");
    let (mut read, mut fewer, mut refused) = (0, 0, 0);
    let rounds: usize = env::var("SEAWALL_FLIPS").map_or(300, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let mut bytes = whole.clone();
        // Spread over the file; in every third round, several together.
        for n in 0..if round % 3 == 0 { 8 } else { 1 } {
            let at = (round * 7919 * 131 + n) % bytes.len();
            bytes[at] ^= 1 << (round % 8);
        }
        fs::write(&copy, bytes).unwrap();
        let started = Instant::now();
        match EmbeddedLetters::open(&copy, Queues::default(), Keys::default()) {
            Err(error) => {
                assert!(error.to_string().contains("copy.redb"), "{error}");
                refused += 1;
            }
            Ok(letters) => {
                let found = use_all(&letters);
                read += 1;
                fewer += usize::from(found < Some(200));
            }
        }
        assert!(started.elapsed() < Duration::from_secs(60), "round {round} takes for ever");
    }
    println!(
        "{rounds} flips: {read} files opened, {fewer} of them with fewer letters, {refused} refused"
    );
    assert!(read > refused, "most flips leave the rest readable: {read}, {refused}");
}

#[test]
fn a_file_that_is_cut_off_never_panics_and_an_empty_one_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.redb");
    let letters = open(&path);
    letters.put((0..50).map(|n| letter(n, 300)).collect()).unwrap();
    // While it is open, as after a crash; and closed.
    let dirty = fs::read(&path).unwrap();
    drop(letters);
    let clean = fs::read(&path).unwrap();
    let copy = folder.path().join("copy.redb");
    for whole in [dirty, clean] {
        for part in 0..=40 {
            fs::write(&copy, &whole[..whole.len() * part / 40]).unwrap();
            match EmbeddedLetters::open(&copy, Queues::default(), Keys::default()) {
                Err(error) => assert!(error.to_string().contains("copy.redb"), "{error}"),
                Ok(letters) => {
                    let found = use_all(&letters);
                    assert!(part != 0 || found == Some(0));
                    assert!(part != 40 || found == Some(50), "{found:?}");
                }
            }
        }
    }
}

/// Does all that can be done with the letters, and returns how many there were at first, if that can be read.
fn use_all(letters: &EmbeddedLetters) -> Option<usize> {
    let page = letters.page(&Query::default(), None, 1000).ok().map(|page| page.letters);
    _ = letters.groups(&Query::default());
    _ = letters.stats();
    for envelope in page.iter().flatten().take(20) {
        _ = letters.get(envelope.id);
        if matches!(letters.begin_replay(envelope.id), Ok(Begun::Ready(_))) {
            _ = letters.finish_replay(envelope.id, &ReplayOutcome::NotSent);
        }
    }
    _ = letters.put(vec![letter(5, 10)]);
    _ = letters.purge(&Query { until: Some(50), ..Query::default() });
    _ = letters.expire(u64::MAX);
    page.map(|letters| letters.len())
}
