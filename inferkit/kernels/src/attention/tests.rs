mod awkward;
mod int8;
mod memory;
mod slots;

use super::{AttentionOptions, BLOCK_TOKENS, CacheElement, CacheShape, KvCache, Mask, Sequence, attention};
use crate::testing::{Guarded, Random, cut, same_bits};
use crate::{Isa, Pool, Rows, RowsMut};

/// One sequence's keys and values as plain rows, and the same in a cache whose block table is shuffled.
struct Context {
    kv_heads: usize,
    width: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
    cache: KvCache,
    table: Vec<u32>,
}

impl Context {
    fn new(isa: Isa, element: CacheElement, [tokens, kv_heads, width]: [usize; 3]) -> Self {
        let mut random = Random::new(60);
        let used = tokens.div_ceil(BLOCK_TOKENS);
        let shape = CacheShape {
            blocks: used + cut(3, 1),
            kv_heads,
            width,
            element,
        };
        let mut cache = KvCache::new(isa, shape);
        let mut table: Vec<u32> = (0..shape.blocks as u32).collect();
        (1..table.len()).for_each(|i| table.swap(i, random.bits() as usize % (i + 1)));
        table.truncate(used);
        // Unwritten slots hold NaN: whoever reads one of them shows it.
        let everything: Vec<usize> = (0..shape.blocks * BLOCK_TOKENS).collect();
        let nan = vec![f32::NAN; everything.len() * kv_heads * width];
        let nan = Rows::new(&nan, kv_heads * width);
        cache.write(&Pool::new(1), nan, nan, &everything);
        let row = kv_heads * width;
        let (keys, values) = (random.floats(tokens * row), random.floats(tokens * row));
        let slots: Vec<usize> = (0..tokens)
            .map(|i| table[i / BLOCK_TOKENS] as usize * BLOCK_TOKENS + i % BLOCK_TOKENS)
            .collect();
        let guarded = [&keys, &values].map(|rows| Guarded::new(rows));
        let [key_rows, value_rows] = guarded.each_ref().map(|rows| Rows::new(rows, row));
        cache.write(&Pool::new(2), key_rows, value_rows, &slots);
        Self {
            kv_heads,
            width,
            keys,
            values,
            cache,
            table,
        }
    }

    /// Attention of the queries `tokens` of a longer chunk, in one call.
    fn run(&self, pool: &Pool, queries: &[f32], tokens: std::ops::Range<usize>, options: AttentionOptions) -> Vec<f32> {
        let row = options.heads * self.width;
        let total = self.keys.len() / (self.kv_heads * self.width);
        let all = queries.len() / row;
        let context = total - all + tokens.end;
        let sequence = Sequence {
            q_start: 0,
            q_len: tokens.len(),
            context,
            block_table: &self.table,
        };
        let mut out = vec![f32::NAN; tokens.len() * row];
        let queries = Rows::new(&queries[tokens.start * row..tokens.end * row], row);
        attention(
            pool,
            &self.cache,
            queries,
            &[sequence],
            options,
            RowsMut::new(&mut out, row),
        );
        out
    }

    /// The definition in f64, on what the cache holds.
    fn reference(&self, query: &[f32], position: usize, options: AttentionOptions) -> Vec<f64> {
        let total = self.keys.len() / (self.kv_heads * self.width);
        let group = options.heads / self.kv_heads;
        let end = if options.mask == Mask::Causal {
            position + 1
        } else {
            total
        };
        let first = options.window.map_or(0, |window| (position + 1).saturating_sub(window));
        let mut out = Vec::new();
        for head in 0..options.heads {
            let query = &query[head * self.width..][..self.width];
            let read = |token: usize| {
                let slot = self.table[token / BLOCK_TOKENS] as usize * BLOCK_TOKENS + token % BLOCK_TOKENS;
                self.cache.read(slot, head / group)
            };
            let kept: Vec<(Vec<f32>, Vec<f32>)> = (first..end).map(read).collect();
            let scores: Vec<f64> = kept
                .iter()
                .map(|(keys, _)| {
                    let terms = query.iter().zip(keys).map(|(q, k)| f64::from(*q) * f64::from(*k));
                    terms.sum::<f64>() * f64::from(options.scale)
                })
                .collect();
            let greatest = scores.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let mut head_out = vec![0.0; self.width];
            for ((_, values), weight) in kept.iter().zip(weights) {
                let outputs = head_out.iter_mut().zip(values);
                outputs.for_each(|(o, v)| *o += weight / sum * f64::from(*v));
            }
            out.extend(head_out);
        }
        out
    }
}

const ELEMENTS: [CacheElement; 3] = [CacheElement::Bf16, CacheElement::F32, CacheElement::Int8];

#[test]
fn the_cache_gives_back_what_was_written() {
    for isa in Isa::available() {
        for element in ELEMENTS {
            let context = Context::new(isa, element, [45, 2, 48]);
            for token in [0, 1, 31, 32, 44] {
                let slot = context.table[token / BLOCK_TOKENS] as usize * BLOCK_TOKENS + token % BLOCK_TOKENS;
                for head in 0..2 {
                    let kept = |row: &[f32]| -> Vec<f32> {
                        let greatest = row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                        let keep = |x: &f32| match element {
                            CacheElement::F32 => *x,
                            CacheElement::Bf16 => half::bf16::from_f32(*x).to_f32(),
                            CacheElement::Int8 => (x * (127.0 / greatest)).round_ties_even() * (greatest / 127.0),
                        };
                        row.iter().map(keep).collect()
                    };
                    let at = (token * 2 + head) * 48..(token * 2 + head + 1) * 48;
                    let (keys, values) = context.cache.read(slot, head);
                    assert_eq!(keys, kept(&context.keys[at.clone()]), "{} {element:?}", isa.tier());
                    assert_eq!(values, kept(&context.values[at]), "{} {element:?}", isa.tier());
                }
            }
        }
    }
}

#[test]
fn attention_is_its_definition_on_every_tier() {
    let window = |options: AttentionOptions, window| options.with_window(Some(window));
    for isa in Isa::available() {
        for element in ELEMENTS {
            // Scales are one rounding more for each score and share.
            let tolerance = if element == CacheElement::Int8 { 6e-6 } else { 3e-6 };
            for ([tokens, q_len, kv_heads, heads, width], change) in [
                ([1, 1, 1, 1, 16], None),
                ([33, cut(33, 5), 1, 3, cut(48, 16)], None),
                ([300, 7, 2, 4, 64], None),
                ([563, 40, 2, 2, 80], None),
                ([300, 1, 5, 5, 144], None),
                ([300, 2, 3, 12, 128], Some(270)),
                ([530, 20, 1, 8, 128], Some(40)),
                ([530, 20, 1, 2, 16], Some(256)),
            ]
            .into_iter()
            .take(cut(8, 2))
            {
                let context = Context::new(isa, element, [tokens, kv_heads, width]);
                let queries = Random::new(61).floats(q_len * heads * width);
                let mut options = AttentionOptions::new(heads, 1.5);
                if let Some(size) = change {
                    options = window(options, size);
                }
                for mask in [Mask::Causal, Mask::Full] {
                    let options = options.with_mask(mask);
                    let found = context.run(&Pool::new(2), &queries, 0..q_len, options);
                    for token in [0, q_len / 2, q_len - 1] {
                        let query = &queries[token * heads * width..][..heads * width];
                        let expected = context.reference(query, tokens - q_len + token, options);
                        for (found, expected) in found[token * heads * width..].iter().zip(expected) {
                            let error = (f64::from(*found) - expected).abs();
                            assert!(
                                error < tolerance,
                                "{} {element:?} {tokens}/{q_len}: {found}, not {expected}",
                                isa.tier()
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_query_alone_is_the_query_in_a_chunk_for_any_threads() {
    let pools: Vec<Pool> = [1, 3, 2, 8].into_iter().take(cut(4, 2)).map(Pool::new).collect();
    for isa in Isa::available() {
        for element in ELEMENTS {
            // A single query of several kv heads takes them together, a chunk takes one after another.
            for (kv_heads, heads, width, window) in [
                (1, 1, 32, None),
                (2, 4, 32, None),
                (1, 6, 32, Some(cut(100, 20))),
                (2, 6, 32, Some(300)),
                (3, 6, 144, None),
                (5, 20, 64, None),
                (5, 5, 80, None),
                (2, 10, 64, None),
                (2, 14, 64, None),
                (2, 16, 128, None),
                (1, 9, 32, None),
            ]
            .into_iter()
            .take(cut(11, 3))
            {
                let (tokens, q_len) = (cut(700, 40), cut(37, 4));
                let context = Context::new(isa, element, [tokens, kv_heads, width]);
                let row = heads * width;
                let queries = Random::new(62).floats(q_len * row);
                let options = AttentionOptions::new(heads, 0.7).with_window(window);
                let chunk = context.run(&pools[0], &queries, 0..q_len, options);
                for pool in &pools {
                    let what = format!("{} {element:?}, {heads} heads, {} threads", isa.tier(), pool.threads());
                    assert!(
                        same_bits(&context.run(pool, &queries, 0..q_len, options), &chunk),
                        "{what}: chunk"
                    );
                    for token in (0..q_len).step_by(3) {
                        let alone = context.run(pool, &queries, token..token + 1, options);
                        assert!(
                            same_bits(&alone, &chunk[token * row..][..row]),
                            "{what}: query {token} alone"
                        );
                    }
                    let part = q_len / 7..q_len / 2;
                    assert!(
                        same_bits(
                            &context.run(pool, &queries, part.clone(), options),
                            &chunk[part.start * row..part.end * row]
                        ),
                        "{what}: a part of the chunk"
                    );
                }
            }
        }
    }
}

#[test]
fn sequences_of_a_batch_do_not_touch_each_other() {
    let isa = Isa::best();
    let context = Context::new(isa, CacheElement::Bf16, [290, 2, 32]);
    let row = 4 * 32;
    let queries = Random::new(63).floats(9 * row);
    let options = AttentionOptions::new(4, 0.2);
    let table = &context.table[..];
    // Three prefixes of one context, their queries in another order, with a row between that belongs to nobody.
    let sequences = [
        Sequence {
            q_start: 6,
            q_len: 3,
            context: 290,
            block_table: table,
        },
        Sequence {
            q_start: 0,
            q_len: 4,
            context: 100,
            block_table: table,
        },
        Sequence {
            q_start: 5,
            q_len: 1,
            context: 257,
            block_table: table,
        },
    ];
    let mut out = vec![7.0; 9 * row];
    attention(
        &Pool::new(3),
        &context.cache,
        Rows::new(&queries, row),
        &sequences,
        options,
        RowsMut::new(&mut out, row),
    );
    assert!(
        out[4 * row..5 * row].iter().all(|&x| x == 7.0),
        "a row without a sequence stays as it is"
    );
    for sequence in sequences {
        let mut alone = vec![7.0; 9 * row];
        let queries = Rows::new(&queries, row);
        attention(
            &Pool::new(1),
            &context.cache,
            queries,
            &[sequence],
            options,
            RowsMut::new(&mut alone, row),
        );
        let rows = sequence.q_start * row..(sequence.q_start + sequence.q_len) * row;
        assert!(same_bits(&out[rows.clone()], &alone[rows]), "{sequence:?}");
    }
}

#[test]
fn nothing_is_read_past_the_end_of_the_queries() {
    for (isa, element) in Isa::available().flat_map(|isa| ELEMENTS.map(|element| (isa, element))) {
        let context = Context::new(isa, element, [50, 1, 48]);
        let queries = Guarded::new(&Random::new(64).floats(3 * 2 * 48));
        let mut out = Guarded::new(&[0.0_f32; 3 * 2 * 48]);
        let sequence = Sequence {
            q_start: 0,
            q_len: 3,
            context: 50,
            block_table: &context.table,
        };
        let (rows, out) = (Rows::new(&queries, 96), RowsMut::new(&mut out, 96));
        let options = AttentionOptions::new(2, 0.1);
        attention(&Pool::new(1), &context.cache, rows, &[sequence], options, out);
    }
}

#[test]
fn a_copied_block_is_a_copy_of_all_heads() {
    let context = Context::new(Isa::best(), CacheElement::Bf16, [32, 2, 16]);
    let (from, mut cache) = (context.table[0] as usize, context.cache);
    let to = (from + 1) % cache.shape().blocks;
    cache.copy_block(from, to);
    for head in 0..2 {
        assert_eq!(cache.read(from * 32 + 9, head), cache.read(to * 32 + 9, head));
    }
}

fn refused(change: impl Fn(&mut Sequence<'_>, &mut AttentionOptions)) {
    let context = Context::new(Isa::best(), CacheElement::Bf16, [40, 2, 16]);
    let queries = [0.0; 2 * 64];
    let mut sequence = Sequence {
        q_start: 0,
        q_len: 2,
        context: 40,
        block_table: &context.table,
    };
    let mut options = AttentionOptions::new(4, 1.0);
    change(&mut sequence, &mut options);
    let mut out = [0.0; 2 * 64];
    attention(
        &Pool::new(1),
        &context.cache,
        Rows::new(&queries, 64),
        &[sequence],
        options,
        RowsMut::new(&mut out, 64),
    );
}

#[test]
#[should_panic(expected = "a block table of 1 for 40 tokens")]
fn a_short_block_table_is_refused() {
    refused(|sequence, _| sequence.block_table = &[0]);
}

#[test]
#[should_panic(expected = "a block beyond the ")]
fn a_block_that_does_not_exist_is_refused() {
    refused(|sequence, _| sequence.block_table = &[0, 99]);
}

#[test]
#[should_panic(expected = "query rows 1 + 2 are missing or shared")]
fn queries_beyond_the_rows_are_refused() {
    refused(|sequence, _| sequence.q_start = 1);
}

#[test]
#[should_panic(expected = "3 query heads for 2 kv heads")]
fn heads_that_do_not_form_groups_are_refused() {
    refused(|_, options| options.heads = 3);
}

#[test]
#[should_panic(expected = "a scale of 0, which is not within")]
fn a_scale_that_hides_nothing_is_refused() {
    refused(|_, options| *options = AttentionOptions::new(4, 0.0));
}
