//! Random numbers by counting: no state that would have to be carried along.

/// The number of `position` in the sequence that (`seed`, `choice`) names, uniform in [0, 1).
///
/// Three rounds of the finaliser of `SplitMix64`, a bijection of 64 bits that passes the tests of `BigCrush` when fed
/// with a counter; each round takes in one more part of the key. 53 bits of the result are used.
///
/// Source: Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (OOPSLA 2014), with
/// Stafford's constants (variant 13).
pub(super) fn uniform(seed: u64, choice: u64, position: u64) -> f64 {
    let mixed = mix(mix(mix(seed).wrapping_add(choice)).wrapping_add(position));
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number that nobody can foresee, for requests without a seed.
pub(super) fn fresh_seed() -> u64 {
    use std::hash::BuildHasher;
    std::collections::hash_map::RandomState::new().hash_one(0_u8)
}

const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_its_published_numbers() {
        // First outputs for the seed 1234567, as listed with the public-domain original (splitmix64.c).
        let step = 0x9E37_79B9_7F4A_7C15_u64;
        let outputs: Vec<u64> = (0..3)
            .map(|at| mix(1_234_567_u64.wrapping_add(step.wrapping_mul(at))))
            .collect();
        assert_eq!(
            outputs,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let base = uniform(1, 2, 3).to_bits();
        assert_eq!(base, uniform(1, 2, 3).to_bits());
        for other in [uniform(2, 2, 3), uniform(1, 3, 3), uniform(1, 2, 4), uniform(1, 3, 2)] {
            assert_ne!(base, other.to_bits());
        }
    }

    #[test]
    fn numbers_spread_evenly() {
        let mut counts = [0_u32; 16];
        for position in 0..16_000 {
            let number = uniform(7, 0, position);
            assert!((0.0..1.0).contains(&number));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "below 16 by the line above"
            )]
            let bin = (number * 16.0) as usize;
            counts[bin] += 1;
        }
        // Chi-square with 15 degrees of freedom exceeds 37.7 once in a thousand; the numbers are fixed.
        let chi_square: f64 = counts
            .iter()
            .map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0)
            .sum();
        assert!(chi_square < 37.7, "{chi_square} for {counts:?}");
    }
}
