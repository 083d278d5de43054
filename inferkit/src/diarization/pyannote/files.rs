//! Which files a pipeline has, and where they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use crate::diarization::pipeline::CONFIG;
use crate::diarization::pipeline::Need;
use crate::diarization::pipeline::Origin as PipelineOrigin;
use crate::diarization::pipeline::PartFiles;
use crate::diarization::pipeline::PipelineConfig;
use crate::diarization::pipeline::needs;
use crate::error::Error;
use crate::error::HubFault;
use crate::error::Result;
use crate::hub::DownloadOptions;
use crate::hub::FileInventory;
use crate::hub::FileSelection;
use crate::hub::Hub;
use crate::hub::ModelFile;
use crate::hub::Source;
use crate::job::Job;
use crate::wrapper::Origin;
use crate::wrapper::not_downloaded;

/// Longest configuration that is read, in bytes.
const LONGEST_CONFIG: u64 = 1 << 20;

/// The files of the pipeline at `origin`, of whichever repositories. Reads the disk, never the network.
///
/// # Errors
/// [`Error::BadModel`] for a configuration that cannot be used; as [`Hub::inventory`].
pub(super) fn inventory(origin: &Origin) -> Result<FileInventory> {
    let Origin { source, hub } = origin;
    let Some(place) = config_place(source, hub)? else {
        return origin.inventory(&config_selection());
    };
    let (_, needs) = read(&place, source)?;
    let mut files = vec![present(&place, Path::new(CONFIG))];
    let mut complete = true;
    for need in needs {
        let (shown, file) = match &need {
            Need::Here(path) => (path.clone(), Some(path.clone())),
            Need::Repository { source: of, file } => (shown(source, of, file), repository_file(hub, of, file)?),
        };
        if let Some(file) = file.filter(|file| file.is_file()) {
            files.push(present(&file, &shown));
        } else {
            complete = false;
            files.push(ModelFile::missing(shown, None));
        }
    }
    Ok(FileInventory::new(files, complete))
}

/// Makes all files present: the configuration, then what it names, a repository at a time.
///
/// # Errors
/// As [`Hub::download`]; a gated repository is named with the page on which it is accepted.
pub(super) async fn download(origin: &Origin, options: &DownloadOptions, job: &Job) -> Result<()> {
    let Origin { source, hub } = origin;
    let pinned = pinned(source, options);
    let place = match &pinned {
        Source::Path(_) => config_place(&pinned, hub)?.ok_or_else(|| no_config(&pinned))?,
        Source::Hub { .. } => hub
            .download(&pinned, &config_selection(), options, job)
            .await?
            .join(CONFIG),
    };
    let (_, needs) = read(&place, &pinned)?;
    let mut repositories: BTreeMap<(String, String), (Source, Vec<String>)> = BTreeMap::new();
    for need in needs {
        match need {
            Need::Here(path) if !path.is_file() => return Err(missing(&path)),
            Need::Here(_) => {}
            Need::Repository { source, file } => {
                let Source::Hub { repository, revision } = &source else {
                    continue;
                };
                let key = (repository.clone(), revision.clone());
                repositories
                    .entry(key)
                    .or_insert_with(|| (source.clone(), Vec::new()))
                    .1
                    .push(file);
            }
        }
    }
    for (source, files) in repositories.into_values() {
        job.check()?;
        // The revision of the options is the pipeline's own; other repositories have theirs.
        let options = DownloadOptions {
            revision: None,
            ..options.clone()
        };
        let folder = hub
            .download(&source, &FileSelection::new(&files), &options, job)
            .await?;
        if let Some(absent) = files.iter().find(|file| !folder.join(file).is_file()) {
            let message = format!("{source} has no file {absent}; correct the pipeline's config.yaml or its revision");
            return Err(Error::hub(HubFault::FileNotFound, message));
        }
    }
    Ok(())
}

/// The configuration and the files of its parts, all of them present.
///
/// # Errors
/// [`Error::InvalidRequest`] (`not_downloaded`) when a file is missing; [`Error::BadModel`] for a configuration that cannot be used.
pub(super) fn located(origin: &Origin) -> Result<(PipelineConfig, PartFiles)> {
    let Origin { source, hub } = origin;
    let place = config_place(source, hub)?.ok_or_else(|| match source {
        Source::Path(_) => no_config(source),
        Source::Hub { .. } => not_downloaded(source),
    })?;
    let (config, needs) = read(&place, source)?;
    let mut files = Vec::new();
    for need in needs {
        match need {
            Need::Here(path) if path.is_file() => files.push(path),
            Need::Here(path) => return Err(missing(&path)),
            Need::Repository { source: of, file } => {
                let path = repository_file(hub, &of, &file)?.filter(|path| path.is_file());
                files.push(path.ok_or_else(|| not_downloaded(source))?);
            }
        }
    }
    Ok((config, PartFiles::of(files)?))
}

/// The configuration's file, if it is here.
fn config_place(source: &Source, hub: &Hub) -> Result<Option<PathBuf>> {
    let place = match source {
        Source::Path(path) if path.is_file() => path.clone(),
        Source::Path(path) => path.join(CONFIG),
        Source::Hub { .. } => match hub.locate(source, &config_selection())? {
            Some(folder) => folder.join(CONFIG),
            None => return Ok(None),
        },
    };
    Ok(place.is_file().then_some(place))
}

/// Reads the configuration at `place`, which came from `source`, and what it needs.
fn read(place: &Path, source: &Source) -> Result<(PipelineConfig, Vec<Need>)> {
    let unreadable = |error: std::io::Error| {
        let message = format!(
            "{} cannot be read ({error}); correct its rights or download it again",
            place.display()
        );
        Error::bad_model(message).with_source(error)
    };
    let length = std::fs::metadata(place).map_err(unreadable)?.len();
    if length > LONGEST_CONFIG {
        let message = format!(
            "{} has {length} bytes, far more than a configuration; check the source",
            place.display()
        );
        return Err(Error::bad_model(message));
    }
    let config = PipelineConfig::read(&std::fs::read(place).map_err(unreadable)?)?;
    let pipeline_origin = match source {
        Source::Hub { repository, revision } => PipelineOrigin::Repository {
            repository: repository.clone(),
            revision: revision.clone(),
        },
        Source::Path(_) => PipelineOrigin::Folder(place.parent().map(Path::to_owned).unwrap_or_default()),
    };
    let needs = needs(&config, &pipeline_origin)?;
    Ok((config, needs))
}

/// A repository's file in the models directory, if the repository is known there.
fn repository_file(hub: &Hub, source: &Source, file: &str) -> Result<Option<PathBuf>> {
    let folder = hub.locate(source, &FileSelection::new([file]))?;
    Ok(folder.map(|folder| folder.join(file)))
}

/// How a list of files names a file of another repository.
fn shown(own: &Source, source: &Source, file: &str) -> PathBuf {
    if own == source {
        return PathBuf::from(file);
    }
    source
        .repository()
        .map_or_else(|| PathBuf::from(file), |repository| Path::new(repository).join(file))
}

fn present(file: &Path, shown: &Path) -> ModelFile {
    ModelFile::present(shown, std::fs::metadata(file).map_or(0, |found| found.len()))
}

fn config_selection() -> FileSelection {
    FileSelection::new([CONFIG])
}

/// The source at the revision that the options ask for.
fn pinned(source: &Source, options: &DownloadOptions) -> Source {
    match (source, &options.revision) {
        (Source::Hub { repository, .. }, Some(revision)) => Source::Hub {
            repository: repository.clone(),
            revision: revision.clone(),
        },
        _ => source.clone(),
    }
}

fn no_config(source: &Source) -> Error {
    let message = format!("{source} holds no {CONFIG}; put the pipeline's files there or correct its source");
    Error::hub(HubFault::FileNotFound, message)
}

fn missing(path: &Path) -> Error {
    let message = format!(
        "{} is missing, and the pipeline's {CONFIG} names it; put it there or correct the configuration",
        path.display()
    );
    Error::hub(HubFault::FileNotFound, message)
}
