//! How fast are the kernels on this machine?
//!
//! ```text
//! cargo run --release -p inferkit-kernels --example figures -- [THREADS] [TIER] [ROUNDS]
//! ```
//!
//! Each figure is the minimum over many calls within a quarter of a second, preparation of activations included, and over the
//! rounds, each of which measures everything: what else a machine does comes and goes. Weights are cycled through 96 MB of
//! copies, so that m = 1 reads memory and not a cache; how fast plain reading of as much is, is measured in every round too.

#![expect(
    unsafe_code,
    reason = "memory is read by the widest vectors; the workspace keeps them in this package"
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
    for (name, _, text) in figures.0 {
        println!("{name}: {text}");
    }
    Ok(())
}

/// Name, least seconds, and what they mean.
#[derive(Debug, Default)]
struct Figures(Vec<(String, f64, String)>);

impl Figures {
    fn add(&mut self, name: String, seconds: f64, text: impl Fn(f64) -> String) {
        match self.0.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, least, _)) if *least <= seconds => {}
            Some(figure) => *figure = (name, seconds, text(seconds)),
            None => self.0.push((name, seconds, text(seconds))),
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

/// 16 query heads, 8 kv heads, d = 128, context 4096: as Qwen3-0.6B has them.
fn attend(figures: &mut Figures, pool: &Pool, isa: Isa, element: CacheElement, layers: usize, queries: usize) {
    let (context, kv_heads, heads, width) = (4_096, 8, 16, 128);
    let shape = CacheShape {
        blocks: context / 32,
        kv_heads,
        width,
        element,
    };
    let row = kv_heads * width;
    let (values, slots) = (numbers(context * row), (0..context).collect::<Vec<_>>());
    let caches: Vec<KvCache> = (0..layers)
        .map(|_| {
            let mut cache = KvCache::new(isa, shape);
            cache.write(pool, Rows::new(&values, row), Rows::new(&values, row), &slots);
            cache
        })
        .collect();
    let table: Vec<u32> = (0..128).map(|block| block * 37 % 128).collect();
    let (input, mut out) = (numbers(queries * heads * width), vec![0.0; queries * heads * width]);
    let seconds = fastest(|call| {
        let sequence = Sequence {
            q_start: 0,
            q_len: queries,
            context,
            block_table: &table,
        };
        let (rows, out) = (Rows::new(&input, heads * width), RowsMut::new(&mut out, heads * width));
        attention(
            pool,
            &caches[call % layers],
            rows,
            &[sequence],
            AttentionOptions::new(heads, 0.088),
            out,
        );
    });
    let name = format!("attention, {layers} layers, {element:?}, {queries} queries");
    figures.add(name, seconds, |seconds| {
        format!(
            "{:.3} ms, {:.1} GB/s, {:.0} GFLOP/s",
            seconds * 1e3,
            shape.bytes().unwrap_or_default() as f64 / seconds / 1e9,
            4.0 * (queries * heads * width * context) as f64 / seconds / 1e9
        )
    });
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
