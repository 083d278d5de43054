use super::{Finish, WinogradConv2d};
use crate::speech::{FeatureMaps, Window};
use crate::testing::{Guarded, Random};
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
            let mut alone = out.clone();
            alone.fill(0.0);
            conv.apply(&Pool::new(1), maps_of, finish, &mut alone);
            assert_eq!(out, alone, "the same for any number of threads");
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
    check([2, 8, 12, 16], 16);
    check([1, 5, 7, 17], 19);
    check([1, 1, 1, 3], 2);
    check([3, 10, 33, 20], 33);
}

#[test]
fn only_three_by_three_taps_of_some_channels_are_worth_it() {
    assert!(WinogradConv2d::fits(&Window::three([1, 1]), 32, 32));
    assert!(!WinogradConv2d::fits(&Window::three([2, 2]), 32, 32));
    assert!(!WinogradConv2d::fits(&Window::one([1, 1]), 32, 32));
    assert!(!WinogradConv2d::fits(&Window::three([1, 1]), 1, 32));
}
