use super::{Finish, WinogradConv2d};
use crate::speech::{FeatureMaps, Window};
use crate::testing::{Guarded, Random, cut, same_bits};
use crate::{Activation, Isa, Pool};

/// The sum over nine taps, as its definition says.
fn sum(x: &[f32], weight: &[f32], [height, width, channels]: [usize; 3], [y, column, output]: [usize; 3]) -> f64 {
    let mut sum = 0.0;
    for tap in 0..9 {
        let (row, column) = ((y + tap / 3).wrapping_sub(1), (column + tap % 3).wrapping_sub(1));
        if row >= height || column >= width {
            continue;
        }
        for channel in 0..channels {
            let pixel = x[(row * width + column) * channels + channel];
            sum += f64::from(pixel) * f64::from(weight[(output * channels + channel) * 9 + tap]);
        }
    }
    sum
}

fn check([maps, height, width, channels]: [usize; 4], n: usize) {
    let mut random = Random::new(17);
    let (weight, bias) = (random.floats(n * channels * 9), random.floats(n));
    let x = Guarded::new(&random.floats(maps * height * width * channels));
    let residual = Guarded::new(&random.floats(maps * height * width * n));
    for isa in Isa::available() {
        let conv = WinogradConv2d::pack(&Pool::new(1), isa, channels, &weight, &bias).unwrap();
        for residual in [None, Some(&*residual)] {
            let finish = Finish {
                residual,
                activation: Activation::Relu,
            };
            let maps_of = FeatureMaps::new(&x, [maps, height, width, channels]);
            let mut out = vec![f32::NAN; maps * height * width * n];
            conv.apply(&Pool::new(2), maps_of, finish, &mut out);
            for (i, found) in out.iter().enumerate() {
                let (position, output) = (i / n, i % n);
                let (map, y, column) = (position / width / height, position / width % height, position % width);
                let map = &x[map * height * width * channels..][..height * width * channels];
                let expected =
                    sum(map, &weight, [height, width, channels], [y, column, output]) + f64::from(bias[output]);
                let expected = (expected + residual.map_or(0.0, |residual| f64::from(residual[i]))).max(0.0);
                // Some bits of sums of up to 9 * 20 products below 1, whose transforms have factors of up to 64.
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-4,
                    "{}: ({y}, {column}, {output}) is {found}, not {expected}",
                    isa.tier()
                );
            }
        }
    }
}

#[test]
fn it_is_the_sum_over_nine_taps_whatever_is_left_over_at_the_borders() {
    check([cut(2, 1), cut(8, 4), cut(12, 5), 16], 16);
    check([1, cut(5, 3), cut(7, 5), cut(17, 3)], 19);
    check([1, 1, 1, 3], 2);
    check([cut(3, 1), cut(10, 3), cut(33, 5), cut(20, 2)], 33);
}

#[test]
fn a_map_is_the_same_alone_and_in_a_batch_on_any_number_of_threads() {
    // 260 tiles, which are several units of at most 96.
    let ([maps, height, width, channels], n) = ([2, cut(40, 8), cut(50, 8), 17], 19);
    let mut random = Random::new(18);
    let (weight, bias) = (random.floats(n * channels * 9), random.floats(n));
    let x = random.floats(maps * height * width * channels);
    for isa in Isa::available() {
        let conv = WinogradConv2d::pack(&Pool::new(1), isa, channels, &weight, &bias).unwrap();
        let run = |threads: usize, x: &[f32]| {
            let maps = x.len() / (height * width * channels);
            let mut out = vec![f32::NAN; maps * height * width * n];
            let x = FeatureMaps::new(x, [maps, height, width, channels]);
            conv.apply(&Pool::new(threads), x, Finish::default(), &mut out);
            out
        };
        let together = run(1, &x);
        for threads in [2, 3, 8] {
            assert!(
                same_bits(&run(threads, &x), &together),
                "{}, {threads} threads",
                isa.tier()
            );
        }
        let alone: Vec<f32> = x.chunks(x.len() / maps).flat_map(|map| run(2, map)).collect();
        assert!(same_bits(&alone, &together), "{}: maps alone", isa.tier());
    }
}

#[test]
fn only_three_by_three_taps_of_some_channels_are_worth_it() {
    assert!(WinogradConv2d::fits(&Window::three([1, 1]), 32, 32));
    assert!(!WinogradConv2d::fits(&Window::three([2, 2]), 32, 32));
    assert!(!WinogradConv2d::fits(&Window::one([1, 1]), 32, 32));
    assert!(!WinogradConv2d::fits(&Window::three([1, 1]), 1, 32));
}
