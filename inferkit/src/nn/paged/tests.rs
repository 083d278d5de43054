use super::*;

const SHAPE: CacheShape = CacheShape {
    layers: 1,
    blocks: 24,
    block_size: 32,
    kv_heads: 2,
    head_dim: 48,
};
const HEADS: usize = 6;

/// Numbers between −1 and 1 that repeat late.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0)
        .collect()
}

fn tensor(rows: usize, heads: usize, seed: usize) -> Tensor {
    Tensor::from_vec(
        numbers(rows * heads * SHAPE.head_dim, seed),
        (rows, heads, SHAPE.head_dim),
        &Device::Cpu,
    )
    .unwrap()
}

fn slots(blocks: &[u32], tokens: Range<usize>) -> Vec<u32> {
    let size = u32::try_from(SHAPE.block_size).unwrap();
    tokens
        .map(|token| blocks[token / SHAPE.block_size] * size + u32::try_from(token).unwrap() % size)
        .collect()
}

/// A sequence of `context` tokens in `blocks`, of which the last `rows` are this step's.
fn plan(blocks: &[u32], context: usize, rows: usize) -> AttentionPlan {
    let sequence = SequencePlan {
        rows: 0..rows,
        context,
        blocks: blocks.to_vec(),
    };
    AttentionPlan::new(vec![sequence], &slots(blocks, context - rows..context))
}

/// A cache that is poisoned but for the `context` tokens of one sequence in `blocks`.
fn filled(blocks: &[u32], context: usize, kernels: Option<&Kernels>) -> PagedCache {
    let mut cache = PagedCache::new(SHAPE, DType::F32, &Device::Cpu, kernels).unwrap();
    let all = SHAPE.blocks * SHAPE.block_size;
    let poison = Tensor::full(f32::NAN, (all, SHAPE.kv_heads, SHAPE.head_dim), &Device::Cpu).unwrap();
    let everywhere: Vec<u32> = (0..u32::try_from(all).unwrap()).collect();
    let everywhere = AttentionPlan::new(Vec::new(), &everywhere);
    cache.write(0, &poison, &poison, &everywhere).unwrap();
    let (keys, values) = (tensor(context, SHAPE.kv_heads, 1), tensor(context, SHAPE.kv_heads, 2));
    cache.write(0, &keys, &values, &plan(blocks, context, context)).unwrap();
    cache
}

/// The same cache as the processor's kernels keep it, and as tensors.
fn both(blocks: &[u32], context: usize) -> [PagedCache; 2] {
    let walked = filled(blocks, context, Some(&Kernels::open().unwrap()));
    assert!(
        matches!(walked.layers, Layers::Blocks(_)),
        "the kernels take these sizes"
    );
    [walked, filled(blocks, context, None)]
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Attention by its definition, in f64, one row at a time.
fn reference(queries: &Tensor, context: usize, window: Option<usize>) -> Vec<f32> {
    let head = |all: &[f32], row: usize, heads: usize, head: usize| {
        let start = (row * heads + head) * SHAPE.head_dim;
        all[start..start + SHAPE.head_dim]
            .iter()
            .map(|number| f64::from(*number))
            .collect::<Vec<_>>()
    };
    let (keys, values) = (
        flat(&tensor(context, SHAPE.kv_heads, 1)),
        flat(&tensor(context, SHAPE.kv_heads, 2)),
    );
    let (rows, queries) = (queries.dim(0).unwrap(), flat(queries));
    let mut answer = Vec::new();
    for row in 0..rows {
        let position = context - rows + row;
        let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
        for query_head in 0..HEADS {
            let kv_head = query_head / (HEADS / SHAPE.kv_heads);
            let query = head(&queries, row, HEADS, query_head);
            let score = |token| {
                let products = head(&keys, token, SHAPE.kv_heads, kv_head).into_iter().zip(&query);
                products.map(|(k, q)| k * q).sum::<f64>() / (SHAPE.head_dim as f64).sqrt()
            };
            let weights: Vec<f64> = (first..=position).map(|token| score(token).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let mut mean = [0.0; SHAPE.head_dim];
            for (weight, token) in weights.iter().zip(first..) {
                for (mean, value) in mean.iter_mut().zip(head(&values, token, SHAPE.kv_heads, kv_head)) {
                    *mean += weight / sum * value;
                }
            }
            #[expect(clippy::cast_possible_truncation, reason = "the definition is computed in f64")]
            answer.extend(mean.iter().map(|number| *number as f32));
        }
    }
    answer
}

fn close(found: &[f32], expected: &[f32]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-6)
}

#[test]
fn both_ways_to_attend_equal_the_definition_on_shuffled_and_on_neighbouring_blocks() {
    let shuffled = [9, 3, 21, 7, 1, 14, 2, 20, 5, 11, 23, 8];
    let neighbours: Vec<u32> = (4..16).collect();
    for blocks in [&shuffled[..], &neighbours] {
        for (context, rows) in [(1, 1), (33, 33), (64, 1), (300, 5), (380, 1)] {
            let caches = both(blocks, context);
            let queries = tensor(rows, HEADS, 3);
            for window in [None, Some(1), Some(16), Some(300)] {
                let expected = reference(&queries, context, window);
                let plan = plan(blocks, context, rows);
                for cache in &caches {
                    let found = flat(&cache.attend(0, &queries, &plan, window).unwrap());
                    assert!(close(&found, &expected), "context {context}, rows {rows}, {window:?}");
                }
            }
        }
    }
}

#[test]
fn a_row_is_the_same_bit_by_bit_alone_and_in_a_chunk_of_many() {
    let blocks: Vec<u32> = (1..13).rev().collect();
    let [cache, _] = both(&blocks, 380);
    let queries = tensor(40, HEADS, 3);
    let together = flat(&cache.attend(0, &queries, &plan(&blocks, 380, 40), None).unwrap());
    for row in [0, 17, 39] {
        let alone = queries.narrow(0, row, 1).unwrap();
        let alone = flat(&cache.attend(0, &alone, &plan(&blocks, 341 + row, 1), None).unwrap());
        let width = HEADS * SHAPE.head_dim;
        assert!(alone == together[row * width..(row + 1) * width], "row {row}");
    }
}

#[test]
fn sequences_of_a_batch_see_only_their_own_blocks() {
    let (first, second) = (vec![5, 2], vec![7]);
    let [mut cache, mut tensors] = both(&first, 40);
    let keys = tensor(9, SHAPE.kv_heads, 8);
    for cache in [&mut cache, &mut tensors] {
        cache.write(0, &keys, &keys, &plan(&second, 9, 9)).unwrap();
    }
    let alone = [
        flat(
            &cache
                .attend(0, &tensor(2, HEADS, 3), &plan(&first, 40, 2), None)
                .unwrap(),
        ),
        flat(
            &cache
                .attend(0, &tensor(3, HEADS, 4), &plan(&second, 9, 3), None)
                .unwrap(),
        ),
    ];
    let queries = Tensor::cat(&[tensor(2, HEADS, 3), tensor(3, HEADS, 4)], 0).unwrap();
    let sequences = vec![
        SequencePlan {
            rows: 0..2,
            context: 40,
            blocks: first,
        },
        SequencePlan {
            rows: 2..5,
            context: 9,
            blocks: second,
        },
    ];
    let together = AttentionPlan::new(sequences, &[]);
    let walked = flat(&cache.attend(0, &queries, &together, None).unwrap());
    let gathered = flat(&tensors.attend(0, &queries, &together, None).unwrap());
    assert!(walked == alone.concat() && close(&gathered, &walked));
}

#[test]
fn a_row_that_sees_all_sees_what_the_last_row_sees() {
    let blocks = [5, 2, 9, 4, 11];
    let queries = tensor(7, HEADS, 6);
    for cache in both(&blocks, 131) {
        let all = flat(&cache.attend_all(0, &queries, &plan(&blocks, 131, 7)).unwrap());
        for (row, found) in all.chunks(HEADS * SHAPE.head_dim).enumerate() {
            let query = queries.narrow(0, row, 1).unwrap();
            let last = flat(&cache.attend(0, &query, &plan(&blocks, 131, 1), None).unwrap());
            assert!(close(found, &last), "row {row}");
        }
    }
}

#[test]
fn rows_for_neighbouring_slots_are_written_in_one_go() {
    let plan = AttentionPlan::new(Vec::new(), &[64, 65, 66, 32, 33, 7]);
    let runs: Vec<_> = plan.runs.iter().map(|run| (run.row, run.slot, run.length)).collect();
    assert_eq!(runs, [(0, 64, 3), (3, 32, 2), (5, 7, 1)]);
}

#[test]
fn the_cache_knows_its_size() {
    assert_eq!(SHAPE.bytes_per_token(DType::F32), 2 * 2 * 48 * 4);
    assert_eq!(SHAPE.bytes(DType::BF16), 24 * 32 * 2 * 2 * 48 * 2);
    assert_eq!(SHAPE.bytes(CacheType::Int8), 24 * 32 * 2 * 2 * (48 + 4));
}

#[test]
fn sizes_that_the_kernels_do_not_take_are_kept_as_tensors() {
    let kernels = Kernels::open().unwrap();
    for shape in [
        CacheShape { head_dim: 20, ..SHAPE },
        CacheShape {
            block_size: 64,
            ..SHAPE
        },
    ] {
        let cache = PagedCache::new(shape, DType::F32, &Device::Cpu, Some(&kernels)).unwrap();
        assert!(matches!(cache.layers, Layers::Tensors(_)), "{shape:?}");
        assert!(
            PagedCache::new(shape, CacheType::Int8, &Device::Cpu, Some(&kernels)).is_err(),
            "tensors have no 8 bits"
        );
    }
}

#[test]
fn a_cache_in_fewer_bits_gives_nearly_what_one_in_f32_gives() {
    let (blocks, context) = ([3, 7, 2], 70);
    let kernels = Kernels::open().unwrap();
    let queries = tensor(5, HEADS, 3);
    let kinds = [
        CacheType::Plain(DType::F32),
        CacheType::Plain(DType::BF16),
        CacheType::Int8,
    ];
    let attended = kinds.map(|kind| {
        let mut cache = PagedCache::new(SHAPE, kind, &Device::Cpu, Some(&kernels)).unwrap();
        let (keys, values) = (tensor(context, SHAPE.kv_heads, 1), tensor(context, SHAPE.kv_heads, 2));
        cache
            .write(0, &keys, &values, &plan(&blocks, context, context))
            .unwrap();
        flat(&cache.attend(0, &queries, &plan(&blocks, context, 5), None).unwrap())
    });
    let [exact, rounded @ ..] = attended;
    // Keys and values lose what is below an eighth significant bit, or below half of a 127th of the greatest of a head; weights sum
    // to one.
    for rounded in rounded {
        let pairs = exact.iter().zip(&rounded);
        let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(most > 0.0 && most < 0.02, "{most}");
    }
}
