//! Where keys and values are written.

use super::{AttentionOptions, BLOCK_TOKENS, CacheElement, CacheShape, ELEMENTS, KvCache, Mask, Sequence, attention};
use crate::testing::{Random, same_bits};
use crate::{Isa, Pool, Rows, RowsMut};

fn cache(isa: Isa, element: CacheElement, width: usize) -> KvCache {
    let shape = CacheShape {
        blocks: 2,
        kv_heads: 3,
        width,
        element,
    };
    KvCache::new(isa, shape)
}

#[test]
fn of_two_tokens_for_one_slot_the_later_stays_on_any_number_of_threads() {
    let rows = Random::new(67).floats(3 * 48);
    let slots = [BLOCK_TOKENS + 7, 4, BLOCK_TOKENS + 7];
    for (isa, element) in Isa::available().flat_map(|isa| ELEMENTS.map(|element| (isa, element))) {
        let [alone, others @ ..] = [1, 2, 3, 8].map(|threads| {
            let mut cache = cache(isa, element, 16);
            let rows = Rows::new(&rows, 48);
            cache.write(&Pool::new(threads), rows, rows, &slots);
            cache
        });
        let mut last = cache(isa, element, 16);
        let row = Rows::new(&rows[96..], 48);
        last.write(&Pool::new(1), row, row, &slots[2..]);
        for head in 0..3 {
            let [twice, once] = [&alone, &last].map(|cache| cache.read(slots[0], head));
            assert_eq!(twice, once, "{} {element:?}, head {head}", isa.tier());
            for (other, slot) in others.iter().flat_map(|other| slots.map(|slot| (other, slot))) {
                assert_eq!(
                    other.read(slot, head),
                    alone.read(slot, head),
                    "{} {element:?}",
                    isa.tier()
                );
            }
        }
    }
}

#[test]
fn a_full_block_at_the_end_of_the_cache_is_read_as_one_before_the_end() {
    // Three vectors of columns: those behind the first begin within a row.
    let values = Random::new(68).floats(BLOCK_TOKENS * 3 * 48);
    let rows = Rows::new(&values, 3 * 48);
    for (isa, element) in Isa::available().flat_map(|isa| ELEMENTS.map(|element| (isa, element))) {
        let [first, last] = [0, 1].map(|block: u32| {
            let mut cache = cache(isa, element, 48);
            let slots: Vec<usize> = (0..BLOCK_TOKENS)
                .map(|token| block as usize * BLOCK_TOKENS + token)
                .collect();
            cache.write(&Pool::new(1), rows, rows, &slots);
            let mut out = vec![f32::NAN; 7 * 3 * 48];
            let sequence = Sequence {
                q_start: 0,
                q_len: 7,
                context: BLOCK_TOKENS,
                block_table: &[block],
            };
            let options = AttentionOptions::new(3, 0.5).with_mask(Mask::Full);
            let queries = Rows::new(&values[..7 * 3 * 48], 3 * 48);
            attention(
                &Pool::new(1),
                &cache,
                queries,
                &[sequence],
                options,
                RowsMut::new(&mut out, 3 * 48),
            );
            out
        });
        assert!(same_bits(&first, &last), "{} {element:?}", isa.tier());
    }
}

#[test]
#[should_panic(expected = "a slot beyond the 2 blocks there are")]
fn a_slot_beyond_the_blocks_is_refused() {
    let rows = Rows::new(&[0.0; 48], 48);
    cache(Isa::best(), CacheElement::F32, 16).write(&Pool::new(1), rows, rows, &[2 * BLOCK_TOKENS]);
}

#[test]
#[should_panic(expected = "one row of all heads for each slot")]
fn rows_of_another_width_are_refused() {
    let rows = Rows::new(&[0.0; 47], 47);
    cache(Isa::best(), CacheElement::F32, 16).write(&Pool::new(1), rows, rows, &[0]);
}

#[test]
#[should_panic(expected = "a head of 24 values is not a multiple of 16")]
fn heads_that_are_no_whole_vectors_are_refused() {
    cache(Isa::best(), CacheElement::Bf16, 24);
}
