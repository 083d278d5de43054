use crate::speech::KeyValues;
use crate::testing::{Guarded, Random, same_bits};
use crate::{CacheElement, Isa, Pool, Rows, RowsMut};

/// `softmax(scores) · values` in f64, for one query and head; zeros without keys.
fn attend(scores: &[f64], value: impl Fn(usize, usize) -> f64, width: usize) -> Vec<f64> {
    let greatest = scores.iter().fold(f64::MIN, |a, &b| a.max(b));
    let powers: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
    let total: f64 = powers.iter().sum();
    let column = |i: usize| powers.iter().enumerate().map(|(key, p)| p * value(key, i)).sum::<f64>();
    (0..width)
        .map(|i| if scores.is_empty() { 0.0 } else { column(i) / total })
        .collect()
}

/// A row's values of one head.
fn head(rows: &[f32], row: usize, [heads, width]: [usize; 2], head: usize) -> &[f32] {
    &rows[(row * heads + head) * width..][..width]
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn every_query_sees_every_key() {
    for isa in Isa::available() {
        for (queries, keys, heads, width) in [
            (1, 1, 1, 16),
            (3, 70, 2, 64),
            (90, 65, 2, 24),
            (40, 300, 1, 8),
            (5, 0, 2, 16),
        ] {
            let mut random = Random::new(95);
            let row = heads * width;
            let q = Guarded::new(&random.floats(queries * row));
            let (k, v) = (random.floats(keys * row), random.floats(keys * row));
            let views = [&k, &v].map(|x| Rows::strided(x, keys, row, row));
            for (element, tolerance) in [(CacheElement::F32, 3e-6), (CacheElement::Bf16, 0.03)] {
                let packed = KeyValues::pack(&Pool::new(2), isa, element, heads, views);
                assert_eq!(packed.tokens(), keys);
                let mut out = vec![f32::NAN; queries * row];
                packed.attend(&Pool::new(2), Rows::new(&q, row), 0.3, RowsMut::new(&mut out, row));
                for index in 0..queries * heads {
                    let (query, own) = (index / heads, index % heads);
                    let of = |rows, row| head(rows, row, [heads, width], own);
                    let scores: Vec<f64> = (0..keys).map(|key| 0.3 * dot(of(&q, query), of(&k, key))).collect();
                    let expected = attend(&scores, |key, i| f64::from(of(&v, key)[i]), width);
                    for (found, expected) in of(&out, query).iter().zip(expected) {
                        assert!(
                            (f64::from(*found) - expected).abs() < tolerance,
                            "{}, {element:?}, query {query}: {found}, not {expected}",
                            isa.tier()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_query_among_many_is_what_it_is_alone() {
    let (queries, keys, heads, width) = (101, 600, 2, 64);
    let mut random = Random::new(96);
    let row = heads * width;
    let q = random.floats(queries * row);
    let (k, v) = (random.floats(keys * row), random.floats(keys * row));
    for isa in Isa::available() {
        let pair = [Rows::new(&k, row), Rows::new(&v, row)];
        let packed = KeyValues::pack(&Pool::new(1), isa, CacheElement::Bf16, heads, pair);
        let run = |threads: usize, q: &[f32]| {
            let mut out = vec![f32::NAN; q.len()];
            packed.attend(
                &Pool::new(threads),
                Rows::new(q, row),
                0.125,
                RowsMut::new(&mut out, row),
            );
            out
        };
        let together = run(1, &q);
        assert!(same_bits(&run(3, &q), &together), "{}", isa.tier());
        for query in [0, 47, 100] {
            let place = query * row..(query + 1) * row;
            assert!(
                same_bits(&run(2, &q[place.clone()]), &together[place]),
                "{}",
                isa.tier()
            );
        }
    }
}
