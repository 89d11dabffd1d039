//! Files and texts that hold a document, read into a tree.

use crate::{
    document::{self, Document, Loaded},
    findings::{Fault, Findings},
    mistake::Mistakes,
    origin::Named,
    toml,
    tree::{Node, Position},
    yaml,
};
use serde::de::IgnoredAny;
use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The largest file that is read, in bytes: 4 MiB.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The format of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, one document.
    Yaml,
    /// Strict JSON.
    Json,
    /// TOML 1.1.
    Toml,
}

impl Format {
    /// The format of a file by its extension, `.json` or `.toml`; everything else is YAML.
    pub fn of_path(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(extension) if extension.eq_ignore_ascii_case("json") => Self::Json,
            Some(extension) if extension.eq_ignore_ascii_case("toml") => Self::Toml,
            _ => Self::Yaml,
        }
    }
}

/// A text to load, with the name that its mistakes carry.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    bytes: Vec<u8>,
    format: Format,
}

/// The reason why a file gave no document.
#[derive(Debug)]
pub enum LoadError {
    /// The file could not be read.
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The file was read, and it has mistakes.
    Mistakes(Mistakes),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Mistakes(mistakes) => mistakes.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Mistakes(_) => None,
        }
    }
}

impl From<Mistakes> for LoadError {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

/// Reads, checks and deserialises a text; its warnings are dropped, see [`Source::load`].
pub fn load_str<T: Document>(name: &str, text: &str, format: Format) -> Result<T, Mistakes> {
    Source::new(name, text, format).load().map(|loaded| loaded.document)
}

/// Reads, checks and deserialises a file; its warnings are dropped, see [`Source::load`].
pub fn load_file<T: Document>(path: &Path) -> Result<T, LoadError> {
    Ok(Source::read(path)?.load().map(|loaded| loaded.document)?)
}

impl Source {
    /// Makes a source of a text, or of bytes that should be one.
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>, format: Format) -> Self {
        Self { name: name.into(), bytes: text.into(), format }
    }

    /// Reads a file, and no more of it than may be loaded: it may be a device that never ends.
    ///
    /// # Errors
    /// [`LoadError::Io`] if it cannot be read. That it is too large is found by [`load`](Self::load).
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| LoadError::Io { path: path.to_owned(), error })?;
        Ok(Self::new(path.display().to_string(), bytes, Format::of_path(path)))
    }

    /// Checks the text and makes the document.
    ///
    /// # Errors
    /// All mistakes of the text; where it cannot be parsed, the places that stop the parser.
    pub fn load<T: Document>(&self) -> Result<Loaded<T>, Mistakes> {
        let mut findings = Findings::default();
        let tree = self.tree(&mut findings);
        document::load(tree, vec![Named::file(&self.name)], findings, &|name| {
            std::env::var(name).ok()
        })
    }

    /// The name that its mistakes carry.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn tree(&self, findings: &mut Findings) -> Option<Node> {
        let text = match text(&self.bytes) {
            // A mark that some editors put first, and that takes no column.
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err((at, fault)) => {
                findings.add(at, String::new(), fault);
                return None;
            }
        };
        match self.format {
            Format::Yaml => yaml::parse(text, findings),
            Format::Toml => toml::parse(text, findings),
            // JSON is YAML, so that it has positions; what YAML would forgive is refused first.
            Format::Json => match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => yaml::parse(text, findings),
                Err(error) => {
                    let (at, fault) = json_fault(text, &error);
                    findings.add(at, String::new(), fault);
                    None
                }
            },
        }
    }
}

/// The text, if it is one and not too long.
fn text(bytes: &[u8]) -> Result<&str, (Position, Fault)> {
    if bytes.len() > MAX_BYTES {
        let fault = Fault::error(format!("larger than {} MiB", MAX_BYTES >> 20));
        return Err((Position::START, fault.right("a configuration file is smaller")));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let byte = bytes[error.valid_up_to()];
        let fault = Fault::error(format!("not UTF-8: a byte 0x{byte:02X} cannot stand here"));
        (Position::at(line, column), fault.right("save the file as UTF-8"))
    })
}

/// The JSON parser counts columns in bytes, and says the place again in its message.
fn json_fault(text: &str, error: &serde_json::Error) -> (Position, Fault) {
    let line = error.line().max(1);
    let bytes = text.lines().nth(line - 1).unwrap_or("").as_bytes();
    let before = &bytes[..error.column().saturating_sub(1).min(bytes.len())];
    let column = String::from_utf8_lossy(before).chars().count() + 1;
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    (Position::at(line, column), Fault::error(format!("not JSON: {message}")))
}
