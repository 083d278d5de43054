//! Where the files of a repository lie on the disk: the hub's own cache layout, shared with its Python tools.
//!
//! ```text
//! models--owner--name/
//!   blobs/<etag>                 the content, named by its hash
//!   snapshots/<commit>/<path>    a link to the content
//!   refs/<revision>              the commit that a branch or tag was last seen at
//!   .inferkit/<commit>.json      what the repository holds at that commit, so that this is known offline
//! .locks/models--owner--name/<etag>.lock
//! ```

use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::error::Result;
use crate::hub::FileInventory;
use crate::hub::FileSelection;
use crate::hub::listing::Listing;
use crate::hub::repository;

/// Bytes read of a remembered listing.
const MAX_LISTING_BYTES: u64 = 16 << 20;

/// The cached files of one repository.
#[derive(Debug, Clone)]
pub(crate) struct RepositoryCache {
    root: PathBuf,
    #[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only a download locks"))]
    locks: PathBuf,
}

impl RepositoryCache {
    /// The cache of `repository` in `models_dir`; creates nothing.
    ///
    /// # Errors
    /// [`crate::Error::InvalidRequest`] for a name that is none.
    pub(crate) fn new(models_dir: &Path, repository: &str) -> Result<Self> {
        let (owner, name) = repository::owner_and_name(repository)?;
        let folder = format!("models--{owner}--{name}");
        Ok(Self {
            root: models_dir.join(&folder),
            locks: models_dir.join(".locks").join(folder),
        })
    }

    /// The folder in which the files of `commit` are found by their names.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The commit at which `revision` was last seen, if it is known here.
    pub(crate) fn commit_of(&self, revision: &str) -> Option<String> {
        if repository::is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = read_capped(&self.reference(revision), 64)?;
        let commit = text.trim();
        repository::is_commit(commit).then(|| commit.to_owned())
    }

    /// What the repository holds at `commit`, if a download has listed it.
    pub(crate) fn listing(&self, commit: &str) -> Option<Listing> {
        let text = read_capped(&self.listing_path(commit), MAX_LISTING_BYTES)?;
        let listing: Listing = serde_json::from_str(&text).ok()?;
        Listing::checked(listing.files).ok()
    }

    /// The selected files of `commit` as they stand on the disk.
    ///
    /// Files that came by other tools have no listing; then what lies there is taken for all there is, if no
    /// link leads nowhere and no part of a split file is missing.
    pub(crate) fn inventory(&self, commit: &str, selection: &FileSelection) -> FileInventory {
        let snapshot = self.snapshot(commit);
        if let Some(listing) = self.listing(commit) {
            return listing.inventory(selection, &snapshot);
        }
        let Ok(found) = Listing::of_folder(&snapshot) else {
            return FileInventory::default();
        };
        let inventory = found.inventory(selection, &snapshot);
        let complete = inventory.complete && found.parts_are_whole();
        FileInventory { complete, ..inventory }
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.root.join("refs").join(revision)
    }

    fn listing_path(&self, commit: &str) -> PathBuf {
        self.root.join(".inferkit").join(format!("{commit}.json"))
    }
}

fn read_capped(path: &Path, max_bytes: u64) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .ok()?
        .take(max_bytes)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// What only a download does.
#[cfg(feature = "hub")]
mod writing {
    use std::io::Write;
    use std::path::Path;
    use std::path::PathBuf;

    use super::RepositoryCache;
    use crate::error::Error;
    use crate::error::Result;
    use crate::hub::listing::Listing;
    use crate::hub::repository;
    use crate::storage;

    impl RepositoryCache {
        /// Where the content named `etag` lies.
        pub(crate) fn blob(&self, etag: &str) -> PathBuf {
            self.root.join("blobs").join(etag)
        }

        /// Where the content named `etag` grows while it is fetched.
        pub(crate) fn part(&self, etag: &str) -> PathBuf {
            self.root.join("blobs").join(format!(".{etag}.part"))
        }

        /// The file whose lock is held while the content named `etag` is fetched.
        pub(crate) fn lock(&self, etag: &str) -> PathBuf {
            self.locks.join(format!("{etag}.lock"))
        }

        /// Remembers that `revision` is at `commit`.
        ///
        /// # Errors
        /// [`Error::Unavailable`] when it cannot be written.
        pub(crate) fn remember_commit(&self, revision: &str, commit: &str) -> Result<()> {
            if repository::is_commit(revision) || self.commit_of(revision).as_deref() == Some(commit) {
                return Ok(());
            }
            replace(&self.reference(revision), commit.as_bytes())
        }

        /// Remembers what the repository holds at `commit`.
        ///
        /// # Errors
        /// [`Error::Unavailable`] when it cannot be written.
        pub(crate) fn remember_listing(&self, commit: &str, listing: &Listing) -> Result<()> {
            let text = serde_json::to_vec(listing)
                .map_err(|error| Error::internal("a listing of files is no JSON").with_source(error))?;
            replace(&self.listing_path(commit), &text)
        }

        /// Gives the content named `etag` its `path` in the snapshot of `commit`.
        ///
        /// # Errors
        /// [`Error::Unavailable`] when it cannot be written.
        pub(crate) fn publish(&self, commit: &str, path: &str, etag: &str) -> Result<()> {
            let link = self.snapshot(commit).join(path);
            let failed = |error| storage::failure("a file of the model", &link, error);
            if let Some(folder) = link.parent() {
                std::fs::create_dir_all(folder).map_err(failed)?;
            }
            match std::fs::remove_file(&link) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
            let up = "../".repeat(2 + path.matches('/').count());
            attach(&self.blob(etag), &format!("{up}blobs/{etag}"), &link).map_err(failed)
        }
    }

    #[cfg(unix)]
    fn attach(_: &Path, relative: &str, link: &Path) -> std::io::Result<()> {
        std::os::unix::fs::symlink(relative, link)
    }

    #[cfg(not(unix))]
    fn attach(blob: &Path, _: &str, link: &Path) -> std::io::Result<()> {
        // Links to files need rights there that few have.
        std::fs::hard_link(blob, link).or_else(|_| std::fs::copy(blob, link).map(|_| ()))
    }

    /// Writes `content` beside `path` and renames it.
    fn replace(path: &Path, content: &[u8]) -> Result<()> {
        let failed = |error| storage::failure("what is known of the model", path, error);
        let folder = path
            .parent()
            .ok_or_else(|| Error::internal("a path of the cache has no folder"))?;
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        share(file.path()).map_err(failed)?;
        file.persist(path).map(|_| ()).map_err(|error| failed(error.error))
    }

    /// Lets other users of a shared cache read the file, as its Python tools do.
    #[cfg(unix)]
    fn share(path: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;

        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
    }

    #[cfg(not(unix))]
    fn share(_: &Path) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cache(folder: &tempfile::TempDir) -> RepositoryCache {
        RepositoryCache::new(folder.path(), "owner/name").unwrap()
    }

    fn put(path: &Path, content: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    #[test]
    fn a_branch_is_known_by_the_commit_it_was_last_seen_at() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder);
        assert_eq!(cache.commit_of("main"), None);
        assert_eq!(cache.commit_of(COMMIT).as_deref(), Some(COMMIT));
        put(
            &folder.path().join("models--owner--name/refs/main"),
            &format!("{COMMIT}\n"),
        );
        assert_eq!(cache.commit_of("main").as_deref(), Some(COMMIT));
        put(&folder.path().join("models--owner--name/refs/main"), "../../../etc");
        assert_eq!(cache.commit_of("main"), None, "a commit is never a path");
    }

    #[test]
    fn files_of_other_tools_count_when_nothing_of_them_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder);
        let selection = FileSelection::safetensors();
        assert!(!cache.inventory(COMMIT, &selection).complete);

        put(&cache.snapshot(COMMIT).join("config.json"), "{}");
        put(&cache.snapshot(COMMIT).join("model-00001-of-00002.safetensors"), "1");
        assert!(!cache.inventory(COMMIT, &selection).complete, "a part is missing");
        put(&cache.snapshot(COMMIT).join("model-00002-of-00002.safetensors"), "22");
        let inventory = cache.inventory(COMMIT, &selection);
        assert_eq!((inventory.complete, inventory.bytes_total()), (true, Some(5)));
    }

    #[test]
    fn a_damaged_listing_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder);
        for text in ["", "{", r#"{"files":[{"path":"../x","bytes":1}]}"#] {
            put(&cache.listing_path(COMMIT), text);
            assert_eq!(cache.listing(COMMIT), None, "{text}");
        }
        put(&cache.listing_path(COMMIT), r#"{"files":[{"path":"x","bytes":1}]}"#);
        assert_eq!(cache.listing(COMMIT).unwrap().files.len(), 1);
    }
}
