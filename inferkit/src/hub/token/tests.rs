use super::*;

const SECRET: &str = "hf_averyverysecrettoken1234";

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn stored(folder: &tempfile::TempDir) -> TokenStore {
    let store = TokenStore::open(folder.path()).unwrap();
    store.set(secret(SECRET)).unwrap();
    store
}

#[test]
fn a_token_that_was_set_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let status = stored(&folder).status();
    assert_eq!(
        (status.present, status.source, status.verified),
        (true, TokenSource::File, None)
    );
    assert_eq!(status.masked.as_deref(), Some("hf_…1234"));
    assert!(status.updated_at.is_some());

    let again = TokenStore::open(folder.path()).unwrap();
    assert_eq!(again.token().unwrap().expose_secret(), SECRET);
    assert_eq!(
        std::fs::read(folder.path().join(".hf_token")).unwrap(),
        SECRET.as_bytes(),
        "no newline"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[cfg(unix)]
#[test]
fn the_file_is_readable_by_its_owner_only_even_when_replaced() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let store = stored(&folder);
    store.set(secret("hf_anothersecrettoken56789")).unwrap();
    let mode = std::fs::metadata(folder.path().join(".hf_token"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_refused_and_its_token_is_not_shown() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let store = stored(&folder);
    let path = folder.path().join(".hf_token");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();

    let error = TokenStore::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("0600"), "{error}");
    assert!(!format!("{error:?}").contains(SECRET));

    assert!(store.token().is_none());
    assert!(store.status().problem.unwrap().contains("0600"));
    assert!(!store.status().present);

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(store.token().is_some(), "a file put right counts again");
    assert_eq!(store.status().problem, None);
}

#[test]
fn a_token_replaced_by_hand_counts_for_every_clone() {
    let folder = tempfile::tempdir().unwrap();
    let store = stored(&folder);
    let clone = store.clone();
    TokenStore::open(folder.path())
        .unwrap()
        .set(secret("hf_anothersecrettoken56789"))
        .unwrap();
    assert_eq!(clone.token().unwrap().expose_secret(), "hf_anothersecrettoken56789");
    assert_eq!(store.status().masked.as_deref(), Some("hf_…6789"));
}

#[test]
fn clearing_removes_the_file_and_is_fine_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = stored(&folder);
    let mut changes = store.watch();
    changes.mark_unchanged();
    assert!(!store.clear().unwrap().present);
    assert!(changes.has_changed().unwrap());
    assert!(!store.clear().unwrap().present);
    assert!(store.token().is_none());
    assert!(!folder.path().join(".hf_token").exists());
}

#[test]
fn what_cannot_be_a_token_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = stored(&folder);
    for wrong in [
        "",
        "short12",
        "has a space in it",
        "newline_at_end\n",
        "tökenwithumlaut",
        &"x".repeat(257),
    ] {
        let error = store.set(secret(wrong)).unwrap_err();
        assert_eq!((error.code(), error.param()), ("invalid_value", Some("token")));
        assert!(
            wrong.len() < 3 || !format!("{error:?}{error}").contains(wrong),
            "{error}"
        );
    }
    assert_eq!(store.token().unwrap().expose_secret(), SECRET, "the token before stays");
    assert!(store.set(secret(&"x".repeat(256))).is_ok());
    assert!(store.set(secret("12345678")).is_ok());
}

#[test]
fn a_token_of_the_environment_cannot_be_changed_here() {
    let store = TokenStore::with_override(secret(SECRET)).unwrap();
    assert_eq!(store.status().source, TokenSource::Env);
    assert_eq!(
        store.set(secret("hf_anothersecrettoken56789")).unwrap_err().code(),
        "token_from_environment"
    );
    assert_eq!(store.clear().unwrap_err().code(), "token_from_environment");
    assert_eq!(store.token().unwrap().expose_secret(), SECRET);
    assert!(TokenStore::with_override(secret("short")).is_err());
}

#[test]
fn no_text_about_the_store_holds_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let store = stored(&folder);
    let given = TokenStore::with_override(secret(SECRET)).unwrap();
    for text in [
        format!("{store:?}"),
        format!("{:?}", store.status()),
        format!("{:?}", store.watch()),
        format!("{:?}", store.token()),
        format!("{given:?}"),
        format!("{:?}{}", given.clear().unwrap_err(), given.clear().unwrap_err()),
    ] {
        assert!(!text.contains(SECRET) && !text.contains("averyverysecret"), "{text}");
    }
    assert_eq!(
        mask(&secret("hf_short")),
        "hf_…",
        "a short token shows no character of its own"
    );
}

#[test]
fn what_the_hub_said_of_an_older_token_does_not_count_for_the_newer() {
    let folder = tempfile::tempdir().unwrap();
    let store = stored(&folder);
    let older = store.token().unwrap();
    assert_eq!(
        store
            .note_verified(&older, true, Some("ada".to_owned()))
            .user
            .as_deref(),
        Some("ada")
    );
    store.set(secret("hf_anothersecrettoken56789")).unwrap();
    let status = store.note_verified(&older, false, None);
    assert_eq!((status.verified, status.user), (None, None));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let store = TokenStore::with_origin(
        Origin::File {
            folder: blocked.join("models"),
        },
        Held::default(),
    );
    let error = store.set(secret(SECRET)).unwrap_err();
    assert_eq!(error.code(), "storage_unwritable");
    assert!(!format!("{error:?}").contains(SECRET));
}
