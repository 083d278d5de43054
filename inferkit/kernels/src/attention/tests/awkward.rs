//! Scores and values that are no ordinary numbers.

use super::{AttentionOptions, BLOCK_TOKENS, CacheElement, CacheShape, Context, KvCache, Sequence, attention};
use crate::{Isa, Pool, Rows, RowsMut};

#[test]
fn scores_that_are_no_numbers_surface_and_infinities_do_not_spread() {
    for isa in Isa::available() {
        let mut context = Context::new(isa, CacheElement::F32, [40, 1, 16]);
        let options = AttentionOptions::new(1, 1.0);
        let clean = context.run(&Pool::new(1), &[1.0; 16], 0..1, options);
        assert!(clean.iter().all(|x| x.is_finite()));
        // A key that no query likes: its score is minus infinity.
        let mut key = [0.0; 16];
        key[0] = f32::NEG_INFINITY;
        let slot = context.table[0] as usize * BLOCK_TOKENS + 5;
        let value = vec![1.0; 16];
        context
            .cache
            .write(&Pool::new(1), Rows::new(&key, 16), Rows::new(&value, 16), &[slot]);
        let mut query = [0.0; 16];
        query[0] = 1.0;
        let found = context.run(&Pool::new(1), &query, 0..1, options);
        assert!(
            found.iter().all(|x| x.is_finite()),
            "{}: a probability of zero, {found:?}",
            isa.tier()
        );
        for bad in [f32::NAN, f32::INFINITY] {
            key[0] = bad;
            context
                .cache
                .write(&Pool::new(1), Rows::new(&key, 16), Rows::new(&value, 16), &[slot]);
            let found = context.run(&Pool::new(1), &query, 0..1, options);
            assert!(found.iter().all(|x| x.is_nan()), "{}: {bad} gave {found:?}", isa.tier());
        }
    }
}

/// Room for 32 tokens of one head.
fn one_block(isa: Isa) -> KvCache {
    let shape = CacheShape {
        blocks: 1,
        kv_heads: 1,
        width: 16,
        element: CacheElement::F32,
    };
    KvCache::new(isa, shape)
}

#[test]
fn a_query_whose_scores_are_all_minus_infinity_gives_zeros() {
    for isa in Isa::available() {
        let mut cache = one_block(isa);
        let mut key = [0.0; 16];
        key[0] = f32::NEG_INFINITY;
        cache.write(&Pool::new(1), Rows::new(&key, 16), Rows::new(&[1.0; 16], 16), &[0]);
        let mut out = [f32::NAN; 16];
        let sequence = Sequence {
            q_start: 0,
            q_len: 1,
            context: 1,
            block_table: &[0],
        };
        let mut query = [0.0; 16];
        query[0] = 1.0;
        let options = AttentionOptions::new(1, 1.0);
        let queries = Rows::new(&query, 16);
        attention(
            &Pool::new(1),
            &cache,
            queries,
            &[sequence],
            options,
            RowsMut::new(&mut out, 16),
        );
        assert_eq!(out, [0.0; 16], "{}", isa.tier());
    }
}

#[test]
fn a_row_of_scores_of_minus_infinity_sees_nothing_of_what_its_chunk_sees() {
    for isa in Isa::available() {
        let mut cache = one_block(isa);
        // The first token is hidden from both queries by its key; the second lies behind the first query.
        let mut keys = [0.0; 2 * 16];
        keys[0] = f32::NEG_INFINITY;
        cache.write(
            &Pool::new(1),
            Rows::new(&keys, 16),
            Rows::new(&[1.0; 2 * 16], 16),
            &[0, 1],
        );
        let mut queries = [0.0; 2 * 16];
        (queries[0], queries[16]) = (1.0, 1.0);
        let mut out = [f32::NAN; 2 * 16];
        let sequence = Sequence {
            q_start: 0,
            q_len: 2,
            context: 2,
            block_table: &[0],
        };
        attention(
            &Pool::new(1),
            &cache,
            Rows::new(&queries, 16),
            &[sequence],
            AttentionOptions::new(1, 1.0),
            RowsMut::new(&mut out, 16),
        );
        assert_eq!(out[..16], [0.0; 16], "{}", isa.tier());
        assert_eq!(out[16..], [1.0; 16], "{}", isa.tier());
    }
}

#[test]
#[cfg_attr(miri, ignore = "the mode of processors is not interpreted")]
fn denormal_keys_and_values_count_as_zero() {
    let options = AttentionOptions::new(1, 1.0);
    for isa in Isa::available() {
        for element in [CacheElement::Bf16, CacheElement::F32] {
            let mut context = Context::new(isa, element, [2, 1, 16]);
            let mut run = |keys: [f32; 32], values: [f32; 32]| {
                let slots = [0, 1].map(|token| context.table[0] as usize * BLOCK_TOKENS + token);
                let [keys, values] = [&keys, &values].map(|rows| Rows::new(rows, 16));
                context.cache.write(&Pool::new(1), keys, values, &slots);
                context.run(&Pool::new(1), &[1e38; 16], 0..1, options)
            };
            let (mut keys, mut values) = ([0.0; 32], [1.0; 32]);
            keys[..16].fill(1e-38);
            values[16..].fill(3.0);
            let found = run(keys, values);
            assert_eq!(found, [2.0; 16], "{} {element:?}: both keys count the same", isa.tier());
            let found = run([0.0; 32], [1e-38; 32]);
            assert_eq!(found, [0.0; 16], "{} {element:?}: values", isa.tier());
        }
    }
}
