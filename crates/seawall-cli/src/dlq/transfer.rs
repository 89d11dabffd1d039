//! Letters to a file and back, a part at a time.

use crate::{
    failure::{Failure, Failure::Unusable},
    remote::{Remote, Reply, run},
};
use http_body_util::BodyExt;
use seawall_server::wire::ImportAnswer;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
};

/// Bytes of lines that are sent at once.
const PART: usize = 1 << 20;
/// Lines that were refused and are named.
const MAX_NAMED: usize = 100;

/// Writes the letters that the parameters mean to a file, or to the standard output.
pub(super) fn export(remote: &Remote, parameters: &str, out: Option<&Path>) -> Result<(), Failure> {
    let unwritable = |error: io::Error| match out {
        Some(path) => Unusable(format!("cannot write {}: {error}", path.display())),
        None => Unusable(format!("cannot write: {error}")),
    };
    let path = format!("/dlq/export?{}", parameters.trim_start_matches('&'));
    run(async {
        let mut body = remote.client()?.download(&path).await?;
        let mut to: Box<dyn Write> = match out {
            Some(path) => Box::new(File::create(path).map_err(unwritable)?),
            None => Box::new(io::stdout().lock()),
        };
        while let Some(frame) = body.frame().await {
            let broken = |error| Unusable(format!("the answer broke off: {error}"));
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                to.write_all(&data).map_err(unwritable)?;
            }
        }
        to.flush().map_err(unwritable)
    })
}

/// Sends the lines of a file.
pub(super) fn import(remote: &Remote, file: &Path) -> Result<Reply<ImportAnswer>, Failure> {
    let unreadable =
        |error: io::Error| Unusable(format!("cannot read {}: {error}", file.display()));
    let mut from = BufReader::new(File::open(file).map_err(unreadable)?);
    let (mut all, mut lines) = (ImportAnswer::default(), 0);
    loop {
        let (mut part, before) = (String::new(), lines);
        while part.len() < PART {
            if from.read_line(&mut part).map_err(unreadable)? == 0 {
                break;
            }
            lines += 1;
        }
        if lines == before {
            break;
        }
        let answer: Reply<ImportAnswer> =
            run(async { remote.client()?.upload("/dlq/import", part).await })?;
        let ImportAnswer { stored, merged, refused, errors } = answer.read;
        all.stored += stored;
        all.merged += merged;
        all.refused += refused;
        let room = MAX_NAMED.saturating_sub(all.errors.len());
        all.errors.extend(errors.into_iter().take(room).map(|mut error| {
            error.line += before;
            error
        }));
    }
    let json = serde_json::to_value(&all).map_err(|error| Unusable(error.to_string()))?;
    Ok(Reply { json, read: all })
}
