//! An application that a program carries: its manifest and its components, behind the program's own bytes.
//!
//! Executables end where their format says, so that what stands behind changes nothing about them. At the very end is
//! the length of an index, and a mark; before it the index (JSON), which knows every file by its SHA-256; before that
//! the files. `strip` would take it away.

use super::{FILE_NAME, Manifest};
use crate::digest::sha256;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// What the file ends with.
const MARK: &[u8; 8] = b"SSChat\x01\n";

/// The length of an index in 8 bytes, and the mark.
const TRAILER: u64 = 16;

/// The most bytes of an index.
const INDEX_LIMIT: u64 = 1 << 20;

/// The most bytes of all files.
const FILES_LIMIT: u64 = 1 << 30;

/// Where carried applications are unpacked, in the state folder.
const FOLDER: &str = "carried";

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// Below the manifest's folder.
    path: String,
    length: u64,
    sha256: String,
}

/// An application with everything that it needs to run.
#[derive(Debug)]
pub struct Carried {
    files: Vec<(String, Vec<u8>)>,
}

fn wrong(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// Whether a path leads nowhere else than below the folder that it starts from.
fn stays(path: &Path) -> bool {
    let plain = |part| matches!(part, Component::Normal(_));
    path.components().all(plain) && path.file_name().is_some()
}

impl Carried {
    /// Reads the manifest and the components that it names.
    ///
    /// # Errors
    /// Where a file can't be read, or is not below the manifest's folder.
    pub fn gather(manifest: &Manifest) -> io::Result<Self> {
        let mut files = vec![(FILE_NAME.to_owned(), std::fs::read(&manifest.file)?)];
        for (name, component) in &manifest.components {
            let source = &component.source;
            let below = source.strip_prefix(&manifest.folder).ok();
            let path = below.filter(|path| stays(path)).and_then(Path::to_str);
            let path = path.ok_or_else(|| {
                let (source, folder) = (source.display(), manifest.folder.display());
                wrong(format!(
                    "component {name:?}: {source} is not below {folder}"
                ))
            })?;
            if files.iter().any(|(known, _)| known == path) {
                continue;
            }
            let bytes = std::fs::read(source).map_err(|error| {
                let next = "`sschat build` makes it";
                io::Error::new(
                    error.kind(),
                    format!("{}: {error}; {next}", source.display()),
                )
            })?;
            files.push((path.to_owned(), bytes));
        }
        Ok(Self { files })
    }

    /// What the program carries, if anything.
    ///
    /// # Errors
    /// Where the file can't be read, or what it carries is damaged.
    pub fn of(program: &Path) -> io::Result<Option<Self>> {
        let mut file = File::open(program)?;
        let Some((begin, index)) = index_of(&mut file)? else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(begin))?;
        let mut files = Vec::with_capacity(index.len());
        for entry in index {
            if !stays(Path::new(&entry.path)) {
                return Err(wrong(format!("it carries {:?}", entry.path)));
            }
            let mut bytes = Vec::new();
            Read::by_ref(&mut file)
                .take(entry.length)
                .read_to_end(&mut bytes)?;
            if bytes.len() as u64 != entry.length || sha256(&bytes) != entry.sha256 {
                return Err(wrong(format!("{} in it is damaged", entry.path)));
            }
            files.push((entry.path, bytes));
        }
        Ok(Some(Self { files }))
    }

    /// What it is known by.
    pub fn digest(&self) -> String {
        let known = self.index().iter().fold(String::new(), |known, entry| {
            known + &entry.path + "\n" + &entry.sha256 + "\n"
        });
        sha256(known.as_bytes())
    }

    /// Its files and what each is known by.
    pub fn files(&self) -> impl Iterator<Item = (&str, String)> {
        let files = self.files.iter();
        files.map(|(path, bytes)| (path.as_str(), sha256(bytes)))
    }

    fn index(&self) -> Vec<Entry> {
        let entry = |(path, bytes): &(String, Vec<u8>)| Entry {
            path: path.clone(),
            length: bytes.len() as u64,
            sha256: sha256(bytes),
        };
        self.files.iter().map(entry).collect()
    }

    /// Writes a program that carries this instead of what `program` carries. All or nothing.
    ///
    /// # Errors
    /// Where a file can't be read or written.
    pub fn append(&self, program: &Path, output: &Path) -> io::Result<()> {
        let mut from = File::open(program)?;
        let length = match index_of(&mut from)? {
            Some((begin, _)) => begin,
            None => from.metadata()?.len(),
        };
        from.seek(SeekFrom::Start(0))?;
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let beside = output.with_file_name(name);
        let written = self.write(from.take(length), &beside);
        let written = written.and_then(|()| std::fs::rename(&beside, output));
        if written.is_err() {
            // It may not even exist.
            let _ = std::fs::remove_file(&beside);
        }
        written
    }

    fn write(&self, mut program: impl Read, output: &Path) -> io::Result<()> {
        let mut file = File::create(output)?;
        io::copy(&mut program, &mut file)?;
        for (_, bytes) in &self.files {
            file.write_all(bytes)?;
        }
        let index = serde_json::to_vec(&self.index())?;
        file.write_all(&index)?;
        file.write_all(&(index.len() as u64).to_be_bytes())?;
        file.write_all(MARK)?;
        file.set_permissions(PermissionsExt::from_mode(0o755))?;
        file.sync_all()
    }

    /// Writes the files below a folder, which is made where it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn unpack(&self, folder: &Path) -> io::Result<()> {
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// Makes it run from the state folder, where it is unpacked unless it is there as it should be: its manifest.
    ///
    /// # Errors
    /// The system's.
    pub fn settle(&self, state_dir: &Path) -> io::Result<PathBuf> {
        let folder = state_dir.join(FOLDER).join(&self.digest()[..16]);
        let is_there = |(path, bytes): &(String, Vec<u8>)| {
            std::fs::read(folder.join(path)).is_ok_and(|found| found == *bytes)
        };
        if !self.files.iter().all(is_there) {
            self.unpack(&folder)?;
        }
        Ok(folder.join(FILE_NAME))
    }
}

/// Where the files begin, and what they are.
fn index_of(file: &mut File) -> io::Result<Option<(u64, Vec<Entry>)>> {
    let end = file.metadata()?.len();
    if end < TRAILER {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(end - TRAILER))?;
    let mut trailer = [0; TRAILER as usize];
    file.read_exact(&mut trailer)?;
    let (length, mark) = trailer.split_at(8);
    if mark != MARK {
        return Ok(None);
    }
    let length = length
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let damaged = || wrong("the index of what it carries is damaged");
    let begin = (end - TRAILER).checked_sub(length);
    let begin = begin
        .filter(|_| length <= INDEX_LIMIT)
        .ok_or_else(damaged)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut index = Vec::new();
    Read::by_ref(file).take(length).read_to_end(&mut index)?;
    let index: Vec<Entry> = serde_json::from_slice(&index).map_err(|_| damaged())?;
    let files = index
        .iter()
        .try_fold(0_u64, |sum, entry| sum.checked_add(entry.length))
        .filter(|sum| *sum <= FILES_LIMIT);
    let begin = files.and_then(|files| begin.checked_sub(files));
    Ok(Some((begin.ok_or_else(damaged)?, index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> Carried {
        let file = |path: &str, bytes: &[u8]| (path.to_owned(), bytes.to_vec());
        Carried {
            files: vec![file(FILE_NAME, b"manifest"), file("a/b.wasm", &[0; 100])],
        }
    }

    #[test]
    fn what_is_appended_is_carried_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, first) = (folder.path().join("plain"), folder.path().join("first"));
        std::fs::write(&plain, b"program").unwrap();
        assert!(Carried::of(&plain).unwrap().is_none());
        app().append(&plain, &first).unwrap();
        let found = Carried::of(&first).unwrap().unwrap();
        assert_eq!(found.files, app().files);
        assert!(std::fs::read(&first).unwrap().starts_with(b"program"));
        let other = Carried {
            files: vec![(FILE_NAME.to_owned(), b"other".to_vec())],
        };
        other.append(&first, &first).unwrap();
        let found = Carried::of(&first).unwrap().unwrap();
        assert_eq!(found.files, other.files);
        assert_ne!(found.digest(), app().digest());
        let manifest = found.settle(folder.path()).unwrap();
        assert_eq!(std::fs::read(&manifest).unwrap(), b"other");
        std::fs::write(&manifest, b"touched").unwrap();
        found.settle(folder.path()).unwrap();
        assert_eq!(std::fs::read(&manifest).unwrap(), b"other");
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, whole) = (folder.path().join("plain"), folder.path().join("whole"));
        std::fs::write(&plain, b"program").unwrap();
        app().append(&plain, &whole).unwrap();
        let good = std::fs::read(&whole).unwrap();
        let bad = folder.path().join("bad");
        // The mark itself says whether anything is carried.
        for at in 7..good.len() - MARK.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x55;
            std::fs::write(&bad, &bytes).unwrap();
            let found = Carried::of(&bad);
            let same = |found: &Option<Carried>| {
                found
                    .as_ref()
                    .is_some_and(|found| found.files == app().files)
            };
            assert!(!found.as_ref().is_ok_and(same), "{at}");
        }
    }

    #[test]
    fn nothing_is_unpacked_elsewhere() {
        for path in ["/etc/passwd", "../up", "a/../../up", ""] {
            assert!(!stays(Path::new(path)), "{path}");
        }
        assert!(stays(Path::new("target/a.wasm")));
    }
}
