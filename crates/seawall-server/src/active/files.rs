//! The files that a configuration was read from, as they were then.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Files that are watched for changes.
pub(super) struct WatchedFiles(Vec<(PathBuf, Stamp)>);

/// Distinguishes one state of a file from another: when it was written, and its length. None if the file cannot be
/// seen.
type Stamp = Option<(SystemTime, u64)>;

impl WatchedFiles {
    /// These files, as they are now.
    pub(super) fn new(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|path| (path.clone(), stamp(path))).collect())
    }

    /// Notes the files as they are now. Says whether one of them differs from before.
    pub(super) fn look_again(&mut self) -> bool {
        let mut differs = false;
        for (path, known) in &mut self.0 {
            let present = stamp(path);
            differs |= present != *known;
            *known = present;
        }
        differs
    }
}

fn stamp(path: &Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}
