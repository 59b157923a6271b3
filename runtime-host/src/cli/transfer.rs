//! `sschat export` and `sschat import`: the state, to a file and back, from one store to another.
//!
//! The file is JSON Lines: a head, a line for each key in any order, and an end that has their number and the SHA-256 of all
//! lines before it. Values that are text stand as text, others in Base64.

use crate::manifest::runtime::{DEFAULT_LABEL, RuntimeConfig, StoreConfig};
use crate::stdout;
use crate::store::VALUE_LIMIT;
use crate::store::transfer::{self, Existing, Target, TransferError};
use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// The most bytes of a line: a value whose every byte is escaped, and its key.
const LINE_LIMIT: u64 = 7 * VALUE_LIMIT as u64;

/// How often somebody who watches is told how far it is.
const PROGRESS: Duration = Duration::from_secs(1);

/// Where the state is.
#[derive(Debug, Clone, Args)]
pub struct StateArgs {
    /// Spin's runtime configuration file: which store stands behind a label.
    #[arg(long, env = "SSCHAT_RUNTIME_CONFIG_FILE")]
    pub runtime_config_file: Option<PathBuf>,
    /// The folder of the database, where the state is in one.
    #[arg(long, env = "SSCHAT_STATE_DIR", default_value = ".sschat")]
    pub state_dir: PathBuf,
    /// The label of the store.
    #[arg(long, default_value = DEFAULT_LABEL)]
    pub label: String,
}

/// `sschat export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Where the state is.
    #[command(flatten)]
    pub state: StateArgs,
    /// The file that is written, `-` for standard output. It holds secrets: nobody else may read it.
    pub file: PathBuf,
}

/// `sschat import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// Where the state is.
    #[command(flatten)]
    pub state: StateArgs,
    /// What `sschat export` wrote.
    pub file: PathBuf,
    /// Remove what is there before.
    #[arg(long, conflicts_with = "merge")]
    pub replace: bool,
    /// Keep what is there, but for keys that the file has too.
    #[arg(long)]
    pub merge: bool,
    /// Say whether the file is whole, and write nothing.
    #[arg(long)]
    pub check: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<'a> {
    sschat_export: u32,
    created: Cow<'a, str>,
    version: Cow<'a, str>,
    label: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    key: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<Cow<'a, str>>,
    /// What `increment` left in a database file.
    #[serde(skip_serializing_if = "Option::is_none")]
    counter: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    entries: u64,
    sha256: String,
}

/// What keys of uploaded components have in them: their values are any bytes at all.
const COMPONENT: &str = "/policy/component/";

/// The number that `increment` left in a database file: eight bytes, the least first (there Spin has them so, in Redis as
/// text). Numbers stay far below where their last byte would be another, and neither records nor texts end so.
fn counter(key: &str, value: &[u8]) -> Option<i64> {
    let bytes: [u8; 8] = value.try_into().ok()?;
    let is = matches!(bytes[7], 0 | 0xFF) && !key.contains(COMPONENT);
    is.then(|| i64::from_le_bytes(bytes))
}

impl<'a> Line<'a> {
    fn of(key: &'a str, value: &'a [u8], counters: bool) -> Self {
        let mut line = Self {
            key: key.into(),
            text: None,
            base64: None,
            counter: counters.then(|| counter(key, value)).flatten(),
        };
        match std::str::from_utf8(value) {
            _ if line.counter.is_some() => {}
            Ok(text) => line.text = Some(text.into()),
            Err(_) => line.base64 = Some(BASE64_STANDARD.encode(value).into()),
        }
        line
    }
}

impl StateArgs {
    fn target(&self) -> anyhow::Result<Target> {
        let file = self.runtime_config_file.as_deref();
        let config = RuntimeConfig::read(file, &self.state_dir)?;
        match config.stores.get(&self.label) {
            Some(StoreConfig::Sqlite { path }) => Ok(Target::Sqlite(path.clone())),
            Some(StoreConfig::Redis { url }) => Ok(Target::Redis(url.clone())),
            None => {
                let known: Vec<&str> = config.stores.keys().map(String::as_str).collect();
                bail!(
                    "no store has the label {:?}; there are {}",
                    self.label,
                    known.join(", ")
                )
            }
        }
    }
}

/// Tells somebody who watches how far it is.
struct Progress {
    verb: &'static str,
    count: u64,
    told: Instant,
    watched: bool,
}

impl Progress {
    fn new(verb: &'static str) -> Self {
        Self {
            verb,
            count: 0,
            told: Instant::now(),
            watched: io::stderr().is_terminal(),
        }
    }

    fn step(&mut self) {
        self.count += 1;
        if self.watched && self.count.is_multiple_of(1_024) && self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            // Where nobody reads stderr, nobody watches.
            let _ = writeln!(io::stderr(), "{} {} keys", self.verb, self.count);
        }
    }
}

/// Writes lines, and knows what was written.
struct Counted<W: Write> {
    inner: W,
    digest: Sha256,
}

impl<W: Write> Counted<W> {
    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.digest.update(&line);
        self.inner.write_all(&line)
    }
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let target = args.state.target()?;
    if args.file == Path::new("-") {
        let out = io::stdout().lock();
        write(&target, &args.state.label, BufWriter::new(out))?;
        return Ok(());
    }
    let mut name = args.file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = args.file.with_file_name(name);
    let shown = args.file.display();
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(|| format!("cannot write {shown}"))
        .and_then(|file| {
            let count = write(&target, &args.state.label, BufWriter::new(&file))?;
            file.sync_all()?;
            std::fs::rename(&beside, &args.file)?;
            Ok(count)
        });
    if written.is_err() {
        // What was begun is no export.
        let _ = std::fs::remove_file(&beside);
    }
    stdout::say(&format!("{shown} has {} keys\n", written?));
    Ok(())
}

fn write(target: &Target, label: &str, out: impl Write) -> anyhow::Result<u64> {
    let mut out = Counted {
        inner: out,
        digest: Sha256::new(),
    };
    out.line(&Head {
        sschat_export: FORMAT,
        created: httpdate::fmt_http_date(SystemTime::now()).into(),
        version: env!("CARGO_PKG_VERSION").into(),
        label: label.into(),
    })?;
    let mut progress = Progress::new("read");
    let counters = matches!(target, Target::Sqlite(_));
    let entries = transfer::read(target, label, &mut |key, value| {
        progress.step();
        out.line(&Line::of(key, value, counters))
    })?;
    let sha256 = hex(out.digest.clone());
    out.line(&End { entries, sha256 })?;
    out.inner.flush()?;
    Ok(entries)
}

fn hex(digest: Sha256) -> String {
    let bytes = digest.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The entries of a file, up to its end, which must be right.
struct Entries<R> {
    lines: R,
    digest: Sha256,
    number: u64,
    count: u64,
    ended: bool,
    /// Counters are to be text.
    decimal: bool,
}

impl<R: BufRead> Entries<R> {
    fn new(lines: R, decimal: bool) -> io::Result<Self> {
        let mut entries = Self {
            lines,
            decimal,
            digest: Sha256::new(),
            number: 0,
            count: 0,
            ended: false,
        };
        let line = entries.line()?;
        let head = serde_json::from_slice::<Head<'_>>(&line)
            .map_err(|_| entries.wrong("this is no export of sschat"))?;
        if head.sschat_export != FORMAT {
            let other = head.sschat_export;
            let told = format!("the format is {other}; this program reads {FORMAT}");
            return Err(entries.wrong(&told));
        }
        entries.digest.update(&line);
        Ok(entries)
    }

    fn wrong(&self, what: &str) -> io::Error {
        let told = format!("line {}: {what}", self.number);
        io::Error::new(io::ErrorKind::InvalidData, told)
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.number += 1;
        Read::by_ref(&mut self.lines)
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut line)?;
        match line.last() {
            Some(b'\n') => Ok(line),
            _ => Err(self.wrong("the file ends here, before its end: it was cut off")),
        }
    }

    fn step(&mut self) -> io::Result<Option<transfer::Entry>> {
        let line = self.line()?;
        if let Ok(entry) = serde_json::from_slice::<Line<'_>>(&line) {
            self.digest.update(&line);
            self.count += 1;
            let value = match (entry.text, entry.base64, entry.counter) {
                (Some(text), None, None) => text.into_owned().into_bytes(),
                (None, None, Some(number)) if self.decimal => number.to_string().into_bytes(),
                (None, None, Some(number)) => number.to_le_bytes().to_vec(),
                (None, Some(base64), None) => BASE64_STANDARD
                    .decode(base64.as_bytes())
                    .map_err(|_| self.wrong("the value is no Base64"))?,
                _ => return Err(self.wrong("a key has one value")),
            };
            return Ok(Some((entry.key.into_owned(), value)));
        }
        let end: End = serde_json::from_slice(&line)
            .map_err(|_| self.wrong("this is neither a key nor the end"))?;
        self.ended = true;
        let same = end.entries == self.count && end.sha256 == hex(self.digest.clone());
        match same {
            true => Ok(None),
            false => Err(self.wrong("the file is not what was written: its digest is another")),
        }
    }
}

impl<R: BufRead> Iterator for Entries<R> {
    type Item = io::Result<transfer::Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step();
        self.ended |= step.is_err();
        step.transpose()
    }
}

pub(super) fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let shown = args.file.display();
    let mut file = File::open(&args.file).with_context(|| format!("cannot read {shown}"))?;
    ensure!(
        file.metadata()?.is_file(),
        "{shown} is no file: it is read twice"
    );
    let mut progress = Progress::new("checked");
    for entry in Entries::new(BufReader::new(&file), false).with_context(|| shown.to_string())? {
        entry.with_context(|| shown.to_string())?;
        progress.step();
    }
    if args.check {
        stdout::say(&format!("{shown} is whole: {} keys\n", progress.count));
        return Ok(());
    }
    file.rewind()?;
    let existing = match (args.replace, args.merge) {
        (true, _) => Existing::Replace,
        (_, true) => Existing::Merge,
        _ => Existing::Refuse,
    };
    let mut progress = Progress::new("wrote");
    let target = args.state.target()?;
    let decimal = matches!(target, Target::Redis(_));
    let mut entries = Entries::new(BufReader::new(&file), decimal)?.inspect(|_| progress.step());
    let written = transfer::write(&target, &args.state.label, existing, &mut entries);
    let written = written.map_err(|error| match error {
        TransferError::NotEmpty(_) => anyhow::anyhow!(
            "{error}\n  --replace removes what is there, --merge keeps what the file does not have"
        ),
        other => other.into(),
    })?;
    stdout::say(&format!("{written} keys were written\n"));
    Ok(())
}
