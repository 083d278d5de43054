//! How fast are the kernels on this machine?
//!
//! ```text
//! cargo run --release -p inferkit-kernels --example figures -- [THREADS] [TIER] [ROUNDS]
//! ```
//!
//! Each figure is the minimum over many calls within a quarter of a second, preparation of activations included, and over the
//! rounds, each of which measures everything: what else a machine does comes and goes. Decode is also compared with plain reading
//! of as much memory, in turn, for two seconds of each round; that gives a median. Weights are cycled through 96 MB of
//! copies, so that m = 1 reads memory and not a cache; how fast plain reading of as much is, is measured in every round too.

#![expect(
    unsafe_code,
    reason = "memory is read by the widest vectors, in huge pages; the workspace keeps them in this package"
)]

mod reading;

use std::error::Error;
use std::time::Instant;

use inferkit_kernels::speech::{Direction, Lstm, LstmState};
use inferkit_kernels::{
    AttentionOptions, CacheElement, CacheShape, Format, Isa, KvCache, PackedWeight, Pool, Precision, Product, Rows,
    RowsMut, Sequence, attention, gemm,
};
use reading::Reading;

/// What a format is called here, and the arithmetic it is asked for.
const PRODUCTS: [(&str, Format, Precision); 8] = [
    ("Q8_0", Format::Q8_0, Precision::F32),
    ("Q4_K", Format::Q4K, Precision::F32),
    ("Q5_K", Format::Q5K, Precision::F32),
    ("Q6_K", Format::Q6K, Precision::F32),
    ("F32", Format::F32, Precision::F32),
    ("F16 x f32", Format::F16Exact, Precision::F32),
    ("BF16 x bf16", Format::Bf16, Precision::Bf16),
    ("BF16 x f32", Format::Bf16, Precision::F32),
];

/// Bytes of copies of a weight, which no cache holds.
const COLD: usize = 96_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let pool = Pool::new(arguments.next().map_or(Ok(1), |threads| threads.parse())?);
    let isa = arguments.next().map_or(Ok(Isa::best()), |tier| Isa::named(&tier))?;
    let rounds = arguments.next().map_or(Ok(1), |rounds| rounds.parse())?;
    println!("{}, {} threads, best of {rounds} rounds", isa.tier(), pool.threads());
    let mut figures = Figures::default();
    for _ in 0..rounds {
        for product in PRODUCTS {
            for size in [1_024, 2_048] {
                products(&mut figures, &pool, isa, product, size)?;
            }
        }
        for element in [CacheElement::Bf16, CacheElement::Int8] {
            for (layers, queries) in [(1, 1), (1, 8), (1, 128), (8, 1), (8, 128), (32, 1)] {
                attend(&mut figures, &pool, isa, element, layers, queries);
            }
            for layers in [8, 32] {
                figures.turns(
                    format!("decode, {layers} layers, {element:?}"),
                    decode(&pool, isa, element, layers),
                );
            }
        }
        // As much as the products and the caches of 8 and 32 layers in bf16: a part of the smaller ones stays in a cache.
        for bytes in [COLD, 8 << 24, 32 << 24] {
            let reading = Reading::new(bytes);
            let name = format!("plain reading, {} MB", bytes / 1_000_000);
            figures.add(name, fastest(|_| reading.read(&pool)), |seconds| {
                format!("{:.1} GB/s", reading.rate(seconds))
            });
        }
        lstm(&mut figures, &pool, isa)?;
        let region = fastest(|_| pool.run(pool.threads(), |_| {}));
        figures.add("empty region".to_owned(), region, |seconds| {
            format!("{:.0} ns", seconds * 1e9)
        });
    }
    figures.print();
    Ok(())
}

#[derive(Debug, Default)]
struct Figures {
    /// Name, least seconds, and what they mean.
    least: Vec<(String, f64, String)>,
    /// Name and, for each turn, GB/s of a kernel and of plain reading.
    turns: Vec<(String, Vec<[f64; 2]>)>,
}

impl Figures {
    fn add(&mut self, name: String, seconds: f64, text: impl Fn(f64) -> String) {
        match self.least.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, least, _)) if *least <= seconds => {}
            Some(figure) => *figure = (name, seconds, text(seconds)),
            None => self.least.push((name, seconds, text(seconds))),
        }
    }

    fn turns(&mut self, name: String, turns: Vec<[f64; 2]>) {
        match self.turns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.extend(turns),
            None => self.turns.push((name, turns)),
        }
    }

    fn print(self) {
        for (name, _, text) in self.least {
            println!("{name}: {text}");
        }
        for (name, mut turns) in self.turns {
            let best = |which: usize| turns.iter().map(|turn| turn[which]).fold(0.0, f64::max);
            let (own, plain) = (best(0), best(1));
            turns.sort_by(|a, b| (a[0] / a[1]).total_cmp(&(b[0] / b[1])));
            let share = |at: usize| 100.0 * turns[at][0] / turns[at][1];
            let count = turns.len();
            println!(
                "{name}: {own:.1} and {plain:.1} GB/s of plain reading at best; in {count} turns {:.0} % ({:.0} to {:.0} without a quarter at either end)",
                share(count / 2),
                share(count / 4),
                share(count * 3 / 4),
            );
        }
    }
}

/// The least time of a call, in seconds; calls are numbered.
fn fastest(mut call: impl FnMut(usize)) -> f64 {
    let (start, mut least) = (Instant::now(), f64::MAX);
    for number in 0.. {
        let before = Instant::now();
        call(number);
        least = least.min(before.elapsed().as_secs_f64());
        if number > 3 && start.elapsed().as_millis() > 250 {
            break;
        }
    }
    least
}

/// Numbers between -1 and 1.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 31 % 101) as f32 - 50.0) / 50.0).collect()
}

/// GB/s of packed weights at m = 1, G/s (two operations a multiply-add) above, for a square weight.
fn products(
    figures: &mut Figures,
    pool: &Pool,
    isa: Isa,
    (name, format, precision): (&str, Format, Precision),
    size: usize,
) -> Result<(), Box<dyn Error>> {
    let (values, block) = format.block();
    // Any bits are quants; the upper bytes of plain numbers and of scales are those of small numbers.
    let bytes: Vec<u8> = (0..size * size / values * block)
        .map(|i| {
            if format.block().0 == 1 && i % block == block - 1 {
                0x3C
            } else {
                u8::try_from(i % 61).unwrap_or_default()
            }
        })
        .collect();
    let pack = || PackedWeight::pack(pool, isa, format, [size, size], &bytes);
    let mut weights = vec![pack()?];
    while weights.len() * weights[0].bytes() < COLD {
        weights.push(pack()?);
    }
    let (a, mut out) = (numbers(512 * size), vec![0.0; 512 * size]);
    for m in [1, 4, 8, 32, 128, 512] {
        let seconds = fastest(|call| {
            let out = RowsMut::new(&mut out[..m * size], size);
            let product = Product::new(&weights[call % weights.len()], out);
            gemm(pool, Rows::new(&a[..m * size], size), precision, &mut [product]);
        });
        let bytes = weights[0].bytes() as f64;
        figures.add(format!("{name}, {size} x {size}, m={m}"), seconds, |seconds| match m {
            1 => format!("{:.1} GB/s", bytes / seconds / 1e9),
            _ => format!("{:.0} G/s", 2.0 * (m * size * size) as f64 / seconds / 1e9),
        });
    }
    Ok(())
}

/// 16 query heads, 8 kv heads, d = 128, context 4096: as Qwen3-0.6B has them. Blocks of the cache follow in no order.
struct Attending {
    caches: Vec<KvCache>,
    table: Vec<u32>,
    queries: Vec<f32>,
    out: Vec<f32>,
}

impl Attending {
    const CONTEXT: usize = 4_096;
    const KV_HEADS: usize = 8;
    const HEADS: usize = 16;
    const WIDTH: usize = 128;

    fn new(pool: &Pool, isa: Isa, element: CacheElement, layers: usize, queries: usize) -> Self {
        let shape = CacheShape {
            blocks: Self::CONTEXT / 32,
            kv_heads: Self::KV_HEADS,
            width: Self::WIDTH,
            element,
        };
        let row = Self::KV_HEADS * Self::WIDTH;
        let values = numbers(Self::CONTEXT * row);
        let slots = (0..Self::CONTEXT).collect::<Vec<_>>();
        let filled = |_| {
            let mut cache = KvCache::new(isa, shape);
            cache.write(pool, Rows::new(&values, row), Rows::new(&values, row), &slots);
            cache
        };
        let values = queries * Self::HEADS * Self::WIDTH;
        Self {
            caches: (0..layers).map(filled).collect(),
            table: (0..128).map(|block| block * 37 % 128).collect(),
            queries: numbers(values),
            out: vec![0.0; values],
        }
    }

    /// Keys and values of a layer.
    fn bytes(&self) -> usize {
        self.caches[0].shape().bytes().unwrap_or_default()
    }

    /// All queries attend to one layer.
    fn run(&mut self, pool: &Pool, layer: usize) {
        let width = Self::HEADS * Self::WIDTH;
        let sequence = Sequence {
            q_start: 0,
            q_len: self.queries.len() / width,
            context: Self::CONTEXT,
            block_table: &self.table,
        };
        attention(
            pool,
            &self.caches[layer],
            Rows::new(&self.queries, width),
            &[sequence],
            AttentionOptions::new(Self::HEADS, 0.088),
            RowsMut::new(&mut self.out, width),
        );
    }
}

fn attend(figures: &mut Figures, pool: &Pool, isa: Isa, element: CacheElement, layers: usize, queries: usize) {
    let mut attending = Attending::new(pool, isa, element, layers, queries);
    let seconds = fastest(|call| attending.run(pool, call % layers));
    let operations = 4.0 * (attending.queries.len() * Attending::CONTEXT) as f64;
    let name = format!("attention, {layers} layers, {element:?}, {queries} queries");
    figures.add(name, seconds, |seconds| {
        format!(
            "{:.3} ms, {:.1} GB/s, {:.0} GFLOP/s",
            seconds * 1e3,
            attending.bytes() as f64 / seconds / 1e9,
            operations / seconds / 1e9
        )
    });
}

/// One query attends to all layers, and as many bytes are read plainly, in turn: how fast memory is changes from second to
/// second where others use it, too. GB/s of both.
fn decode(pool: &Pool, isa: Isa, element: CacheElement, layers: usize) -> Vec<[f64; 2]> {
    let mut attending = Attending::new(pool, isa, element, layers, 1);
    let bytes = attending.bytes() * layers;
    let reading = Reading::new(bytes);
    let rate = |call: &mut dyn FnMut()| {
        let before = Instant::now();
        call();
        bytes as f64 / before.elapsed().as_secs_f64() / 1e9
    };
    let mut attend = || (0..layers).for_each(|layer| attending.run(pool, layer));
    let mut read = || reading.read(pool);
    let (mut turns, start) = (Vec::new(), Instant::now());
    while start.elapsed().as_secs() < 2 {
        turns.push([rate(&mut attend), rate(&mut read)]);
    }
    turns
}

/// The recurrent part of one pyannote window: 589 steps of 128 units.
fn lstm(figures: &mut Figures, pool: &Pool, isa: Isa) -> Result<(), Box<dyn Error>> {
    let weights: Vec<u8> = numbers(4 * 128 * 128)
        .iter()
        .flat_map(|x| (x / 10.0).to_le_bytes())
        .collect();
    for format in [Format::F32, Format::F32AsBf16] {
        let lstm = Lstm::pack(pool, isa, format, 128, &weights)?;
        for batch in [1, 8] {
            let inputs = numbers(589 * batch * 512);
            let (mut gates, mut out) = (inputs.clone(), vec![0.0; 589 * batch * 128]);
            let seconds = fastest(|_| {
                gates.copy_from_slice(&inputs);
                lstm.run(
                    &mut gates,
                    &mut LstmState::new(batch, 128),
                    Direction::Forward,
                    &mut out,
                    128,
                );
            });
            figures.add(format!("lstm 128, {format:?}, batch {batch}"), seconds, |seconds| {
                format!("{:.2} us a step", seconds * 1e6 / 589.0)
            });
        }
    }
    Ok(())
}
