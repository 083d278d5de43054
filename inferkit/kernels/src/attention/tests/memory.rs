//! What attention takes from the system.

use super::{AttentionOptions, CacheShape, ELEMENTS, KvCache, Sequence, attention};
use crate::testing::{Random, check_memory};
use crate::{Isa, Pool, Rows, RowsMut};

#[test]
#[cfg_attr(miri, ignore = "counts memory, which is the same when interpreted")]
fn attention_takes_no_fresh_memory() {
    let (pool, tokens, width) = (Pool::new(1), 600, 64);
    let mut random = Random::new(112);
    let keys = random.floats(tokens * width);
    let (queries, keys) = (Rows::new(&keys[..40 * width], width), Rows::new(&keys, width));
    let mut out = vec![0.0; 40 * width];
    for element in ELEMENTS {
        let shape = CacheShape {
            blocks: 19,
            kv_heads: 1,
            width,
            element,
        };
        let mut cache = KvCache::new(Isa::best(), shape);
        cache.write(&pool, keys, keys, &(0..tokens).collect::<Vec<_>>());
        let block_table: Vec<u32> = (0..19).collect();
        let sequence = Sequence {
            q_start: 0,
            q_len: 40,
            context: tokens,
            block_table: &block_table,
        };
        check_memory(&format!("{element:?}"), || {
            let options = AttentionOptions::new(1, 0.1);
            attention(
                &pool,
                &cache,
                queries,
                &[sequence],
                options,
                RowsMut::new(&mut out, width),
            );
        });
    }
}
