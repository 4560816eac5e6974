//! The instruction sets that kernels are compiled for, and the choice between them while the program runs.

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 F, BW, DQ and VL: 16 floats at once.
    Avx512,
    /// AVX2 and FMA: 8 floats at once.
    Avx2,
    /// What the compiler's target guarantees.
    Portable,
}

impl Isa {
    /// The widest set that this processor has.
    pub fn detect() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if has_avx512 && has_avx2 {
                return Isa::Avx512;
            }
            if has_avx2 {
                return Isa::Avx2;
            }
        }
        Isa::Portable
    }

    /// The name printed with benchmarks.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Portable => "portable",
        }
    }

    /// Every set that this processor has.
    pub fn available() -> Vec<Isa> {
        let all = [Isa::Avx512, Isa::Avx2, Isa::Portable];
        let from = all.iter().position(|isa| *isa == Isa::detect()).unwrap_or(2);
        all[from..].to_vec()
    }
}

/// Compiles one body for every instruction set: plain loops in it are vectorised for each.
///
/// The body may use the constant `FMA`, which tells whether a fused multiply-add is one instruction. The function takes
/// the set as its first argument; that the processor has it is what [`Isa::detect`] is for.
macro_rules! multiversion {
    ($(#[$doc:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name(isa: $crate::isa::Isa, $($arg: $ty),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, non_snake_case, unused_variables)]
            unsafe fn body<const FMA: bool>($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx512($($arg: $ty),*) {
                // SAFETY: the same contract as the outer function's.
                unsafe { body::<true>($($arg),*) }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx2($($arg: $ty),*) {
                // SAFETY: the same contract as the outer function's.
                unsafe { body::<true>($($arg),*) }
            }

            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: an engine runs on a set that the processor was found to have.
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: the same contract as this function's.
                _ => unsafe { body::<{ cfg!(target_feature = "fma") || cfg!(target_arch = "aarch64") }>($($arg),*) },
            }
        }
    };
}
pub(crate) use multiversion;
