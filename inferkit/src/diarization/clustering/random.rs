//! The random numbers that numpy's `RandomState` gives for a seed.
//!
//! Source: Matsumoto and Nishimura, "Mersenne Twister" (1998), MT19937 with the initialisation of 2002.

/// Words of state.
const WORDS: usize = 624;
/// The word that is mixed in.
const MIDDLE: usize = 397;

/// A Mersenne Twister.
#[derive(Debug, Clone)]
pub(super) struct MersenneTwister {
    state: Vec<u32>,
    next: usize,
}

impl MersenneTwister {
    pub(super) fn new(seed: u32) -> Self {
        let mut state = vec![seed; WORDS];
        let mut word = seed;
        for (number, place) in (0_u32..).zip(&mut state).skip(1) {
            word = 1_812_433_253_u32.wrapping_mul(word ^ (word >> 30)).wrapping_add(number);
            *place = word;
        }
        Self { state, next: WORDS }
    }

    /// The next 32 bits.
    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.turn();
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// The next number in 0..1, of 53 random bits.
    pub(super) fn uniform(&mut self) -> f64 {
        let (high, low) = (self.word() >> 5, self.word() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    fn turn(&mut self) {
        for at in 0..WORDS {
            let pair = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % WORDS] & 0x7fff_ffff);
            let odd = if pair & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + MIDDLE) % WORDS] ^ (pair >> 1) ^ odd;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::Golden;

    #[test]
    fn numbers_are_those_of_the_original() {
        let expected = Golden::open("stages/kmeans.safetensors").f64("random_state_42.random_sample");
        let mut random = MersenneTwister::new(42);
        let found: Vec<f64> = expected.iter().map(|_| random.uniform()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_ten_thousandth_word_is_that_of_the_standard() {
        // C++ standard, [rand.predef]: seed 5489.
        let mut random = MersenneTwister::new(5489);
        let last = (0..10_000).map(|_| random.word()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
