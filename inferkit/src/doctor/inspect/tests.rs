use super::*;
use crate::hub::TokenStore;

/// A report of one GPU whose driver runs CUDA up to `cuda`, or of none.
fn gpus(cuda: Option<&str>) -> GpuReport {
    crate::monitor::test_report(cuda)
}

fn find<'a>(found: &'a [Dependency], name: &str) -> &'a Dependency {
    found.iter().find(|dependency| dependency.name == name).unwrap()
}

#[test]
fn each_thing_is_named_once_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let found = inspect(&InspectOptions::new(folder.path()));
    for dependency in &found {
        assert!(dependency.hint.contains(' '), "{dependency:?}");
        assert_eq!(
            found.iter().filter(|other| other.name == dependency.name).count(),
            1,
            "{dependency:?}"
        );
    }
    assert_eq!(find(&found, "models-directory").status, DependencyStatus::Ok);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
    let hub = find(&found, "hub").status == DependencyStatus::Ok;
    assert_eq!(hub, cfg!(feature = "hub"));
}

#[test]
fn a_missing_driver_blocks_only_a_build_that_needs_it() {
    let absent = gpus(None);
    assert!(!driver(&absent, false).is_blocking());
    let needed = driver(&absent, true);
    assert!(needed.is_blocking());
    assert!(needed.hint.ends_with("use a build without CUDA"), "{needed:?}");
}

#[test]
fn instructions_that_the_processor_lacks_block_and_the_choices_are_named() {
    let fine = kernels(Ok(Isa::portable()));
    assert_eq!((fine.is_blocking(), fine.version.as_deref()), (false, Some("portable")));
    let wrong = kernels(Isa::named("avx1024"));
    assert!(wrong.is_blocking(), "{wrong:?}");
    assert!(
        wrong.hint.starts_with("INFERKIT_KERNELS names") && wrong.hint.contains("choose one of portable"),
        "{wrong:?}"
    );
}

#[test]
fn an_old_driver_is_of_the_wrong_version() {
    let old = driver(&gpus(Some("11.8")), true);
    assert_eq!(old.status, DependencyStatus::WrongVersion);
    assert!(
        old.hint.contains("CUDA 11.8") && old.hint.ends_with("update the driver"),
        "{old:?}"
    );
    assert_eq!(driver(&gpus(Some("12.8")), true).status, DependencyStatus::Ok);
    assert!(is_older("9.2", "12.0") && !is_older("12.0", "12.0") && !is_older("13", "12.9"));
}

#[test]
fn libraries_are_required_only_by_a_build_that_needs_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libcublas.so.12.8.4"), "").unwrap();
    let found = cuda_libraries(&folder.path().display().to_string(), true);
    let cublas = find(&found, "libcublas");
    assert_eq!(
        (cublas.status, cublas.version.as_deref()),
        (DependencyStatus::Ok, Some("12.8.4"))
    );
    assert!(cuda_libraries("", false).iter().all(|library| !library.is_blocking()));
}

#[test]
fn a_models_directory_that_is_not_there_yet_is_made_later() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        models_directory(&folder.path().join("new/models")).status,
        DependencyStatus::Ok
    );
    std::fs::write(folder.path().join("file"), "").unwrap();
    let blocked = models_directory(&folder.path().join("file"));
    assert!(blocked.is_blocking(), "{blocked:?}");
    assert!(blocked.hint.contains("choose another folder"), "{blocked:?}");
}

#[test]
fn certificates_that_are_not_there_are_missed_only_where_the_hub_is_asked() {
    let gone = Some(Path::new("/gone/roots.pem"));
    assert_eq!(tls_roots(gone, false).status, DependencyStatus::Missing);
    assert_eq!(tls_roots(gone, false).is_blocking(), cfg!(feature = "hub"));
    assert!(!tls_roots(gone, true).is_blocking());
}

#[test]
fn a_token_is_told_by_its_ends_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = TokenStore::open(folder.path()).unwrap();
    assert_eq!(token(Some(&store.status())).status, DependencyStatus::Missing);
    store.set("hf_averyverysecrettoken1234".into()).unwrap();
    let found = token(Some(&store.status()));
    assert_eq!(
        (found.status, found.version.as_deref()),
        (DependencyStatus::Ok, Some("hf_…1234"))
    );
    assert!(!format!("{found:?}").contains("averyverysecret"));
    assert_eq!(token(None).status, DependencyStatus::Unknown);
}
