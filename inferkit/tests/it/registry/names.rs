//! Finding models, and which names are free.

use std::sync::Arc;

use inferkit::Error;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;

use super::register;
use super::registry;
use crate::fake::Fake;

async fn add(registry: &ModelRegistry, key: &str, aliases: &[&str]) -> Result<(), Error> {
    let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
    let policy = ModelPolicy::default().with_aliases(aliases);
    registry
        .register(key, Fake::new(&format!("owner/{key}"), true), policy)
        .await
        .map(drop)
}

#[tokio::test]
async fn a_model_is_found_by_key_alias_and_repository_with_case() {
    let registry = registry();
    add(&registry, "qwen", &["gpt-4o", "owner/canary"]).await.unwrap();
    add(&registry, "canary", &[]).await.unwrap();
    for (name, key) in [
        ("qwen", "qwen"),
        ("gpt-4o", "qwen"),
        ("owner/qwen", "qwen"),
        ("canary", "canary"),
        ("owner/canary", "qwen"),
    ] {
        assert_eq!(registry.get(name).unwrap().key(), key, "{name}");
    }
    let error = registry.get("Qwen").unwrap_err();
    assert_eq!((error.code(), error.param()), ("model_not_found", Some("model")));
    assert_eq!(error.to_string(), "The model 'Qwen' does not exist.");
}

#[tokio::test]
async fn a_long_unknown_name_is_cut_in_the_answer() {
    let message = registry().get(&"é".repeat(5000)).unwrap_err().to_string();
    assert_eq!(message.matches('é').count(), 200);
}

#[tokio::test]
async fn a_name_is_given_once() {
    let registry = registry();
    add(&registry, "qwen", &["chat"]).await.unwrap();
    for (key, aliases, param) in [
        ("qwen", &[][..], "key"),
        ("chat", &[], "key"),
        ("other", &["qwen"], "aliases"),
        ("other", &["chat"], "aliases"),
        ("Other", &[], "key"),
        ("other", &["x", "x"], "aliases"),
    ] {
        let error = add(&registry, key, aliases).await.unwrap_err();
        assert_eq!(
            (error.code(), error.param()),
            ("invalid_value", Some(param)),
            "{key} {aliases:?}"
        );
    }
    assert_eq!(registry.models().len(), 1);
}

#[tokio::test]
async fn of_two_that_register_one_key_at_once_one_is_refused() {
    let registry = registry();
    let both = tokio::join!(add(&registry, "m", &[]), add(&registry, "m", &[]));
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
}

#[tokio::test]
async fn models_are_listed_by_key() {
    let registry = registry();
    for key in ["c", "a", "b"] {
        add(&registry, key, &[]).await.unwrap();
    }
    let keys: Vec<_> = registry.models().iter().map(|model| model.key().to_owned()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    let keys: Vec<_> = registry.statuses().into_iter().map(|status| status.key).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(
        format!("{registry:?}"),
        r#"ModelRegistry { models: ["a", "b", "c"], .. }"#
    );
}

#[tokio::test]
async fn two_registries_in_one_process_know_nothing_of_each_other() {
    let fake = Fake::present();
    let (one, other) = (registry(), registry());
    let (first, second) = (
        register(&one, "m", &fake).await,
        register(&other, "m", &Arc::clone(&fake)).await,
    );
    first.ensure_loaded().await.unwrap();
    assert_eq!(second.lease().unwrap_err().code(), "model_not_loaded");
    one.shutdown().await;
    assert!(second.ensure_loaded().await.is_ok());
}
