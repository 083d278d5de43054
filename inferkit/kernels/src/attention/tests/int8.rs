//! What is particular to keys and values of 8 bits.

use super::{Context, same_bits};
use crate::attention::{AttentionOptions, BLOCK_TOKENS, CacheElement, CacheShape, KvCache};
use crate::testing::{Random, cut};
use crate::{Isa, Pool, Rows};

/// A score is off by at most `scale * sum |q| * (greatest key) / 254`, half a step of each value of the key, hence a share by a factor
/// of at most e to twice that; a value is off by at most half a step of its own.
#[test]
fn outputs_stay_within_half_a_step_of_each_key_and_value() {
    let (tokens, q_len, kv_heads, heads, width) = (cut(300, 75), cut(9, 2), 2, 4, cut(64, 16));
    let options = AttentionOptions::new(heads, 0.125);
    for isa in Isa::available() {
        let queries = Random::new(65).floats(q_len * heads * width);
        let [exact, rounded] = [CacheElement::F32, CacheElement::Int8].map(|element| {
            let context = Context::new(isa, element, [tokens, kv_heads, width]);
            context.run(&Pool::new(2), &queries, 0..q_len, options)
        });
        let mut most = 0.0_f32;
        for (head, query) in queries.chunks(width).enumerate() {
            let magnitude: f32 = query.iter().map(|q| q.abs()).sum();
            // All keys and values lie within -1..1.
            let bound = (2.0 * options.scale * magnitude / 254.0).exp() - 1.0 + 1.0 / 254.0;
            let pairs = exact[head * width..][..width].iter().zip(&rounded[head * width..]);
            let error = pairs
                .map(|(exact, rounded)| (exact - rounded).abs())
                .fold(0.0, f32::max);
            assert!(error <= bound, "{}: {error} above {bound}", isa.tier());
            most = most.max(error);
        }
        assert!(most > 0.0, "something was rounded");
    }
}

#[test]
fn keys_and_values_of_zeros_and_of_tiny_numbers_are_zero() {
    for isa in Isa::available() {
        for tiny in [0.0, -0.0, 1e-38, 9e-31] {
            let context = with_token(isa, &[tiny; 16], &[tiny; 16]);
            let options = AttentionOptions::new(1, 1.0);
            let clean = Context::new(isa, CacheElement::Int8, [40, 1, 16]);
            let [found, other] = [context, clean].map(|context| context.run(&Pool::new(1), &[1.0; 16], 0..1, options));
            assert!(found.iter().all(|x| x.is_finite()), "{} {tiny:e}", isa.tier());
            assert!(!same_bits(&found, &other), "the token counts");
        }
    }
}

#[test]
fn a_key_or_value_that_is_no_number_surfaces() {
    let ones = [1.0; 16];
    for isa in Isa::available() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut row = ones;
            row[11] = bad;
            for context in [with_token(isa, &row, &ones), with_token(isa, &ones, &row)] {
                let found = context.run(&Pool::new(1), &ones, 0..1, AttentionOptions::new(1, 1.0));
                assert!(found.iter().all(|x| x.is_nan()), "{}: {bad} gave {found:?}", isa.tier());
            }
        }
    }
}

/// A context of 40 tokens, the sixth of which has this key and value.
fn with_token(isa: Isa, key: &[f32], value: &[f32]) -> Context {
    let mut context = Context::new(isa, CacheElement::Int8, [40, 1, 16]);
    let slot = context.table[0] as usize * BLOCK_TOKENS + 5;
    let (key, value) = (Rows::new(key, 16), Rows::new(value, 16));
    context.cache.write(&Pool::new(1), key, value, &[slot]);
    context
}

#[test]
fn a_block_of_8_bits_with_its_scales_is_copied_and_counted_whole() {
    let shape = CacheShape {
        blocks: 3,
        kv_heads: 2,
        width: 48,
        element: CacheElement::Int8,
    };
    assert_eq!(
        shape.bytes(),
        Some(2 * 3 * 2 * 32 * (48 + 4)),
        "a byte a value, four a scale"
    );
    let mut cache = KvCache::new(Isa::best(), shape);
    let rows = Random::new(66).floats(96);
    let rows = Rows::new(&rows, 96);
    cache.write(&Pool::new(1), rows, rows, &[32 + 9]);
    cache.copy_block(1, 2);
    for head in 0..2 {
        let copy = cache.read(64 + 9, head);
        assert_eq!(copy, cache.read(32 + 9, head));
        assert!(copy.0.iter().any(|&x| x != 0.0));
    }
}
