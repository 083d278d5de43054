//! A `.nemo` archive on disk.

use std::path::Path;

use super::error::NemoError;
use super::gzip;
use super::members::Members;
use crate::error::Result;
use crate::formats::file_range::FileRange;
use crate::formats::mmap::MappedFile;
use crate::formats::shown::file_name;
use crate::formats::shown::quoted;
use crate::job::Job;

/// A mapped archive. Nothing but its headers is read when it is opened, unless it is gzipped.
#[derive(Debug)]
pub(crate) struct NemoArchive {
    name: String,
    tar: FileRange,
    members: Members,
}

impl NemoArchive {
    /// Opens the archive at `path`. A gzipped one is unfolded into a temporary file first, of which `job` is told and
    /// which it can stop.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] naming the file and the member at fault; [`crate::Error::Unavailable`] when there is
    /// no room to unfold it, or when `job` was cancelled.
    pub(crate) fn open(path: &Path, job: &Job) -> Result<Self> {
        let name = file_name(path);
        let file = MappedFile::open(path)?;
        let tar = if !Members::is_tar(file.bytes()) && gzip::is_gzip(file.bytes()) {
            MappedFile::of(&gzip::unfold(&name, path, file.bytes(), job)?, &name)?
        } else {
            file
        };
        if !Members::is_tar(tar.bytes()) {
            return Err(NemoError::OtherFormat.in_file(&name));
        }
        let members = Members::parse(tar.bytes()).map_err(|fault| fault.in_file(&name))?;
        let tar = FileRange::whole(tar);
        Ok(Self { name, tar, members })
    }

    /// What the member `name` holds; `name` has no leading `./`.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when there is no such member.
    pub(crate) fn member(&self, name: &str) -> Result<FileRange> {
        let missing = || NemoError::Missing { name: quoted(name) }.in_file(&self.name);
        self.find(name).ok_or_else(missing)
    }

    /// What the member `name` holds; `None` if there is none.
    pub(crate) fn find(&self, name: &str) -> Option<FileRange> {
        self.tar.part(self.members.range(name)?)
    }

    /// The names of all members, sorted.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.names()
    }

    /// What messages call the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}
