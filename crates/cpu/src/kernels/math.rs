//! Elementary functions on `f32` without branches, so that loops over them are vectorised.
//!
//! `FMA` says whether the multiply-add is fused; without it the polynomials lose up to one more unit in the last place.
//! The errors stated are the largest found against `f64` on dense samples, see the tests.

/// `a * b + c`, fused where that is one instruction.
#[inline(always)]
pub(crate) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `2^n` for whole `n` in `[-126, 127]`, through the exponent's bits; for other `n`, which only a NaN brings, any number.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// The whole number nearest to `x`, as float and as integer, for `|x| < 2^22`: adding `1.5 * 2^23` leaves it in the low
/// bits of the sum. No conversion is needed, whose care for NaN would keep loops from being vectorised; of a NaN the
/// integer means nothing.
#[inline(always)]
fn round(x: f32) -> (f32, i32) {
    const MAGIC: f32 = 12_582_912.0;
    let sum = x + MAGIC;
    (sum - MAGIC, (sum.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32))
}

const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `(e^r - 1 - r) / r^2` for `|r| <= ln(2) / 2`: the series to degree 7, its end adjusted.
#[inline(always)]
fn exp_tail<const FMA: bool>(r: f32) -> f32 {
    let p = mul_add::<FMA>(1.987_569_1e-4, r, 1.398_199_9e-3);
    let p = mul_add::<FMA>(p, r, 8.333_452e-3);
    let p = mul_add::<FMA>(p, r, 4.166_579_6e-2);
    let p = mul_add::<FMA>(p, r, 1.666_666_5e-1);
    mul_add::<FMA>(p, r, 5e-1)
}

/// `e^x`: `2^n e^r` with `r = x - n ln 2`. At most 2 ulp; 0 below -104, infinite above 88.73, NaN for NaN.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    let clamped = x.clamp(-104.0, 89.0);
    let (n, whole) = round(clamped * std::f32::consts::LOG2_E);
    let r = mul_add::<FMA>(n, -LN_2_HIGH, clamped);
    let r = mul_add::<FMA>(n, -LN_2_LOW, r);
    let y = mul_add::<FMA>(exp_tail::<FMA>(r) * r, r, r) + 1.0;
    // Two factors, because 2^n itself may be below or above what a float holds. A NaN comes through `y`.
    let half = whole >> 1;
    y * power_of_two(half) * power_of_two(whole.wrapping_sub(half))
}

/// `e^x - 1`, exact near 0. At most 3 ulp where the result is not near -1.
#[inline(always)]
pub(crate) fn expm1<const FMA: bool>(x: f32) -> f32 {
    let clamped = x.clamp(-104.0, 89.0);
    let (n, whole) = round(clamped * std::f32::consts::LOG2_E);
    let r = mul_add::<FMA>(n, -LN_2_HIGH, clamped);
    let r = mul_add::<FMA>(n, -LN_2_LOW, r);
    // e^r - 1; then 2^n (e^r - 1) + (2^n - 1).
    let y = mul_add::<FMA>(exp_tail::<FMA>(r) * r, r, r);
    let half = whole >> 1;
    let (a, b) = (power_of_two(half), power_of_two(whole.wrapping_sub(half)));
    mul_add::<FMA>(y * a, b, a * b - 1.0)
}

/// `ln x`: with `x = 2^e m`, `m` in `[sqrt(1/2), sqrt(2))`. At most 2 ulp; `ln 0` is `-inf`, of negatives NaN.
#[inline(always)]
pub(crate) fn log<const FMA: bool>(x: f32) -> f32 {
    // Subnormals are brought into the normal range first.
    let is_tiny = x < f32::MIN_POSITIVE;
    let scaled = if is_tiny { x * 8_388_608.0 } else { x };
    let shift = if is_tiny { -23.0 } else { 0.0 };
    let bits = scaled.to_bits() as i32;
    let exponent = (bits.wrapping_sub(0x3f35_04f3)) >> 23;
    let m = f32::from_bits((bits.wrapping_sub(exponent << 23)) as u32);
    let e = exponent as f32 + shift;
    let f = m - 1.0;
    let p = mul_add::<FMA>(7.037_683_6e-2, f, -1.151_461e-1);
    let p = mul_add::<FMA>(p, f, 1.167_699_9e-1);
    let p = mul_add::<FMA>(p, f, -1.242_014_1e-1);
    let p = mul_add::<FMA>(p, f, 1.424_932_3e-1);
    let p = mul_add::<FMA>(p, f, -1.666_805_8e-1);
    let p = mul_add::<FMA>(p, f, 2.000_071_5e-1);
    let p = mul_add::<FMA>(p, f, -2.499_999_4e-1);
    let p = mul_add::<FMA>(p, f, 3.333_333e-1);
    let z = f * f;
    let y = mul_add::<FMA>(e, LN_2_LOW, p * f * z);
    let y = mul_add::<FMA>(-0.5, z, y);
    let result = mul_add::<FMA>(e, LN_2_HIGH, f + y);
    let result = if x == f32::INFINITY { x } else { result };
    let result = if x == 0.0 { f32::NEG_INFINITY } else { result };
    if x >= 0.0 { result } else { f32::NAN }
}

/// `ln(1 + x)`, exact near 0: the rounding of `1 + x` is corrected by `x / ((1 + x) - 1)`. At most 4 ulp.
#[inline(always)]
pub(crate) fn log1p<const FMA: bool>(x: f32) -> f32 {
    let u = 1.0 + x;
    let d = u - 1.0;
    let y = log::<FMA>(u) * (x / d);
    let is_small = d == 0.0;
    let y = if is_small { x } else { y };
    if u == f32::INFINITY { u } else { y }
}

/// `1 / (1 + e^-x)`. At most 4 ulp above -87; saturates to 0 and 1.
#[inline(always)]
pub(crate) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// `tanh x = sign(x) (1 - e^-2|x|) / (1 + e^-2|x|)`, with the numerator from [`expm1`]. At most 4 ulp.
#[inline(always)]
pub(crate) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let t = expm1::<FMA>(-2.0 * x.abs());
    let y = -t / (2.0 + t);
    y.copysign(x)
}

/// `erf x`. Absolute error at most 2e-7: `x P(x^2)` near 0, else `1 - e^(x Q(x))` with `Q` fitted to `ln(1 - erf x) / x`.
#[inline(always)]
pub(crate) fn erf<const FMA: bool>(x: f32) -> f32 {
    let a = x.abs().min(4.0);
    let mut q = ERF_FAR[0];
    for c in &ERF_FAR[1..] {
        q = mul_add::<FMA>(q, a, *c);
    }
    let far = 1.0 - exp::<FMA>(q * a);
    let z = x * x;
    let mut p = ERF_NEAR[0];
    for c in &ERF_NEAR[1..] {
        p = mul_add::<FMA>(p, z, *c);
    }
    let y = if a < 0.921_875 { p * x } else { far.copysign(x) };
    if x.is_nan() { x } else { y }
}

/// Coefficients of `erf(x) / x` in `x^2` for `|x| < 0.921875`, the highest power first (Chebyshev fit, degree 6).
const ERF_NEAR: [f32; 7] = [
    8.392_697e-5,
    -8.148_506e-4,
    5.201_592e-3,
    -2.685_965e-2,
    1.128_37e-1,
    -3.761_263_4e-1,
    std::f32::consts::FRAC_2_SQRT_PI,
];

/// Coefficients of `ln(1 - erf(x)) / x` in `x` up to 4, the highest power first (Chebyshev fit, degree 8).
const ERF_FAR: [f32; 9] = [
    3.005_267_5e-7,
    -4.955_266_6e-6,
    1.661_993_3e-5,
    2.584_315e-4,
    -3.618_584_3e-3,
    2.393_330_7e-2,
    -1.065_782_4e-1,
    -6.348_906e-1,
    -1.128_721_8,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` against `reference` over `low..high`, in units in the last place of the result.
    fn worst_ulp(low: f64, high: f64, f: impl Fn(f32) -> f32, reference: impl Fn(f64) -> f64) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        for i in 0..=400_000 {
            let x = (low + (high - low) * f64::from(i) / 400_000.0) as f32;
            let exact = reference(f64::from(x));
            let got = f64::from(f(x));
            let ulp = f64::from((exact.abs() as f32).next_up()) - f64::from(exact.abs() as f32);
            let error = (got - exact).abs() / ulp;
            if error > worst.0 {
                worst = (error, x);
            }
        }
        worst
    }

    fn check(name: &str, limit: f64, (error, at): (f64, f32)) {
        assert!(error <= limit, "{name}: {error} ulp at {at}, allowed {limit}");
    }

    fn erf_f64(x: f64) -> f64 {
        crate::naive::erf(x)
    }

    #[test]
    fn errors_stay_within_what_the_docs_say() {
        check("exp", 2.0, worst_ulp(-87.0, 88.7, exp::<true>, f64::exp));
        check("exp without fma", 3.0, worst_ulp(-87.0, 88.7, exp::<false>, f64::exp));
        check("expm1", 3.0, worst_ulp(-2.0, 20.0, expm1::<true>, f64::exp_m1));
        check("expm1 near 0", 3.0, worst_ulp(-1e-3, 1e-3, expm1::<true>, f64::exp_m1));
        check("log", 2.0, worst_ulp(1e-3, 100.0, log::<true>, f64::ln));
        check("log near 1", 2.0, worst_ulp(0.9, 1.1, log::<true>, f64::ln));
        check("log1p", 4.0, worst_ulp(-0.9, 10.0, log1p::<true>, f64::ln_1p));
        check("log1p near 0", 4.0, worst_ulp(-1e-4, 1e-4, log1p::<true>, f64::ln_1p));
        check("tanh", 4.0, worst_ulp(-9.0, 9.0, tanh::<true>, f64::tanh));
        check("sigmoid", 4.0, worst_ulp(-80.0, 20.0, sigmoid::<true>, |x| 1.0 / (1.0 + (-x).exp())));
    }

    #[test]
    fn erf_is_within_its_absolute_error() {
        for i in -60_000..=60_000 {
            let x = i as f32 / 10_000.0;
            let error = (f64::from(erf::<true>(x)) - erf_f64(f64::from(x))).abs();
            assert!(error <= 2e-7, "{error} at {x}");
        }
    }

    #[test]
    fn extremes_are_exact() {
        assert_eq!(exp::<true>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<true>(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp::<true>(0.0), 1.0);
        assert_eq!(log::<true>(0.0), f32::NEG_INFINITY);
        assert_eq!(log::<true>(f32::INFINITY), f32::INFINITY);
        assert!(log::<true>(-1.0).is_nan());
        assert_eq!(log::<true>(1.0), 0.0);
        assert!((log::<true>(1e-40) - 1e-40f32.ln()).abs() < 1e-4);
        assert_eq!(log1p::<true>(0.0), 0.0);
        assert_eq!(log1p::<true>(-1.0), f32::NEG_INFINITY);
        assert_eq!(expm1::<true>(0.0), 0.0);
        assert_eq!(expm1::<true>(-200.0), -1.0);
        assert_eq!(tanh::<true>(50.0), 1.0);
        assert_eq!(tanh::<true>(-50.0), -1.0);
        assert_eq!(sigmoid::<true>(200.0), 1.0);
        assert_eq!(sigmoid::<true>(-200.0), 0.0);
        assert_eq!(erf::<true>(10.0), 1.0);
        for f in [exp::<true>, expm1::<true>, log::<true>, log1p::<true>, tanh::<true>, sigmoid::<true>, erf::<true>] {
            assert!(f(f32::NAN).is_nan());
        }
    }
}
