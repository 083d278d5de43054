use crate::speech::{KeyValues, RelativeAttention, RelativeInputs};
use crate::testing::{Guarded, Random, cut, same_bits};
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
            (5, 0, 2, 16),
            (90, 65, 2, 24),
            (40, 300, 1, 8),
        ]
        .into_iter()
        .take(cut(5, 3))
        {
            let mut random = Random::new(95);
            let row = heads * width;
            let q = Guarded::new(&random.floats(queries * row));
            let (k, v) = (random.floats(keys * row), random.floats(keys * row));
            let (k, v) = (Guarded::new(&k), Guarded::new(&v));
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
fn a_query_that_is_no_number_spoils_itself_and_a_value_its_column() {
    let (queries, keys, heads, width) = (cut(50, 20), 70, 2, 24);
    let row = heads * width;
    let mut random = Random::new(98);
    let (q, k, v) = (
        random.floats(queries * row),
        random.floats(keys * row),
        random.floats(keys * row),
    );
    for (isa, element) in Isa::available().flat_map(|isa| [(isa, CacheElement::F32), (isa, CacheElement::Bf16)]) {
        let run = |q: &[f32], v: &[f32]| {
            let pair = [Rows::new(&k, row), Rows::new(v, row)];
            let packed = KeyValues::pack(&Pool::new(1), isa, element, heads, pair);
            let mut out = vec![0.0; q.len()];
            packed.attend(&Pool::new(2), Rows::new(q, row), 0.2, RowsMut::new(&mut out, row));
            out
        };
        let clean = run(&q, &v);
        let check = |what: &str, found: &[f32], spoiled: &dyn Fn(usize, usize) -> bool| {
            for (i, (found, clean)) in found.iter().zip(&clean).enumerate() {
                let right = if spoiled(i / row, i % row) {
                    found.is_nan()
                } else {
                    same_bits(&[*found], &[*clean])
                };
                assert!(right, "{} {element:?}, {what}: value {i} is {found}", isa.tier());
            }
        };
        // One value of a query's second head, and one of a key's first.
        let (mut query, mut value) = (q.clone(), v.clone());
        query[17 * row + width + 3] = f32::NAN;
        value[69 * row + 5] = f32::NAN;
        check("query", &run(&query, &v), &|query, column| {
            query == 17 && column >= width
        });
        check("value", &run(&q, &value), &|_, column| column == 5);
    }
}

#[test]
fn a_query_among_many_is_what_it_is_alone() {
    let (queries, keys, heads, width) = (cut(101, 9), cut(600, 70), 2, 64);
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
        for threads in [2, 3, 8] {
            assert!(
                same_bits(&run(threads, &q), &together),
                "{}, {threads} threads",
                isa.tier()
            );
        }
        for query in [0, queries / 2, queries - 1] {
            let place = query * row..(query + 1) * row;
            assert!(
                same_bits(&run(2, &q[place.clone()]), &together[place]),
                "{}",
                isa.tier()
            );
        }
    }
}

/// Random inputs of a batch, with NaN wherever a frame is padding.
struct Batch {
    frames: usize,
    heads: usize,
    width: usize,
    lengths: Vec<usize>,
    /// Queries, keys, values.
    rows: [Vec<f32>; 3],
    positions: Vec<f32>,
    biases: [Vec<f32>; 2],
}

impl Batch {
    fn new(frames: usize, [heads, width]: [usize; 2], lengths: &[usize]) -> Self {
        let mut random = Random::new(97);
        let row = heads * width;
        let mut rows = [0; 3].map(|_| random.floats(lengths.len() * frames * row));
        for rows in &mut rows {
            for (index, length) in lengths.iter().enumerate() {
                rows[(index * frames + length) * row..(index + 1) * frames * row].fill(f32::NAN);
            }
        }
        Self {
            frames,
            heads,
            width,
            lengths: lengths.to_vec(),
            rows,
            positions: random.floats((2 * frames - 1) * row),
            biases: [0; 2].map(|_| random.floats(row)),
        }
    }

    /// Sequence `index` on its own, without padding.
    fn alone(&self, index: usize) -> Self {
        let (row, length) = (self.heads * self.width, self.lengths[index]);
        let cut = |rows: &Vec<f32>| rows[index * self.frames * row..][..length * row].to_vec();
        Self {
            frames: length,
            lengths: vec![length],
            rows: [cut(&self.rows[0]), cut(&self.rows[1]), cut(&self.rows[2])],
            positions: self.positions[(self.frames - length) * row..][..(2 * length - 1) * row].to_vec(),
            biases: self.biases.clone(),
            ..*self
        }
    }

    fn run(&self, isa: Isa, threads: usize, context: [Option<usize>; 2]) -> Vec<f32> {
        let row = self.heads * self.width;
        let guarded = [&self.rows[0], &self.rows[1], &self.rows[2], &self.positions].map(|rows| Guarded::new(rows));
        let [queries, keys, values, positions] = guarded.each_ref().map(|rows| Rows::new(rows, row));
        let inputs = RelativeInputs {
            queries,
            keys,
            values,
            positions,
            lengths: &self.lengths,
        };
        let attention = RelativeAttention {
            heads: self.heads,
            key_bias: &self.biases[0],
            position_bias: &self.biases[1],
            scale: 0.25,
            context,
        };
        let mut out = Guarded::new(&vec![f32::NAN; self.rows[0].len()]);
        attention.apply(&Pool::new(threads), isa, inputs, RowsMut::new(&mut out, row));
        out.to_vec()
    }

    /// One output, with the shift as the original makes it: a zero column in front of `[t, 2t - 1]`, the same numbers as
    /// `[2t, t]`, the first row dropped, and again as `[t, 2t - 1]`.
    fn reference(&self, [sequence, head_index]: [usize; 2], context: [Option<usize>; 2]) -> Vec<Vec<f64>> {
        let (t, measures) = (self.frames, [self.heads, self.width]);
        let of = |kind: usize, frame: usize| head(&self.rows[kind], sequence * t + frame, measures, head_index);
        let biased = |frame: usize, bias: usize| -> Vec<f32> {
            let bias = head(&self.biases[bias], 0, measures, head_index);
            of(0, frame).iter().zip(bias).map(|(q, b)| q + b).collect()
        };
        let mut padded = Vec::new();
        for query in 0..t {
            padded.push(0.0);
            let query = biased(query, 1);
            padded.extend((0..2 * t - 1).map(|r| dot(&query, head(&self.positions, r, measures, head_index))));
        }
        let shifted = &padded[t..];
        let length = self.lengths[sequence];
        (0..t)
            .map(|query| {
                let seen = |&key: &usize| {
                    context[0].is_none_or(|before| key + before >= query)
                        && context[1].is_none_or(|after| key <= query + after)
                };
                let keys: Vec<usize> = if query < length {
                    (0..length).filter(seen).collect()
                } else {
                    Vec::new()
                };
                let to_keys = biased(query, 0);
                let score = |&key: &usize| 0.25 * (dot(&to_keys, of(1, key)) + shifted[query * (2 * t - 1) + key]);
                let scores: Vec<f64> = keys.iter().map(score).collect();
                attend(&scores, |key, i| f64::from(of(2, keys[key])[i]), self.width)
            })
            .collect()
    }
}

#[test]
fn relative_positions_follow_the_shift_of_the_original() {
    for isa in Isa::available() {
        for (frames, heads, width, lengths, context) in [
            (1, 1, 8, vec![1], [None, None]),
            (7, 2, 12, vec![7, 3, 0], [None, None]),
            (5, 2, 20, vec![5], [None, None]),
            (70, 2, 16, vec![70, 41], [None, None]),
            (65, 1, 80, vec![65], [Some(5), Some(2)]),
            (40, 2, 8, vec![33], [Some(0), None]),
        ]
        .into_iter()
        .take(cut(6, 3))
        {
            let batch = Batch::new(frames, [heads, width], &lengths);
            let out = batch.run(isa, 2, context);
            for index in 0..lengths.len() * heads {
                let (sequence, own) = (index / heads, index % heads);
                for (query, expected) in batch.reference([sequence, own], context).iter().enumerate() {
                    let found = head(&out, sequence * frames + query, [heads, width], own);
                    for (found, expected) in found.iter().zip(expected) {
                        assert!(
                            (f64::from(*found) - expected).abs() < 1e-5,
                            "{}: {frames} frames, sequence {sequence}, query {query}: {found}, not {expected}",
                            isa.tier()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_sequence_of_a_batch_is_what_it_is_alone_on_any_number_of_threads() {
    let frames = cut(150, 12);
    let batch = Batch::new(frames, [2, 32], &[frames, cut(97, 8), cut(49, 4)]);
    for isa in Isa::available() {
        let together = batch.run(isa, 1, [None, None]);
        for threads in [2, 3, 8] {
            assert!(
                same_bits(&batch.run(isa, threads, [None, None]), &together),
                "{}",
                isa.tier()
            );
        }
        for index in 0..3 {
            let alone = batch.alone(index).run(isa, 2, [None, None]);
            let found = &together[index * frames * 64..][..alone.len()];
            assert!(same_bits(found, &alone), "{}, sequence {index}", isa.tier());
        }
    }
}

#[test]
fn a_score_that_is_no_number_surfaces() {
    let mut batch = Batch::new(20, [1, 16], &[20]);
    batch.rows[0][5 * 16] = f32::NAN;
    for isa in Isa::available() {
        let out = batch.run(isa, 1, [None, None]);
        assert!(out[5 * 16..6 * 16].iter().all(|x| x.is_nan()), "{}", isa.tier());
        assert!(out[..5 * 16].iter().all(|x| x.is_finite()), "{}", isa.tier());
    }
}

#[test]
#[should_panic(expected = "shape of the table of positions")]
fn a_table_of_another_length_is_refused() {
    let mut batch = Batch::new(4, [1, 16], &[4]);
    batch.positions.truncate(6 * 16);
    batch.run(Isa::best(), 1, [None, None]);
}
