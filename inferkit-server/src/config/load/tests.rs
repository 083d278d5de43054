use std::time::Duration;

use inferkit::OnDemand;
use inferkit::Source;

use super::*;
use crate::config::Bind;

fn sources(file: &str, env: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inferkit.toml");
    std::fs::write(&path, file).unwrap();
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    (
        folder,
        Sources {
            named_file: Some(path),
            env,
            ..Sources::default()
        },
    )
}

fn read(file: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let (_folder, sources) = sources(file, env);
    load(&sources)
}

fn error(file: &str, env: &[(&str, &str)]) -> String {
    read(file, env).unwrap_err().to_string()
}

#[test]
fn a_flag_for_a_model_that_is_not_there_names_those_that_are() {
    let preload = |key: &str| Sources {
        flags: vec![(format!("models.{key}.preload"), Value::from(true), "--preload")],
        ..Sources::default()
    };
    assert!(load(&preload("qwen")).unwrap().models["qwen"].policy.preload);
    assert_eq!(
        load(&preload("nope")).unwrap_err().to_string(),
        "--preload nope: there is no model of that key; there are canary, pyannote, qwen"
    );
}

#[test]
fn without_anything_the_defaults_and_the_three_models_are_there() {
    let config = load(&Sources::default()).unwrap();
    assert_eq!(config.server.bind, Bind::Tcp("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(config.limits.request_timeout, Some(Duration::from_mins(10)));
    assert_eq!(config.models.keys().collect::<Vec<_>>(), ["canary", "pyannote", "qwen"]);
    assert_eq!(config.models["qwen"].source, Source::hub("Qwen/Qwen3-8B"));
    assert!(config.files.is_empty());
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "[server]\nbind = \"127.0.0.1:1\"\ndocs = false\n[limits]\nload_wait = 5\n";
    let env = [
        ("INFERKIT_SERVER__BIND", "127.0.0.1:2"),
        ("INFERKIT_LIMITS__LOAD_WAIT", "1.5"),
    ];
    let (_folder, mut sources) = sources(file, &env);
    sources.flags = vec![("server.bind".to_owned(), Value::from("127.0.0.1:3"), "--bind")];
    let config = load(&sources).unwrap();
    assert_eq!(config.server.bind, Bind::Tcp("127.0.0.1:3".parse().unwrap()));
    assert_eq!(config.limits.load_wait, Duration::from_millis(1500));
    assert!(!config.server.docs);
    let origins: BTreeMap<&str, Origin> = config.values.iter().map(|(path, _, origin)| (path, origin)).collect();
    assert_eq!(
        (origins["server.bind"], origins["limits.load_wait"]),
        (Origin::Flag, Origin::Env)
    );
    assert_eq!(
        (origins["server.docs"], origins["log.level"]),
        (Origin::File, Origin::Default)
    );
}

#[test]
fn the_environment_reaches_every_kind_of_value() {
    let env = [
        ("INFERKIT_MODELS__QWEN__ALIASES", "gpt-4o-mini, small"),
        ("INFERKIT_MODELS__QWEN__ON_DEMAND", "never"),
        ("INFERKIT_MODELS__QWEN__MEMORY_BUDGET", "2GiB"),
        ("INFERKIT_STORAGE__OFFLINE", "1"),
        ("INFERKIT_LOG__LEVEL", "warn"),
        ("RUST_LOG", "debug"),
        ("HF_ENDPOINT", "https://mirror.example"),
        ("INFERKIT_PORT", "tcp://10.0.0.1:80"),
    ];
    let config = read("", &env).unwrap();
    let qwen = &config.models["qwen"];
    assert_eq!(qwen.policy.aliases, ["gpt-4o-mini", "small"]);
    assert_eq!(
        (qwen.policy.on_demand, qwen.memory_budget),
        (OnDemand::Never, Some(2 << 30))
    );
    assert!(config.storage.offline);
    assert_eq!(config.log.directives, "debug", "RUST_LOG wins");
    assert_eq!(config.storage.hub_endpoint, "https://mirror.example");
    assert!(
        error("", &[("INFERKIT_SERVER__BNID", "x")]).contains("INFERKIT_SERVER__BNID: there is no key server.bnid")
    );
    assert!(error("", &[("INFERKIT_LIMITS__MAX_QUEUED", "many")]).contains("a whole number from 1"));
}

#[test]
fn a_model_of_ones_own_is_added_and_a_built_in_one_removed() {
    let file = "[models.my-model]\nfamily = \"qwen\"\nsource = \"./weights\"\nidle_unload = 60\npreload = true\n\
        [models.canary]\nenabled = false\n";
    let config = read(file, &[("INFERKIT_MODELS__MY_MODEL__DEVICE", "cpu")]).unwrap();
    assert_eq!(
        config.models.keys().collect::<Vec<_>>(),
        ["my-model", "pyannote", "qwen"]
    );
    let model = &config.models["my-model"];
    assert_eq!(model.source, Source::path("./weights"));
    assert_eq!(model.device, inferkit::DevicePreference::Cpu);
    assert!(model.policy.preload);
    assert_eq!(model.policy.idle_unload, Some(Duration::from_mins(1)));
}

#[test]
fn a_demo_model_takes_the_place_of_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let demo = folder.path().join("demo/qwen");
    std::fs::create_dir_all(&demo).unwrap();
    std::fs::create_dir_all(folder.path().join("demo/whisper")).unwrap();
    let env = [("INFERKIT_STORAGE__MODELS_DIR", folder.path().to_str().unwrap())];
    let config = read("", &env).unwrap();
    assert_eq!(config.models["qwen"].source, Source::path(demo));
    assert_eq!(config.models["canary"].source, Source::hub("nvidia/canary-1b-v2"));
    assert_eq!(config.models["whisper"].family, "whisper");
    assert!(
        !read("", &[]).unwrap().models.contains_key("whisper"),
        "only the demo has one"
    );
    let env = [env[0], ("INFERKIT_MODELS__QWEN__SOURCE", "a/b")];
    assert_eq!(
        read("", &env).unwrap().models["qwen"].source,
        Source::hub("a/b"),
        "a set source wins"
    );
}

#[test]
fn values_that_cannot_be_are_told_with_what_can() {
    let cases = [
        ("[server]\nbind = \"nowhere\"\n", "address and port"),
        ("[server.tls]\ncert_file = \"c.pem\"\n", "server.tls.key_file"),
        ("[models.X]\nfamily = \"qwen\"\n", "a-z"),
        ("[models.x]\nfamily = \"qwen\"\n", "models.x.source"),
        ("[models.x]\nsource = \"a/b\"\n", "models.x.family"),
        ("[models.x]\nfamily = \"gwen\"\n", "qwen, canary"),
        ("[models.qwen]\ndevice = \"gpu\"\n", "auto, cpu, cuda:0 or metal"),
        ("[models.qwen]\nsource = \"a b/c\"\n", "owner/name"),
        ("[models.qwen]\nspeculation = \"lookup\"\n", "not in this version"),
        ("[models.qwen]\ncache_dtype = \"int4\"\n", "auto, f32, bf16 or int8"),
        (
            "[models.whisper]\nfamily = \"whisper\"\nsource = \"./w\"\ncache_dtype = \"int8\"\n",
            "models.whisper.cache_dtype is \"int8\"; give auto: only models of family qwen",
        ),
        ("[server]\ncors_origins = [\"app.example\"]\n", "https://app.example"),
        (
            "[server]\nadmin_cors_origins = [\"*\"]\n[auth]\nkeys = [{ name = \"a\", sha256 = \"00\", scopes = [\"admin\"] }]\n",
            "64 hex",
        ),
        ("[storage]\nhub_endpoint = \"huggingface.co\"\n", "https://"),
        ("[log]\nlevel = \"inferkit=loud\"\n", "log.level"),
        (
            "[limits]\nmax_audio_memory = \"1023KiB\"\n",
            "limits.max_audio_memory is 1047552; give a size of 1MiB or more",
        ),
    ];
    for (file, expected) in cases {
        let error = error(file, &[]);
        assert!(error.contains(expected), "{file}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_variable_with_a_name_of_several_lines_is_told_in_one() {
    let unknown = error("", &[("INFERKIT_MODELS__A\nB__\u{12}", "1")]);
    assert!(unknown.contains("there is no key models.a"), "{unknown}");
    let known = error("", &[("INFERKIT_MODELS__A\u{e}__ENABLED", "no matter")]);
    assert!(known.contains("a model's key is \"a \"; give a-z"), "{known}");
    assert!(
        !unknown.contains(char::is_control) && !known.contains(char::is_control),
        "{known:?}"
    );
}

#[test]
fn each_fault_is_of_its_kind_and_names_its_place() {
    let fault = |file: &str| read(file, &[]).unwrap_err();
    assert!(matches!(fault("[server\n"), ConfigError::Syntax { place, .. } if place.ends_with("line 1")));
    let unknown = fault("[server]\nbnid = \"x\"\n");
    assert!(matches!(unknown, ConfigError::UnknownKey { key, .. } if key == "server.bnid"));
    let value = fault("[server]\ndocs = \"yes\"\n");
    assert!(matches!(value, ConfigError::Value { place, .. } if place.ends_with("line 2")));
    let later = fault("[metrics]\npublic = true\n");
    assert!(matches!(later, ConfigError::NotInThisVersion { key, .. } if key == "metrics.public"));
    let combined = fault("[models.x]\nfamily = \"qwen\"\n");
    assert!(matches!(combined, ConfigError::Combination(text) if text.contains("models.x.source")));

    let missing = Sources {
        named_file: Some(PathBuf::from("nowhere.toml")),
        ..Sources::default()
    };
    let unreadable = load(&missing).unwrap_err();
    assert!(unreadable.to_string().starts_with("nowhere.toml: "), "{unreadable}");
    assert!(matches!(unreadable, ConfigError::Unreadable { .. }));
}

#[test]
fn keys_are_digests_or_files_with_scopes() {
    let digest = "ab".repeat(32);
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "ik_from_a_file\n").unwrap();
    let file = format!(
        "[auth]\nkeys = [{{ name = \"a\", sha256 = \"{digest}\", scopes = [\"inference\"] }},\n\
         {{ name = \"b\", key_file = {:?}, scopes = [\"admin\"] }}]\n",
        key_file.display().to_string()
    );
    let config = read(&file, &[("INFERKIT_API_KEY", "ik_from_the_environment")]).unwrap();
    let names: Vec<&str> = config.keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "INFERKIT_API_KEY"]);
    for (entry, expected) in [
        (
            "{ name = \"a\", sha256 = \"zz\", scopes = [\"admin\"] }",
            "64 hex digits",
        ),
        (
            "{ name = \"a\", sha256 = \"DIGEST\", scopes = [\"all\"] }",
            "inference, admin, metrics",
        ),
        ("{ name = \"a\", sha256 = \"DIGEST\", scope = [\"admin\"] }", "scope"),
        ("{ sha256 = \"DIGEST\", scopes = [\"admin\"] }", "name"),
        ("{ name = \"a\", scopes = [\"admin\"] }", "sha256 or key_file"),
        (
            "{ name = \"a\", key_file = \"/nonexistent\", scopes = [\"admin\"] }",
            "key_file",
        ),
    ] {
        let error = error(&format!("[auth]\nkeys = [{}]\n", entry.replace("DIGEST", &digest)), &[]);
        assert!(error.contains(expected), "{entry}: {error}");
    }
    assert!(error("", &[("INFERKIT_API_KEY", "short")]).contains("INFERKIT_API_KEY"));
}

#[test]
fn a_file_that_was_named_has_to_exist() {
    let sources = Sources {
        named_file: Some("/nonexistent/inferkit.toml".into()),
        ..Sources::default()
    };
    assert!(load(&sources).unwrap_err().to_string().contains("correct --config"));
}

/// A file that sets every kind of value, for tests that break it.
const WHOLE: &str = "[server]\nbind = \"127.0.0.1:8080\"\ncors_origins = [\"https://a.example\"]\n[limits]\n\
    max_queued = 64\nqueue_timeout = 1.5\n[[auth.keys]]\nname = \"app\"\nscopes = [\"inference\"]\n[models.qwen]\n\
    source = \"Qwen/Qwen3-8B\"\nmemory_budget = \"20GiB\"\ndtype = \"q4k\"\npreload = false\n[log]\nlevel = \"info\"\n";

#[test]
fn log_directives_in_other_letters_are_refused_and_break_nothing() {
    let error = read("", &[("RUST_LOG", "\u{2000}\u{aaa}=")]).unwrap_err();
    assert!(error.to_string().contains("log.level"), "{error}");
}

proptest::proptest! {
    #[test]
    fn no_change_to_a_file_does_more_than_fail(
        changes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), "\\PC{0,4}"), 0..6),
    ) {
        let mut letters: Vec<String> = WHOLE.chars().map(String::from).collect();
        for (at, text) in changes {
            let at = at.index(letters.len());
            letters[at] = text;
        }
        if let Err(error) = read(&letters.concat(), &[]) {
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_value_of_a_variable_does_more_than_fail(
        name in proptest::sample::select(vec![
            "INFERKIT_SERVER__BIND", "INFERKIT_LIMITS__MAX_QUEUED", "INFERKIT_LIMITS__QUEUE_TIMEOUT",
            "INFERKIT_MODELS__QWEN__SOURCE", "INFERKIT_MODELS__QWEN__MEMORY_BUDGET", "INFERKIT_MODELS__QWEN__DEVICE",
            "INFERKIT_MODELS__X__Y", "INFERKIT___", "RUST_LOG", "HF_ENDPOINT",
        ]),
        text in "\\PC{0,20}",
    ) {
        if let Err(error) = read("", &[(name, &text)]) {
            assert!(!error.to_string().is_empty());
        }
    }
}
