use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::test_hub::Behaviour;
use super::test_hub::COMMIT;
use super::test_hub::TestHub;
use crate::error::Result;
use crate::hub::DownloadOptions;
use crate::hub::FileSelection;
use crate::hub::Hub;
use crate::hub::Source;
use crate::hub::request::Patience;
use crate::job::Job;

const FILES: &[(&str, &[u8])] = &[
    ("README.md", b"not needed"),
    ("config.json", b"{}"),
    ("model.safetensors", b"0123456789abcdef"),
    ("sub/other.bin", b"not needed"),
];

const QUICK: Patience = Patience {
    connect: Duration::from_secs(20),
    // Long enough for the busiest machine; the test of a stall has its own.
    stall: Duration::from_secs(20),
    backoff: Duration::from_millis(1),
    tries: 2,
};

fn hub_at(folder: &Path, site: &TestHub) -> Hub {
    Hub::builder(folder)
        .endpoint(&site.endpoint)
        .patience(QUICK)
        .build()
        .unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

async fn download(hub: &Hub, job: &Job) -> Result<PathBuf> {
    hub.download(
        &source(),
        &FileSelection::safetensors(),
        &DownloadOptions::default(),
        job,
    )
    .await
}

fn source() -> Source {
    Source::hub("owner/name")
}

/// The error of a download of the files `FILES` from a hub that behaves so.
async fn fault(behaviour: Behaviour, token: Option<&str>) -> crate::Error {
    let (site, folder) = (TestHub::start(behaviour, FILES), tempfile::tempdir().unwrap());
    let stall = if behaviour == Behaviour::Stalling {
        Duration::from_millis(200)
    } else {
        QUICK.stall
    };
    let patience = Patience { stall, ..QUICK };
    let hub = Hub::builder(folder.path())
        .endpoint(&site.endpoint)
        .patience(patience)
        .build()
        .unwrap();
    if let Some(token) = token {
        hub.tokens().set(secret(token)).unwrap();
    }
    let error = download(&hub, &Job::new()).await.unwrap_err();
    assert_eq!(hub.locate(&source(), &FileSelection::safetensors()).unwrap(), None);
    if let Some(token) = token {
        assert!(
            !format!("{error:?} {error}").contains(token),
            "the token shows in {error:?}"
        );
    }
    error
}

#[tokio::test]
async fn only_the_needed_files_are_fetched_and_found_by_other_tools() {
    let (site, folder) = (TestHub::start(Behaviour::Sound, FILES), tempfile::tempdir().unwrap());
    let (hub, job) = (hub_at(folder.path(), &site), Job::new());
    let model = download(&hub, &job).await.unwrap();
    assert_eq!(
        std::fs::read(model.join("model.safetensors")).unwrap(),
        b"0123456789abcdef"
    );
    assert!(!model.join("README.md").exists());

    let progress = job.progress().borrow().clone();
    assert_eq!((progress.done_bytes, progress.total_bytes), (18, Some(18)));
    assert_eq!((progress.done_files, progress.total_files), (2, Some(2)));

    let root = folder.path().join("models--owner--name");
    assert_eq!(std::fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(model, root.join("snapshots").join(COMMIT));
    let blobs: Vec<_> = std::fs::read_dir(root.join("blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(blobs.len(), 2, "content under its hash and no part file: {blobs:?}");
    assert!(
        site.seen().iter().all(|request| !request.contains("hf_")),
        "no token is sent where there is none"
    );
}

#[tokio::test]
async fn what_is_here_is_known_without_the_network_and_not_fetched_again() {
    let (site, folder) = (TestHub::start(Behaviour::Sound, FILES), tempfile::tempdir().unwrap());
    let hub = hub_at(folder.path(), &site);
    let selection = FileSelection::safetensors();
    assert!(!hub.inventory(&source(), &selection).unwrap().complete);
    let model = download(&hub, &Job::new()).await.unwrap();
    let requests = site.seen().len();

    let inventory = hub.inventory(&source(), &selection).unwrap();
    assert_eq!((inventory.complete, inventory.bytes_total()), (true, Some(18)));
    assert_eq!(hub.resolved_revision(&source()).as_deref(), Some(COMMIT));
    assert_eq!(hub.locate(&source(), &selection).unwrap(), Some(model.clone()));
    assert_eq!(site.seen().len(), requests);

    assert_eq!(download(&hub, &Job::new()).await.unwrap(), model);
    assert_eq!(
        site.seen().len(),
        requests + 1,
        "one question for the branch: {:?}",
        site.seen()
    );

    let pinned = Source::Hub {
        repository: "owner/name".to_owned(),
        revision: COMMIT.to_owned(),
    };
    hub.download(&pinned, &selection, &DownloadOptions::default(), &Job::new())
        .await
        .unwrap();
    assert_eq!(site.seen().len(), requests + 1, "a commit needs no question");

    drop(site);
    assert_eq!(
        download(&hub, &Job::new()).await.unwrap(),
        model,
        "a hub out of reach is no obstacle"
    );
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_from_there() {
    let (site, folder) = (
        TestHub::start(Behaviour::BreakingOff, FILES),
        tempfile::tempdir().unwrap(),
    );
    let hub = hub_at(folder.path(), &site);
    let selection = FileSelection::new(["model.safetensors"]);
    let model = hub
        .download(&source(), &selection, &DownloadOptions::default(), &Job::new())
        .await
        .unwrap();
    assert_eq!(
        std::fs::read(model.join("model.safetensors")).unwrap(),
        b"0123456789abcdef"
    );
    assert!(
        site.seen().last().unwrap().ends_with("model.safetensors from 8"),
        "{:?}",
        site.seen()
    );
}

#[tokio::test]
async fn a_hub_without_ranges_sends_the_whole_file() {
    let (site, folder) = (
        TestHub::start(Behaviour::WithoutRanges, FILES),
        tempfile::tempdir().unwrap(),
    );
    let hub = hub_at(folder.path(), &site);
    let blobs = folder.path().join("models--owner--name/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    // sha256 of `0123456789abcdef`
    let part = ".9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f.part";
    std::fs::write(blobs.join(part), "01234").unwrap();
    let model = download(&hub, &Job::new()).await.unwrap();
    assert_eq!(
        std::fs::read(model.join("model.safetensors")).unwrap(),
        b"0123456789abcdef"
    );
    assert!(
        site.seen().iter().any(|request| request.ends_with("from 5")),
        "{:?}",
        site.seen()
    );
}

#[tokio::test]
async fn a_damaged_part_is_thrown_away_and_the_file_fetched_anew() {
    let (site, folder) = (TestHub::start(Behaviour::Sound, FILES), tempfile::tempdir().unwrap());
    let hub = hub_at(folder.path(), &site);
    let blobs = folder.path().join("models--owner--name/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let part = ".9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f.part";
    std::fs::write(blobs.join(part), "wrong").unwrap();
    let model = download(&hub, &Job::new()).await.unwrap();
    assert_eq!(
        std::fs::read(model.join("model.safetensors")).unwrap(),
        b"0123456789abcdef"
    );
}

#[tokio::test]
async fn force_replaces_a_damaged_file_and_keeps_the_others() {
    let (site, folder) = (TestHub::start(Behaviour::Sound, FILES), tempfile::tempdir().unwrap());
    let hub = hub_at(folder.path(), &site);
    let model = download(&hub, &Job::new()).await.unwrap();
    std::fs::write(model.join("model.safetensors"), b"0123456789abcdeX").unwrap();
    let options = DownloadOptions::default().with_force(true);
    let before = site.seen().len();
    hub.download(&source(), &FileSelection::safetensors(), &options, &Job::new())
        .await
        .unwrap();
    assert_eq!(
        std::fs::read(model.join("model.safetensors")).unwrap(),
        b"0123456789abcdef"
    );
    let fetched: Vec<_> = site
        .seen()
        .split_off(before)
        .into_iter()
        .filter(|line| line.starts_with("GET /owner"))
        .collect();
    assert_eq!(fetched.len(), 1, "{fetched:?}");
}

#[tokio::test]
async fn the_token_does_not_follow_to_the_store_behind_the_hub() {
    let (site, folder) = (
        TestHub::start(Behaviour::StoringElsewhere, FILES),
        tempfile::tempdir().unwrap(),
    );
    let hub = hub_at(folder.path(), &site);
    hub.tokens().set(secret("hf_accepted_token")).unwrap();
    let model = download(&hub, &Job::new()).await.unwrap();
    assert_eq!(
        std::fs::read(model.join("model.safetensors")).unwrap(),
        b"0123456789abcdef"
    );
    let (store, own): (Vec<_>, Vec<_>) = site.seen().into_iter().partition(|line| line.contains("/store/"));
    assert_eq!(store, ["GET /store/config.json", "GET /store/model.safetensors"]);
    assert!(own.iter().all(|line| line.ends_with(" hf_accepted_token")), "{own:?}");
}

#[tokio::test]
async fn a_repository_that_was_renamed_is_followed() {
    let (site, folder) = (TestHub::start(Behaviour::Renaming, FILES), tempfile::tempdir().unwrap());
    let model = download(&hub_at(folder.path(), &site), &Job::new()).await.unwrap();
    assert_eq!(
        std::fs::read(model.join("model.safetensors")).unwrap(),
        b"0123456789abcdef"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_are_all_here_need_no_right_to_write() {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::PermissionsExt;

    let (site, folder) = (TestHub::start(Behaviour::Sound, FILES), tempfile::tempdir().unwrap());
    let hub = hub_at(folder.path(), &site);
    let model = download(&hub, &Job::new()).await.unwrap();
    let root = folder.path().join("models--owner--name");
    let folders = [
        root.clone(),
        root.join(".inferkit"),
        root.join("refs"),
        root.join("blobs"),
        model.clone(),
    ];
    let written = || -> Vec<_> {
        folders
            .iter()
            .map(|folder| std::fs::metadata(folder).unwrap().ctime_nsec())
            .collect()
    };
    for folder in &folders {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    }
    // Rights do not bind the superuser; that nothing was changed shows in the folders' times.
    let before = written();
    assert_eq!(download(&hub, &Job::new()).await.unwrap(), model);
    assert_eq!(written(), before);
    for folder in &folders {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn two_downloads_at_once_fetch_each_file_once() {
    let (site, folder) = (TestHub::start(Behaviour::Sound, FILES), tempfile::tempdir().unwrap());
    let (one, other) = (hub_at(folder.path(), &site), hub_at(folder.path(), &site));
    let (one_job, other_job) = (Job::new(), Job::new());
    let (first, second) = tokio::join!(download(&one, &one_job), download(&other, &other_job));
    assert_eq!(first.unwrap(), second.unwrap());
    let fetched = site
        .seen()
        .into_iter()
        .filter(|line| line.starts_with("GET /owner"))
        .count();
    assert_eq!(fetched, 2, "{:?}", site.seen());
}

#[tokio::test]
async fn a_cancelled_download_keeps_what_was_fetched() {
    let (site, folder) = (TestHub::start(Behaviour::Stalling, FILES), tempfile::tempdir().unwrap());
    let (hub, job) = (hub_at(folder.path(), &site), Job::new());
    let canceller = job.clone();
    let cancel = async move {
        let mut progress = job.progress();
        let fetching = |now: &crate::Progress| now.phase == "fetching" && now.done_files == 0;
        progress.wait_for(fetching).await.map(|_| ()).unwrap();
        job.cancel();
    };
    let (result, ()) = tokio::join!(download(&hub, &canceller), cancel);
    assert!(result.unwrap_err().is_cancelled());
    let inventory = hub.inventory(&source(), &FileSelection::safetensors()).unwrap();
    assert_eq!(
        (inventory.files.len(), inventory.present(), inventory.bytes_total()),
        (2, 0, Some(18))
    );
}

#[tokio::test]
async fn a_gate_is_told_by_whether_there_is_a_token_and_names_its_page() {
    let error = fault(Behaviour::Gated, None).await;
    assert_eq!(error.code(), "gated_no_token");
    assert!(error.to_string().contains("/owner/name and set a hub token"), "{error}");
    assert!(error.is_refusal());
    assert_eq!(
        fault(Behaviour::Gated, Some("hf_not_accepted_token")).await.code(),
        "gated_not_accepted"
    );
    assert_eq!(
        fault(Behaviour::Gated, Some("hf_unknown_token")).await.code(),
        "token_invalid"
    );
}

#[tokio::test]
async fn a_token_set_later_opens_the_gate_for_the_next_download() {
    let (site, folder) = (TestHub::start(Behaviour::Gated, FILES), tempfile::tempdir().unwrap());
    let hub = hub_at(folder.path(), &site);
    assert!(download(&hub, &Job::new()).await.unwrap_err().is_refusal());
    hub.clone().tokens().set(secret("hf_accepted_token")).unwrap();
    download(&hub, &Job::new()).await.unwrap();
}

#[tokio::test]
async fn each_refusal_of_the_hub_has_its_code() {
    assert_eq!(
        fault(Behaviour::Refusing(401, "RepoNotFound"), None).await.code(),
        "repository_not_found"
    );
    assert_eq!(
        fault(Behaviour::Refusing(404, "RevisionNotFound"), None).await.code(),
        "revision_not_found"
    );
    assert_eq!(
        fault(Behaviour::Refusing(401, ""), Some("hf_unknown_token"))
            .await
            .code(),
        "token_invalid"
    );
    let error = fault(Behaviour::Refusing(500, ""), None).await;
    assert_eq!((error.code(), error.is_retryable()), ("hub_unavailable", true));
}

#[tokio::test]
async fn a_missing_file_or_revision_is_named() {
    let (site, folder) = (TestHub::start(Behaviour::Sound, FILES), tempfile::tempdir().unwrap());
    let hub = hub_at(folder.path(), &site);
    let (options, job) = (DownloadOptions::default(), Job::new());
    let error = hub
        .download(&source(), &FileSelection::gguf("b.gguf"), &options, &job)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "file_not_found");
    assert!(
        error.to_string().contains("owner/name") && error.to_string().contains("b.gguf"),
        "{error}"
    );

    let options = DownloadOptions::default().with_revision("gone");
    let error = hub
        .download(&source(), &FileSelection::safetensors(), &options, &job)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "revision_not_found");
    assert!(error.to_string().contains("no revision gone"), "{error}");
}

#[tokio::test]
async fn a_stalled_body_is_given_up_and_a_lying_one_is_not_kept() {
    assert_eq!(fault(Behaviour::Stalling, None).await.code(), "network");
    assert_eq!(fault(Behaviour::Lying, None).await.code(), "hash_mismatch");
}

#[tokio::test]
async fn a_file_of_another_length_than_listed_is_refused_with_both_lengths() {
    let error = fault(Behaviour::Miscounting, None).await;
    assert_eq!(error.code(), "size_mismatch");
    let text = error.to_string();
    assert!(
        text.contains("of owner/name has") && text.contains("were announced: try again"),
        "{text}"
    );
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_a_matter_of_the_network() {
    let (site, folder) = (TestHub::start(Behaviour::Sound, FILES), tempfile::tempdir().unwrap());
    let hub = hub_at(folder.path(), &site);
    drop(site);
    let error = download(&hub, &Job::new()).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("network", true));
}

#[tokio::test]
async fn a_listing_that_climbs_out_of_its_folder_is_refused() {
    let (site, folder) = (
        TestHub::start(Behaviour::Sound, &[("../evil.json", b"{}")]),
        tempfile::tempdir().unwrap(),
    );
    let error = download(&hub_at(folder.path(), &site), &Job::new()).await.unwrap_err();
    assert!(error.to_string().contains("leave its folder"), "{error}");
}

#[tokio::test]
async fn the_hub_says_whose_token_it_is() {
    let (site, folder) = (TestHub::start(Behaviour::Sound, FILES), tempfile::tempdir().unwrap());
    let hub = hub_at(folder.path(), &site);
    assert_eq!(hub.verify_token().await.unwrap_err().code(), "no_token");

    let status = hub.set_verified_token(secret("hf_accepted_token")).await.unwrap();
    assert_eq!((status.verified, status.user.as_deref()), (Some(true), Some("ada")));

    let error = hub.set_verified_token(secret("hf_unknown_token")).await.unwrap_err();
    assert_eq!(error.code(), "token_invalid");
    assert_eq!(
        hub.tokens().status().user.as_deref(),
        Some("ada"),
        "a refused token takes nobody's place"
    );

    hub.tokens().set(secret("hf_unknown_token")).unwrap();
    assert_eq!(hub.verify_token().await.unwrap_err().code(), "token_invalid");
    assert_eq!(hub.tokens().status().verified, Some(false));

    drop(site);
    let status = hub.set_verified_token(secret("hf_accepted_token")).await.unwrap();
    assert_eq!(
        (status.present, status.verified),
        (true, None),
        "a hub out of reach keeps the token unverified"
    );
}
