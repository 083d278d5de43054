//! Where the parts of a pipeline lie: beside its configuration, in a folder of this machine, or in a repository.
//!
//! | the reference | is looked for as |
//! |---|---|
//! | `$model/folder` | a folder beside the configuration, or of the same repository |
//! | a text | a file; a folder with `pytorch_model.bin`; `../../owner/name` beside the configuration's folder, as mirrors of the hub keep it; a folder or file below the configuration's; a repository |

use std::path::Path;
use std::path::PathBuf;

use super::config::ClusteringConfig;
use super::config::PipelineConfig;
use super::reference::Reference;
use crate::error::Error;
use crate::error::Result;
use crate::hub::Source;

/// Where a configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::diarization) enum Origin {
    /// The folder that holds it.
    Folder(PathBuf),
    /// A repository, at its top.
    Repository { repository: String, revision: String },
}

/// Which part of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Segmentation,
    Embedding,
    Plda,
}

/// A file that a pipeline needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::diarization) enum Need {
    /// A file of this machine.
    Here(PathBuf),
    /// A file of a repository.
    Repository { source: Source, file: String },
}

/// The files of a pipeline's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::diarization) struct PartFiles {
    pub(in crate::diarization) segmentation: PathBuf,
    pub(in crate::diarization) embedding: PathBuf,
    /// `xvec_transform.npz` and `plda.npz`, for pipelines with a model of voices.
    pub(in crate::diarization) plda: Option<[PathBuf; 2]>,
}

/// The file of a network in its folder.
const WEIGHTS: &str = "pytorch_model.bin";
/// The files of a model of voices in its folder.
const PLDA: [&str; 2] = ["xvec_transform.npz", "plda.npz"];
/// Toolkits whose networks are no checkpoints of pyannote, by what names of them hold.
const OTHER_TOOLKITS: [&str; 3] = ["speechbrain", "nvidia", "wespeaker"];

impl PartFiles {
    /// The files in the order of [`needs`].
    ///
    /// # Errors
    /// [`Error::Internal`] when there are not as many.
    pub(in crate::diarization) fn of(files: Vec<PathBuf>) -> Result<Self> {
        let mut files = files.into_iter();
        let found = (files.next(), files.next(), files.next(), files.next());
        let (Some(segmentation), Some(embedding), transform, plda) = found else {
            return Err(Error::internal("a pipeline without the files of its networks"));
        };
        Ok(Self {
            segmentation,
            embedding,
            plda: transform.zip(plda).map(<[PathBuf; 2]>::from),
        })
    }
}

/// The files that the pipeline of `config` needs: segmentation, embedding, and two of the model of voices if it has one.
///
/// Looks at the disk, never at the network.
///
/// # Errors
/// [`Error::BadModel`] for a reference that names nothing; of the kind `unsupported_model` for embeddings of other toolkits.
pub(in crate::diarization) fn needs(config: &PipelineConfig, origin: &Origin) -> Result<Vec<Need>> {
    if let Reference::Named(name) = &config.embedding
        && !name.contains("pyannote")
        && let Some(toolkit) = OTHER_TOOLKITS.iter().find(|toolkit| name.contains(**toolkit))
        && !Path::new(name).exists()
    {
        return Err(Error::unsupported_model(format!(
            "config.yaml: embedding is {name:?}, a network of {toolkit}; checkpoints of pyannote's WeSpeaker and of CAM++ run here"
        )));
    }
    let mut needs = part(&config.segmentation, Part::Segmentation, origin)?;
    needs.extend(part(&config.embedding, Part::Embedding, origin)?);
    if let ClusteringConfig::Vbx { plda, .. } = &config.clustering {
        needs.extend(part(plda, Part::Plda, origin)?);
    }
    Ok(needs)
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Segmentation => "segmentation",
            Self::Embedding => "embedding",
            Self::Plda => "plda",
        }
    }

    /// Its files in its folder.
    const fn files(self) -> &'static [&'static str] {
        match self {
            Self::Segmentation | Self::Embedding => &[WEIGHTS],
            Self::Plda => &PLDA,
        }
    }

    fn in_folder(self, folder: &Path) -> Vec<Need> {
        self.files().iter().map(|file| Need::Here(folder.join(file))).collect()
    }

    fn in_repository(self, source: &Source, folder: Option<&str>) -> Vec<Need> {
        let need = |file: &&str| Need::Repository {
            source: source.clone(),
            file: folder.map_or_else(|| (*file).to_owned(), |folder| format!("{folder}/{file}")),
        };
        self.files().iter().map(need).collect()
    }

    /// The files at `place`: the place itself, or those in that folder if they are all there.
    fn at(self, place: &Path) -> Option<Vec<Need>> {
        if place.is_file() && self != Self::Plda {
            return Some(vec![Need::Here(place.to_owned())]);
        }
        let all_there = self.files().iter().all(|file| place.join(file).is_file());
        all_there.then(|| self.in_folder(place))
    }
}

fn part(reference: &Reference, part: Part, origin: &Origin) -> Result<Vec<Need>> {
    match (reference, origin) {
        (Reference::Beside { folder, .. }, Origin::Folder(place)) => {
            let place = place.join(folder);
            Ok(part.at(&place).unwrap_or_else(|| part.in_folder(&place)))
        }
        (
            Reference::Beside { folder, revision },
            Origin::Repository {
                repository,
                revision: own,
            },
        ) => {
            let source = Source::Hub {
                repository: repository.clone(),
                revision: revision.as_ref().unwrap_or(own).clone(),
            };
            Ok(part.in_repository(&source, Some(folder)))
        }
        (Reference::Published { repository, folder }, _) => {
            let mirrored = mirror(origin, repository).map(|place| place.join(folder));
            let mirrored = mirrored.and_then(|place| part.at(&place));
            Ok(mirrored.unwrap_or_else(|| part.in_repository(&Source::hub(*repository), Some(folder))))
        }
        (Reference::Named(name), _) => named(name, part, origin),
    }
}

/// What a text names.
fn named(name: &str, part: Part, origin: &Origin) -> Result<Vec<Need>> {
    let below = match origin {
        Origin::Folder(place) => Some(place.join(name)),
        Origin::Repository { .. } => None,
    };
    let places = [Some(PathBuf::from(name)), mirror(origin, name), below];
    if let Some(found) = places.into_iter().flatten().find_map(|place| part.at(&place)) {
        return Ok(found);
    }
    let (repository, revision) = name.split_once('@').unwrap_or((name, "main"));
    if is_repository(repository) {
        let source = Source::Hub {
            repository: repository.to_owned(),
            revision: revision.to_owned(),
        };
        return Ok(part.in_repository(&source, None));
    }
    Err(Error::bad_model(format!(
        "config.yaml: {} is {name:?}, which is no file, no folder with {WEIGHTS} and no repository; correct it",
        part.name()
    )))
}

/// The folder in which a mirror of the hub keeps a repository, seen from another one's.
fn mirror(origin: &Origin, repository: &str) -> Option<PathBuf> {
    let Origin::Folder(place) = origin else { return None };
    let place = place.canonicalize().ok()?;
    let top = place.parent()?.parent()?;
    is_repository(repository).then(|| top.join(repository))
}

fn is_repository(name: &str) -> bool {
    let is_plain = |part: &str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(plain)
    };
    name.split_once('/')
        .is_some_and(|(owner, name)| is_plain(owner) && is_plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::path;

    fn config(text: &str) -> PipelineConfig {
        PipelineConfig::read(text.as_bytes()).unwrap()
    }

    fn golden(repository: &str) -> Vec<Need> {
        let folder = path("models").join(repository);
        let config = PipelineConfig::read(&std::fs::read(folder.join("config.yaml")).unwrap()).unwrap();
        needs(&config, &Origin::Folder(folder)).unwrap()
    }

    fn of_hub(repository: &str, revision: &str, file: &str) -> Need {
        Need::Repository {
            source: Source::Hub {
                repository: repository.to_owned(),
                revision: revision.to_owned(),
            },
            file: file.to_owned(),
        }
    }

    const THREE_ONE: &str = "pipeline: {name: SpeakerDiarization, params: {clustering: KMeansClustering, \
        segmentation: pyannote/segmentation-3.0, embedding: pyannote/wespeaker-voxceleb-resnet34-LM@v1}}";

    #[test]
    fn folders_beside_the_configuration_and_mirrored_repositories_are_found() {
        for repository in [
            "pyannote/speaker-diarization-3.1",
            "pyannote/speaker-diarization-community-1",
            "tiny/multilabel",
        ] {
            let needs = golden(repository);
            let all_here = needs
                .iter()
                .all(|need| matches!(need, Need::Here(file) if file.is_file()));
            assert!(all_here, "{repository}: {needs:?}");
            assert_eq!(needs.len(), if repository.ends_with("community-1") { 4 } else { 2 });
        }
    }

    #[test]
    fn from_the_hub_parts_come_from_the_same_or_the_named_repositories() {
        let origin = Origin::Repository {
            repository: "owner/pipeline".to_owned(),
            revision: "v2".to_owned(),
        };
        let found = needs(&config(THREE_ONE), &origin).unwrap();
        let expected = [
            of_hub("pyannote/segmentation-3.0", "main", "pytorch_model.bin"),
            of_hub("pyannote/wespeaker-voxceleb-resnet34-LM", "v1", "pytorch_model.bin"),
        ];
        assert_eq!(found, expected);
        let beside = config(
            "pipeline: {name: SpeakerDiarization, params: {segmentation: $model/segmentation, embedding: $model/embedding@v9}}",
        );
        let expected = [
            of_hub("owner/pipeline", "v2", "segmentation/pytorch_model.bin"),
            of_hub("owner/pipeline", "v9", "embedding/pytorch_model.bin"),
            of_hub(
                "pyannote/speaker-diarization-community-1",
                "main",
                "plda/xvec_transform.npz",
            ),
            of_hub("pyannote/speaker-diarization-community-1", "main", "plda/plda.npz"),
        ];
        assert_eq!(needs(&beside, &origin).unwrap(), expected);
    }

    #[test]
    fn files_and_folders_are_taken_before_repositories_also_below_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("own/net")).unwrap();
        std::fs::write(folder.path().join("own/net/pytorch_model.bin"), b"x").unwrap();
        std::fs::write(folder.path().join("voices.pt"), b"x").unwrap();
        let config = config(
            "pipeline: {name: SpeakerDiarization, params: {clustering: KMeansClustering, segmentation: own/net, \
             embedding: voices.pt}}",
        );
        let found = needs(&config, &Origin::Folder(folder.path().to_owned())).unwrap();
        let here = |file: &str| Need::Here(folder.path().join(file));
        assert_eq!(found, [here("own/net/pytorch_model.bin"), here("voices.pt")]);
    }

    #[test]
    fn other_toolkits_and_names_of_nothing_are_refused() {
        let origin = Origin::Folder(PathBuf::from("/nowhere"));
        let with = |embedding: &str| {
            let text = "pipeline: {name: SpeakerDiarization, params: {clustering: KMeansClustering, embedding: ";
            needs(&config(&format!("{text}{embedding:?}}}}}")), &origin).unwrap_err()
        };
        let error = with("speechbrain/spkrec-ecapa-voxceleb");
        assert_eq!(error.code(), "unsupported_model");
        assert!(
            error.to_string().contains("speechbrain/spkrec-ecapa-voxceleb"),
            "{error}"
        );
        assert!(
            with("no such thing")
                .to_string()
                .contains("embedding is \"no such thing\"")
        );
        assert_eq!(with("/no/such/file").code(), "bad_model");
    }
}
