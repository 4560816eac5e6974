//! Uniform random numbers as a function of key, step and element.

use crate::isa::multiversion;
use footlight_tensor::RandomKey;

/// Philox blocks, of four words each, that are worked on side by side.
const BLOCKS: usize = 32;

/// [`RandomKey::words`] of blocks `first..first + BLOCKS`, one after another.
///
/// The words of a counter are in the low halves of 64-bit lanes: there the product of two halves is one instruction, and
/// what gathers in the high halves is never read. The ten rounds are written as one straight line, so that the loop over
/// blocks is what the compiler vectorises. They are those of Philox4x32-10 in `footlight_tensor`, which the tests hold
/// this to.
#[inline(always)]
fn philox(key: RandomKey, first: u64, step: u32) -> [u32; 4 * BLOCKS] {
    const MULTIPLIER: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    let keys: [[u64; 2]; 10] = std::array::from_fn(|round| {
        let word = |half: usize| (key.0 >> (32 * half)) as u32;
        [0, 1].map(|half| u64::from(word(half).wrapping_add(WEYL[half].wrapping_mul(round as u32))))
    });
    // Words 0 and 1 of each block as one number, and words 2 and 3.
    let (mut front, mut back) = ([0u64; BLOCKS], [0u64; BLOCKS]);
    for i in 0..BLOCKS {
        let block = first.wrapping_add(i as u64);
        let (mut c0, mut c1, mut c2, mut c3) = (block, block >> 32, u64::from(step), 0);
        macro_rules! rounds {
            ($($round:literal)*) => {$(
                let p0 = MULTIPLIER[0] * (c0 & 0xffff_ffff);
                let p1 = MULTIPLIER[1] * (c2 & 0xffff_ffff);
                (c0, c1) = ((p1 >> 32) ^ c1 ^ keys[$round][0], p1);
                (c2, c3) = ((p0 >> 32) ^ c3 ^ keys[$round][1], p0);
            )*};
        }
        rounds!(0 1 2 3 4 5 6 7 8 9);
        front[i] = c0 & 0xffff_ffff | c1 << 32;
        back[i] = c2 & 0xffff_ffff | c3 << 32;
    }
    let mut words = [0; 4 * BLOCKS];
    for i in 0..BLOCKS {
        words[4 * i] = front[i] as u32;
        words[4 * i + 1] = (front[i] >> 32) as u32;
        words[4 * i + 2] = back[i] as u32;
        words[4 * i + 3] = (back[i] >> 32) as u32;
    }
    words
}

/// 24 random bits as a number in `[0, 1)`.
#[inline(always)]
fn unit(word: u32) -> f32 {
    // Below 2^24 a signed conversion gives the same, and every instruction set has it.
    (word >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

multiversion! {
    /// Elements `first..first + len` of the uniform numbers of `key` at `step`.
    ///
    /// # Safety
    /// `out` has room for `len` elements.
    pub(super) unsafe fn uniform(key: RandomKey, step: u32, first: u64, out: *mut f32, len: usize) {
        // SAFETY: `out` has room for `len` elements.
        let out = unsafe { std::slice::from_raw_parts_mut(out, len) };
        // Elements before the first whole block of four come from the middle of a block.
        let skip = (first % 4) as usize;
        let head = if skip == 0 { 0 } else { (4 - skip).min(len) };
        let (begin, body) = out.split_at_mut(head);
        for (x, word) in begin.iter_mut().zip(&key.words(first / 4, step)[skip..]) {
            *x = unit(*word);
        }
        let mut block = first.div_ceil(4);
        let (groups, rest) = body.as_chunks_mut::<{ 4 * BLOCKS }>();
        for group in groups {
            let words = philox(key, block, step);
            for i in 0..4 * BLOCKS {
                group[i] = unit(words[i]);
            }
            block += BLOCKS as u64;
        }
        if !rest.is_empty() {
            for (x, word) in rest.iter_mut().zip(philox(key, block, step)) {
                *x = unit(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn random_numbers_are_those_of_their_elements_for_any_split() {
        let key = RandomKey::new(9).child("dropout");
        for isa in Isa::available() {
            for first in [0u64, 1, 3, 8, 1001, (1 << 34) - 7] {
                for len in [1, 2, 5, 300] {
                    let mut out = vec![f32::NAN; len];
                    // SAFETY: the vector has this length.
                    unsafe { uniform(isa, key, 5, first, out.as_mut_ptr(), out.len()) };
                    for (i, x) in out.iter().enumerate() {
                        let element = first + i as u64;
                        let word = key.words(element / 4, 5)[(element % 4) as usize];
                        assert_eq!(*x, (word >> 8) as f32 / 16_777_216.0, "{isa:?} {first} {i}");
                    }
                }
            }
        }
    }
}
