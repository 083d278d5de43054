//! What the models of a registry compute with.

use std::num::NonZeroUsize;

use inferkit::LoadOptions;
use inferkit::ModelRegistry;
use inferkit::Threads;

use super::end;
use super::load;
use super::register;
use crate::fake::Fake;

#[tokio::test]
async fn all_models_of_a_registry_are_handed_the_same_threads() {
    let threads = Threads::with_count(NonZeroUsize::MIN);
    let registry = ModelRegistry::builder().threads(threads.clone()).build().unwrap();
    for key in ["first", "second"] {
        let fake = Fake::present();
        load(&register(&registry, key, &fake).await).await;
        assert_eq!(fake.threads.lock().unwrap().as_ref(), Some(&threads), "{key}");
    }
}

#[tokio::test]
async fn a_registry_that_was_told_nothing_makes_threads_of_its_own() {
    let registries = [(); 2].map(|()| ModelRegistry::builder().build().unwrap());
    let fakes = [(); 3].map(|()| Fake::present());
    for (number, fake) in fakes.iter().enumerate() {
        let model = register(&registries[number / 2], &format!("model-{number}"), fake).await;
        load(&model).await;
    }
    let [first, second, other] = fakes
        .each_ref()
        .map(|fake| fake.threads.lock().unwrap().clone().unwrap());
    assert!(first == second && first != other, "one set for each registry");
}

#[tokio::test]
async fn a_load_may_name_threads_of_its_own() {
    let registry = ModelRegistry::builder().build().unwrap();
    let fake = Fake::present();
    let model = register(&registry, "fake", &fake).await;
    let mut options = LoadOptions::default();
    options.threads = Some(Threads::new());
    let own = options.threads.clone();
    end(&model, model.load(options)).await;
    assert_eq!(*fake.threads.lock().unwrap(), own);
}
