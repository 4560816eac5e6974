//! Counter-based random numbers: Philox4x32-10.
//!
//! A number is a function of (key, counter) alone, so any worker can make any element of any tensor of any step, in any
//! order, and a resumed run continues the very same stream.
//!
//! # References
//! Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC11, section 3.3 (Philox).

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// One Philox4x32-10 block: four random words from a 128-bit counter and a 64-bit key.
#[inline(always)]
pub(crate) fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let low = u64::from(MULTIPLIER[0]) * u64::from(counter[0]);
        let high = u64::from(MULTIPLIER[1]) * u64::from(counter[2]);
        counter = [
            (high >> 32) as u32 ^ counter[1] ^ key[0],
            high as u32,
            (low >> 32) as u32 ^ counter[3] ^ key[1],
            low as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// Names one stream of random numbers: a seed mixed with the path of what draws from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RandomKey(pub u64);

impl RandomKey {
    /// The key of `seed` itself.
    pub fn new(seed: u64) -> RandomKey {
        RandomKey(mix(seed))
    }

    /// The key of something within this key's scope, by name (FNV-1a, then mixed).
    pub fn child(self, name: &str) -> RandomKey {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        RandomKey(mix(self.0 ^ hash))
    }

    /// The key of the `index`-th thing within this key's scope.
    pub fn at(self, index: u64) -> RandomKey {
        RandomKey(mix(self.0.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(1)))
    }

    /// Four random words: block `block` of step `step` of this stream.
    #[inline(always)]
    pub fn words(self, block: u64, step: u32) -> [u32; 4] {
        philox4x32([block as u32, (block >> 32) as u32, step, 0], [self.0 as u32, (self.0 >> 32) as u32])
    }
}

/// The finaliser of SplitMix64: a bijection that spreads close seeds apart.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Draws numbers one after another from the stream of a key: for initializers, shuffles and generated data.
#[derive(Clone, Debug)]
pub struct Philox {
    key: RandomKey,
    next: u64,
    words: [u32; 4],
}

impl Philox {
    /// The stream of `key`, from its beginning.
    pub fn new(key: RandomKey) -> Philox {
        Philox { key, next: 0, words: [0; 4] }
    }

    /// Uniform over all 32-bit words.
    pub fn word(&mut self) -> u32 {
        let lane = (self.next % 4) as usize;
        if lane == 0 {
            self.words = self.key.words(self.next / 4, 0);
        }
        self.next += 1;
        self.words[lane]
    }

    /// Uniform in `[0, 1)` with 24 random bits.
    pub fn uniform(&mut self) -> f32 {
        (self.word() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform in `[0, 1)` with 53 random bits.
    pub fn uniform_f64(&mut self) -> f64 {
        let bits = (u64::from(self.word()) << 32 | u64::from(self.word())) >> 11;
        bits as f64 / 9_007_199_254_740_992.0
    }

    /// Uniform in `0..bound` (`bound` at least 1), without modulo bias: Lemire's multiply with rejection.
    pub fn below(&mut self, bound: u32) -> u32 {
        let bound = bound.max(1);
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.word()) * u64::from(bound);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// Normal with mean 0 and standard deviation 1 (Box and Muller, cosine branch).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform_f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform_f64()).cos()
    }

    /// Puts `items` in a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers published with the authors' Random123 library (`philox4x32 10`).
    #[test]
    fn philox_gives_the_published_words() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut rng = Philox::new(RandomKey::new(7));
        let draws: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
    }

    #[test]
    fn shuffling_keeps_every_item_once() {
        let mut items: Vec<u32> = (0..1000).collect();
        Philox::new(RandomKey::new(3).child("epoch").at(1)).shuffle(&mut items);
        assert_ne!(items, (0..1000).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
    }
}
