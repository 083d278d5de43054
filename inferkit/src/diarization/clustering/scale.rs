//! How long clustering takes, and how that grows with the recording. Measured by hand; no test asserts a figure.

use std::time::Instant;

use inferkit_kernels::Pool;

use crate::diarization::array::Matrix;
use crate::diarization::array::Windows;
use crate::diarization::clustering::Method;
use crate::diarization::clustering::Plda;
use crate::diarization::clustering::PldaParameters;
use crate::diarization::clustering::SpeakerBounds;
use crate::diarization::clustering::Voices;
use crate::diarization::clustering::Work;
use crate::diarization::clustering::linkage::link;
use crate::diarization::clustering::numeric::unit_rows;
use crate::diarization::clustering::random::MersenneTwister;
use crate::diarization::clustering::space::Centroids;
use crate::diarization::clustering::space::Stored;

/// Width of the published embeddings.
const WIDTH: usize = 256;
/// Speakers of the conversation.
const SPEAKERS: usize = 6;

/// A number around 0: twelve uniform ones less their mean.
fn normal(random: &mut MersenneTwister) -> f32 {
    (0..12).map(|_| random.uniform() as f32).sum::<f32>() - 6.0
}

/// Voices of a conversation, three local speakers a window, half of them heard: about 1.5 vectors a second of sound.
fn conversation(windows: usize) -> (Windows<f32>, Windows<bool>) {
    let mut random = MersenneTwister::new(1);
    let speakers: Vec<Vec<f32>> = (0..SPEAKERS)
        .map(|_| (0..WIDTH).map(|_| normal(&mut random)).collect())
        .collect();
    let mut voices = Vec::with_capacity(windows * 3 * WIDTH);
    let mut active = Vec::with_capacity(windows * 10 * 3);
    for window in 0..windows {
        for local in 0..3 {
            let speaker = &speakers[(window / 7 + local) % SPEAKERS];
            voices.extend(speaker.iter().map(|value| value + 0.6 * normal(&mut random)));
        }
        // One speaks, then the other, and in every second window the third is silent too.
        let who = |frame: usize| usize::from(frame >= 5 && window % 2 == 0);
        active.extend((0..10).flat_map(|frame| (0..3).map(move |local| local == who(frame))));
    }
    (
        Windows::new([windows, 3, WIDTH], voices).unwrap(),
        Windows::new([windows, 10, 3], active).unwrap(),
    )
}

/// A model of voices that keeps the first 128 of 256 numbers.
fn plda() -> Plda {
    let identity = |rows: usize, columns: usize| {
        let values = (0..rows * columns).map(|at| f64::from(u8::from(at / columns == at % columns)));
        Matrix::new(rows, columns, values.collect()).unwrap()
    };
    Plda::new(PldaParameters {
        mean1: vec![0.0; WIDTH],
        mean2: vec![0.0; WIDTH / 2],
        lda: identity(WIDTH, WIDTH / 2),
        mu: vec![0.0; WIDTH / 2],
        tr: identity(WIDTH / 2, WIDTH / 2),
        psi: (0..WIDTH / 2).map(|at| 4.0 / (1.0 + at as f64)).collect(),
    })
    .unwrap()
}

#[test]
#[ignore = "a measurement of a minute: cargo test --release --lib how_clustering_scales -- --ignored --nocapture"]
fn how_clustering_scales_with_the_recording() {
    let pool = Pool::with_available();
    let work = Work {
        pool: &pool,
        check: &|| Ok(()),
    };
    let methods = [
        (
            "agglomerative",
            Method::Agglomerative {
                threshold: 0.7,
                min_cluster_size: 12,
            },
        ),
        (
            "VBx",
            Method::Vbx {
                threshold: 0.6,
                fa: 0.07,
                fb: 0.8,
                plda: Box::new(plda()),
            },
        ),
    ];
    println!("{} threads", pool.threads());
    for minutes in [10, 30, 60, 120, 180] {
        let (embeddings, active) = conversation(minutes * 60);
        let voices = Voices {
            embeddings: &embeddings,
            active: &active,
        };
        for (name, method) in &methods {
            let begun = Instant::now();
            let found = method
                .cluster(voices, SpeakerBounds::new(None, None).unwrap(), work)
                .unwrap();
            println!(
                "{minutes} min, {} vectors: {name} {:.2} s, {} clusters",
                minutes * 90,
                begun.elapsed().as_secs_f64(),
                found.centroids.rows()
            );
        }
    }
}

#[test]
#[ignore = "a measurement of a minute: cargo test --release --lib what_memory_costs -- --ignored --nocapture"]
fn what_memory_costs_in_time() {
    let pool = Pool::with_available();
    for vectors in [1000, 2000, 4000, 8000] {
        let (embeddings, _) = conversation(vectors / 3 + 1);
        let values = embeddings.values()[..vectors * WIDTH].to_vec();
        let units = unit_rows(&Matrix::new(vectors, WIDTH, values).unwrap()).map(f64::from);
        let begun = Instant::now();
        let stored = link(vectors, Stored::new(&units, &pool), &|| Ok(())).unwrap();
        let stored_seconds = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let bare = link(vectors, Centroids::new(units, &pool), &|| Ok(())).unwrap();
        println!(
            "{vectors} vectors: distances stored {stored_seconds:.2} s, centroids alone {:.2} s",
            begun.elapsed().as_secs_f64()
        );
        let same = stored
            .iter()
            .zip(&bare)
            .filter(|(a, b)| (a.left, a.right) == (b.left, b.right))
            .count();
        assert_eq!(same, stored.len(), "the same merges");
    }
}
