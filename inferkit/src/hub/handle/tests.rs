use super::*;

fn hub(folder: &Path) -> Hub {
    Hub::builder(folder)
        .endpoint("http://127.0.0.1:9/mirror/")
        .offline(true)
        .build()
        .unwrap()
}

async fn download(hub: &Hub, source: &Source) -> Result<PathBuf> {
    hub.download(
        source,
        &FileSelection::safetensors(),
        &DownloadOptions::default(),
        &Job::new(),
    )
    .await
}

#[tokio::test]
async fn a_path_is_its_own_download_once_its_files_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path());
    let missing = Source::path(folder.path().join("gone"));
    assert!(!hub.inventory(&missing, &FileSelection::safetensors()).unwrap().complete);
    let error = download(&hub, &missing).await.unwrap_err();
    assert_eq!(error.code(), "file_not_found");
    assert!(
        error
            .to_string()
            .contains("does not exist, and a path is nobody's to download; put"),
        "{error}"
    );

    let model = Source::path(folder.path());
    assert_eq!(download(&hub, &model).await.unwrap_err().code(), "file_not_found");
    std::fs::write(folder.path().join("model.safetensors"), "x").unwrap();
    assert_eq!(download(&hub, &model).await.unwrap(), folder.path());

    let file = Source::path(folder.path().join("model.safetensors"));
    assert_eq!(
        download(&hub, &file).await.unwrap(),
        folder.path().join("model.safetensors")
    );
    assert_eq!(
        hub.inventory(&file, &FileSelection::default()).unwrap().bytes_total(),
        Some(1)
    );
}

#[tokio::test]
async fn offline_a_repository_is_its_cached_files_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path());
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let source = Source::Hub {
        repository: "owner/name".to_owned(),
        revision: commit.to_owned(),
    };
    let error = download(&hub, &source).await.unwrap_err();
    assert_eq!((error.code(), error.is_refusal()), ("offline", true));

    let snapshot = folder.path().join("models--owner--name/snapshots").join(commit);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(snapshot.join("model.safetensors"), "x").unwrap();
    assert_eq!(download(&hub, &source).await.unwrap(), snapshot);
    let inventory = hub.inventory(&source, &FileSelection::safetensors()).unwrap();
    assert_eq!(
        (inventory.complete, inventory.resolved_revision.as_deref()),
        (true, Some(commit))
    );

    let token = SecretString::from("hf_averyverysecrettoken1234");
    let status = hub.set_verified_token(token).await.unwrap();
    assert_eq!((status.present, status.verified), (true, None));
    assert_eq!(hub.verify_token().await.unwrap_err().code(), "offline");
}

#[tokio::test]
async fn names_that_would_leave_the_folder_are_refused_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path());
    for repository in ["../x", "owner", "owner/..", "a/b/c"] {
        let error = download(&hub, &Source::hub(repository)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.param()),
            ("invalid_value", Some("source")),
            "{repository}"
        );
    }
    let source = Source::Hub {
        repository: "a/b".to_owned(),
        revision: "../../x".to_owned(),
    };
    assert_eq!(
        hub.inventory(&source, &FileSelection::default()).unwrap_err().param(),
        Some("revision")
    );
}

#[test]
fn an_endpoint_is_an_address_without_credentials() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(hub(folder.path()).endpoint(), "http://127.0.0.1:9/mirror");
    assert_eq!(hub(folder.path()).license_url("a/b"), "http://127.0.0.1:9/mirror/a/b");
    for wrong in [
        "",
        "huggingface.co",
        "ftp://x",
        "https://",
        "https://user:secret@x",
        "http://x?y",
        "http://a b",
    ] {
        let error = Hub::builder(folder.path()).endpoint(wrong).build().unwrap_err();
        assert_eq!(error.param(), Some("hub_endpoint"), "{wrong}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_cancelled_job_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let job = Job::new();
    job.cancel();
    let source = Source::hub("owner/name");
    let done = hub(folder.path())
        .download(&source, &FileSelection::default(), &DownloadOptions::default(), &job)
        .await;
    assert!(done.unwrap_err().is_cancelled());
}
