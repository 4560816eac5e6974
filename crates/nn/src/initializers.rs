//! How a weight begins.

use crate::config::{self, Config, FINITE, Key, POSITIVE, Reader, config, within};
use crate::{Error, suggest};
use footlight_tensor::Philox;
use serde_json::Value;

/// What the scale of a [`Initializer::VarianceScaling`] is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanMode {
    /// The inputs of a unit.
    FanIn,
    /// The outputs of a unit.
    FanOut,
    /// The mean of both.
    FanAvg,
}

impl FanMode {
    /// What divides the variance, at least 1.
    fn of(self, (fan_in, fan_out): (f64, f64)) -> f64 {
        let fan = match self {
            FanMode::FanIn => fan_in,
            FanMode::FanOut => fan_out,
            FanMode::FanAvg => (fan_in + fan_out) / 2.0,
        };
        fan.max(1.0)
    }
}

/// The distribution of a [`Initializer::VarianceScaling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Uniform in `±sqrt(3 s)`.
    Uniform,
    /// Normal of variance `s` after cutting at two standard deviations.
    TruncatedNormal,
    /// Normal of variance `s`.
    UntruncatedNormal,
}

/// How a weight begins; numbers come from the model's seed and the weight's path.
///
/// Fans follow Keras: of a matrix `[in, out]` they are its extents; of more axes, the last two times the product of the
/// others; of a vector its length.
///
/// # Examples
/// ```
/// use footlight_nn::Initializer;
/// use footlight_tensor::{Philox, RandomKey};
/// let kernel = Initializer::glorot_uniform().sample(&[4, 2], &mut Philox::new(RandomKey::new(0)));
/// assert!(kernel.len() == 8 && kernel.iter().all(|w| w.abs() <= 1.0));
/// assert_eq!(Initializer::from("he_normal"), Initializer::he_normal());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Initializer {
    /// All 0: Keras' default for biases.
    Zeros,
    /// All 1.
    Ones,
    /// All one number; Keras' default is 0.
    Constant(f32),
    /// The gain on the diagonal of a matrix, 0 elsewhere; Keras' default gain is 1.
    Identity(f32),
    /// Uniform in `[minval, maxval)`; Keras' defaults are -0.05 and 0.05.
    RandomUniform {
        /// The lower end.
        minval: f32,
        /// The upper end.
        maxval: f32,
    },
    /// Normal; Keras' defaults are 0 and 0.05.
    RandomNormal {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        stddev: f32,
    },
    /// Normal, drawn again beyond two standard deviations; Keras' defaults are 0 and 0.05.
    TruncatedNormal {
        /// The mean.
        mean: f32,
        /// The standard deviation before cutting.
        stddev: f32,
    },
    /// Of variance `s = scale / max(1, fan)`; Keras' defaults are scale 1, fan in, truncated normal.
    VarianceScaling {
        /// Multiplies the variance.
        scale: f32,
        /// The fan that divides it.
        mode: FanMode,
        /// The distribution.
        distribution: Distribution,
        /// The class that Keras knows it by, such as `GlorotUniform`.
        class_name: &'static str,
    },
    /// A random orthogonal matrix (rows or columns, whichever are fewer), times the gain; Keras' default gain is 1.
    Orthogonal(f32),
    /// That of an LSTM's bias: 1 for the forget gate, which is the second of four, another initializer for the others.
    UnitForget(Box<Initializer>),
    /// A name that was given as text and is not known; reported when the model is built.
    Unknown(String),
}

const SCALED: &[(&str, f32, FanMode, Distribution)] = &[
    ("GlorotUniform", 1.0, FanMode::FanAvg, Distribution::Uniform),
    ("GlorotNormal", 1.0, FanMode::FanAvg, Distribution::TruncatedNormal),
    ("HeUniform", 2.0, FanMode::FanIn, Distribution::Uniform),
    ("HeNormal", 2.0, FanMode::FanIn, Distribution::TruncatedNormal),
    ("LecunUniform", 1.0, FanMode::FanIn, Distribution::Uniform),
    ("LecunNormal", 1.0, FanMode::FanIn, Distribution::TruncatedNormal),
];

impl Initializer {
    /// Keras' class names of all initializers.
    pub const CLASSES: &[&str] = &[
        "Zeros",
        "Ones",
        "Constant",
        "Identity",
        "RandomUniform",
        "RandomNormal",
        "TruncatedNormal",
        "VarianceScaling",
        "GlorotUniform",
        "GlorotNormal",
        "HeUniform",
        "HeNormal",
        "LecunUniform",
        "LecunNormal",
        "Orthogonal",
    ];
}

impl From<&str> for Initializer {
    /// By Keras' name, `he_normal` as well as `HeNormal`, with its default arguments; `zero`, `one`, `uniform` and
    /// `normal` are Keras' short names.
    fn from(name: &str) -> Initializer {
        let plain = match name {
            "zero" | "one" => format!("{name}s"),
            "uniform" | "normal" => format!("random{name}"),
            other => other.replace('_', "").to_lowercase(),
        };
        let class = Initializer::CLASSES.iter().find(|class| class.to_lowercase() == plain);
        let made = class.map(|class| Initializer::from_class(class, &Config::new()));
        made.and_then(Result::ok).unwrap_or_else(|| Initializer::Unknown(name.into()))
    }
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $function:ident => $class:literal;)*) => {
        impl Initializer {
            $($(#[$doc])* pub fn $function() -> Initializer { Initializer::from($class) })*
        }
    };
}

constructors! {
    /// Uniform in `±sqrt(6 / (fan_in + fan_out))`: Keras' default for kernels.
    ///
    /// # References
    /// Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks", equation 16.
    glorot_uniform => "GlorotUniform";

    /// Normal of variance `2 / (fan_in + fan_out)`, drawn again beyond two standard deviations.
    ///
    /// # References
    /// Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks", equation 12.
    glorot_normal => "GlorotNormal";

    /// Uniform in `±sqrt(6 / fan_in)`, for layers before a relu.
    ///
    /// # References
    /// He, Zhang, Ren, Sun (2015), "Delving deep into rectifiers", equation 10.
    he_uniform => "HeUniform";

    /// Normal of variance `2 / fan_in`, drawn again beyond two standard deviations, for layers before a relu.
    ///
    /// # References
    /// He, Zhang, Ren, Sun (2015), "Delving deep into rectifiers", equation 10.
    he_normal => "HeNormal";

    /// Uniform in `±sqrt(3 / fan_in)`.
    ///
    /// # References
    /// LeCun, Bottou, Orr, Müller (1998), "Efficient backprop", section 4.6.
    lecun_uniform => "LecunUniform";

    /// Normal of variance `1 / fan_in`, drawn again beyond two standard deviations.
    ///
    /// # References
    /// LeCun, Bottou, Orr, Müller (1998), "Efficient backprop", section 4.6.
    lecun_normal => "LecunNormal";

    /// Uniform in `±0.05`, Keras' default range.
    random_uniform => "RandomUniform";

    /// Normal of mean 0 and standard deviation 0.05, Keras' defaults.
    random_normal => "RandomNormal";

    /// Normal of mean 0 and standard deviation 0.05, Keras' defaults, drawn again beyond two standard deviations.
    truncated_normal => "TruncatedNormal";

    /// A random orthogonal matrix: `Q` of a QR decomposition of normal numbers, with the signs of a positive `R`.
    ///
    /// # References
    /// Saxe, McClelland, Ganguli (2014), "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    /// networks", section 3.
    orthogonal => "Orthogonal";
}

impl Initializer {
    /// Of variance `s = scale / max(1, fan)`: the initializer that those of Glorot, He and LeCun are cases of.
    ///
    /// # Arguments
    /// `scale`: above 0. Keras' defaults are 1, fan in, truncated normal.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Distribution, FanMode, Initializer};
    /// let made = Initializer::variance_scaling(0.1, FanMode::FanOut, Distribution::Uniform);
    /// assert_eq!(Initializer::from_config(&made.to_config()), Ok(made));
    /// ```
    pub fn variance_scaling(scale: f32, mode: FanMode, distribution: Distribution) -> Initializer {
        Initializer::VarianceScaling { scale, mode, distribution, class_name: "VarianceScaling" }
    }

    /// Complains of a name that is not known or a number out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the nearest name and all of them, or with the number and its range.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Initializer::Unknown(name) if name.to_lowercase().starts_with("stft") => Err(no_stft()),
            Initializer::Unknown(name) => Err(suggest::unknown("initializer", name, Initializer::CLASSES)),
            Initializer::Constant(value) => within("value", *value, FINITE),
            Initializer::Identity(gain) | Initializer::Orthogonal(gain) => within("gain", *gain, FINITE),
            Initializer::RandomUniform { minval, maxval } => {
                within("minval", *minval, FINITE).and_then(|()| within("maxval", *maxval, *minval..f32::INFINITY))
            }
            Initializer::RandomNormal { mean, stddev } | Initializer::TruncatedNormal { mean, stddev } => {
                within("mean", *mean, FINITE).and_then(|()| within("stddev", *stddev, 0.0..f32::INFINITY))
            }
            Initializer::VarianceScaling { scale, .. } => within("scale", *scale, POSITIVE),
            Initializer::UnitForget(others) => others.check(),
            Initializer::Zeros | Initializer::Ones => Ok(()),
        }
    }

    /// The same for a weight of `shape` whose fans are not those of its shape: a variance is scaled by them instead.
    pub(crate) fn for_fans(self, shape: &[usize], [fan_in, fan_out]: [f64; 2]) -> Initializer {
        match self {
            Initializer::VarianceScaling { scale, mode, distribution, class_name } => {
                let ratio = mode.of(fans(shape)) / mode.of((fan_in, fan_out));
                let scale = (f64::from(scale) * ratio) as f32;
                Initializer::VarianceScaling { scale, mode, distribution, class_name }
            }
            other => other,
        }
    }

    /// The numbers of a weight of `shape`.
    pub fn sample(&self, shape: &[usize], rng: &mut Philox) -> Vec<f32> {
        let count = shape.iter().product();
        let mut draw = |f: &mut dyn FnMut(&mut Philox) -> f64| (0..count).map(|_| f(rng) as f32).collect();
        match *self {
            Initializer::Zeros | Initializer::Unknown(_) => vec![0.0; count],
            Initializer::Ones => vec![1.0; count],
            Initializer::Constant(x) => vec![x; count],
            Initializer::Identity(gain) => {
                let columns = shape.last().copied().unwrap_or(1);
                (0..count).map(|i| if i / columns == i % columns { gain } else { 0.0 }).collect()
            }
            Initializer::RandomUniform { minval, maxval } => {
                draw(&mut |rng| f64::from(minval) + f64::from(maxval - minval) * rng.uniform_f64())
            }
            Initializer::RandomNormal { mean, stddev } => {
                draw(&mut |rng| f64::from(mean) + f64::from(stddev) * rng.normal())
            }
            Initializer::TruncatedNormal { mean, stddev } => {
                draw(&mut |rng| f64::from(mean) + f64::from(stddev) * truncated(rng))
            }
            Initializer::VarianceScaling { scale, mode, distribution, .. } => {
                let variance = f64::from(scale) / mode.of(fans(shape));
                match distribution {
                    Distribution::Uniform => {
                        let limit = (3.0 * variance).sqrt();
                        draw(&mut |rng| limit * (2.0 * rng.uniform_f64() - 1.0))
                    }
                    // The constant is the standard deviation of a unit normal cut at ±2.
                    Distribution::TruncatedNormal => {
                        let sigma = variance.sqrt() / 0.879_625_661_034_239_8;
                        draw(&mut |rng| sigma * truncated(rng))
                    }
                    Distribution::UntruncatedNormal => draw(&mut |rng| variance.sqrt() * rng.normal()),
                }
            }
            Initializer::Orthogonal(gain) => orthogonal(shape, gain, rng),
            Initializer::UnitForget(ref others) => {
                let mut bias = others.sample(shape, rng);
                let gate = count / 4;
                bias[gate..2 * gate].fill(1.0);
                bias
            }
        }
    }

    /// As Keras writes it.
    pub fn to_config(&self) -> Value {
        let seedless = |class: &str, mut config: Config| {
            config.insert("seed".into(), Value::Null);
            config::object("keras.initializers", class, config)
        };
        match self {
            Initializer::UnitForget(others) => others.to_config(),
            Initializer::Zeros => config::object("keras.initializers", "Zeros", config! {}),
            Initializer::Ones => config::object("keras.initializers", "Ones", config! {}),
            Initializer::Constant(x) => config::object("keras.initializers", "Constant", config! { "value": x }),
            Initializer::Identity(gain) => config::object("keras.initializers", "Identity", config! { "gain": gain }),
            Initializer::RandomUniform { minval, maxval } => {
                seedless("RandomUniform", config! { "minval": minval, "maxval": maxval })
            }
            Initializer::RandomNormal { mean, stddev } => {
                seedless("RandomNormal", config! { "mean": mean, "stddev": stddev })
            }
            Initializer::TruncatedNormal { mean, stddev } => {
                seedless("TruncatedNormal", config! { "mean": mean, "stddev": stddev })
            }
            Initializer::VarianceScaling { scale, mode, distribution, class_name } => {
                let mode = match mode {
                    FanMode::FanIn => "fan_in",
                    FanMode::FanOut => "fan_out",
                    FanMode::FanAvg => "fan_avg",
                };
                let distribution = match distribution {
                    Distribution::Uniform => "uniform",
                    Distribution::TruncatedNormal => "truncated_normal",
                    Distribution::UntruncatedNormal => "untruncated_normal",
                };
                match *class_name {
                    "VarianceScaling" => {
                        let config = config! { "scale": scale, "mode": mode, "distribution": distribution };
                        seedless("VarianceScaling", config)
                    }
                    class => seedless(class, config! {}),
                }
            }
            Initializer::Orthogonal(gain) => seedless("Orthogonal", config! { "gain": gain }),
            Initializer::Unknown(name) => Value::String(name.clone()),
        }
    }

    /// From what Keras writes: an object, or a name.
    ///
    /// # Errors
    /// A class or key that is not known.
    pub fn from_config(value: &Value) -> Result<Initializer, Error> {
        if let Some(name) = value.as_str() {
            let made = Initializer::from(name);
            made.check()?;
            return Ok(made);
        }
        let (class, config) = config::open(value)?;
        Initializer::from_class(&class, &config).map_err(|e| e.at(format!("initializer `{class}`")))
    }

    fn from_class(class: &str, config: &Config) -> Result<Initializer, Error> {
        let mut reader = Reader::new(config);
        let made = Initializer::read(class, &mut reader)?;
        reader.finish()?;
        Ok(made)
    }

    /// The keys of a class of initializers.
    pub fn keys(class: &str) -> Vec<Key> {
        config::keys_of(|reader| {
            let made = Initializer::read(class, reader)?.to_config();
            Ok(made["config"].as_object().cloned().unwrap_or_default())
        })
    }

    fn read(class: &str, read: &mut Reader<'_>) -> Result<Initializer, Error> {
        read.ignore(&["seed"]);
        read.refuse(&["input_axes", "output_axes"])?;
        Ok(match class {
            "Zeros" => Initializer::Zeros,
            "Ones" => Initializer::Ones,
            "Constant" => Initializer::Constant(read.f32("value", 0.0)?),
            "Identity" | "IdentityInitializer" => Initializer::Identity(read.f32("gain", 1.0)?),
            "RandomUniform" => {
                Initializer::RandomUniform { minval: read.f32("minval", -0.05)?, maxval: read.f32("maxval", 0.05)? }
            }
            "RandomNormal" => {
                Initializer::RandomNormal { mean: read.f32("mean", 0.0)?, stddev: read.f32("stddev", 0.05)? }
            }
            "TruncatedNormal" => {
                Initializer::TruncatedNormal { mean: read.f32("mean", 0.0)?, stddev: read.f32("stddev", 0.05)? }
            }
            "VarianceScaling" => Initializer::VarianceScaling {
                scale: read.f32("scale", 1.0)?,
                mode: match read.string("mode")?.as_deref() {
                    None | Some("fan_in") => FanMode::FanIn,
                    Some("fan_out") => FanMode::FanOut,
                    Some("fan_avg") => FanMode::FanAvg,
                    Some(other) => {
                        return Err(suggest::unknown("mode", other, &["fan_in", "fan_out", "fan_avg"]).in_key("mode"));
                    }
                },
                distribution: match read.string("distribution")?.as_deref() {
                    None | Some("truncated_normal" | "normal") => Distribution::TruncatedNormal,
                    Some("untruncated_normal") => Distribution::UntruncatedNormal,
                    Some("uniform") => Distribution::Uniform,
                    Some(other) => {
                        let legal = ["truncated_normal", "untruncated_normal", "uniform"];
                        return Err(suggest::unknown("distribution", other, &legal).in_key("distribution"));
                    }
                },
                class_name: "VarianceScaling",
            },
            "Orthogonal" | "OrthogonalInitializer" => Initializer::Orthogonal(read.f32("gain", 1.0)?),
            "STFT" | "STFTInitializer" => return Err(no_stft()),
            other => match SCALED.iter().find(|(name, ..)| *name == other) {
                Some(&(class_name, scale, mode, distribution)) => {
                    Initializer::VarianceScaling { scale, mode, distribution, class_name }
                }
                None => return Err(suggest::unknown("initializer", other, Initializer::CLASSES)),
            },
        })
    }
}

/// The refusal of an initializer that only a layer of signals has.
fn no_stft() -> Error {
    Error::config("initializer `STFT` is not supported yet")
        .help("it is for the kernel of a short-time Fourier transform, which no layer here has")
}

/// A unit normal, drawn again beyond two standard deviations.
fn truncated(rng: &mut Philox) -> f64 {
    loop {
        let x = rng.normal();
        if x.abs() <= 2.0 {
            return x;
        }
    }
}

/// Keras' fans of a shape: in and out.
pub(crate) fn fans(shape: &[usize]) -> (f64, f64) {
    match *shape {
        [] => (1.0, 1.0),
        [n] => (n as f64, n as f64),
        [ref field @ .., fan_in, fan_out] => {
            let field: f64 = field.iter().map(|extent| *extent as f64).product();
            (field * fan_in as f64, field * fan_out as f64)
        }
    }
}

/// Orthonormal columns by modified Gram and Schmidt, twice, of a normal matrix with at least as many rows as columns;
/// the signs are those of a QR decomposition with a positive diagonal. Transposed for a wide shape.
fn orthogonal(shape: &[usize], gain: f32, rng: &mut Philox) -> Vec<f32> {
    let columns = shape.last().copied().unwrap_or(1);
    let rows = shape.iter().product::<usize>() / columns.max(1);
    let (long, short) = (rows.max(columns), rows.min(columns));
    let mut q: Vec<Vec<f64>> = Vec::with_capacity(short);
    while q.len() < short {
        let mut v: Vec<f64> = (0..long).map(|_| rng.normal()).collect();
        for _ in 0..2 {
            for u in &q {
                let dot: f64 = u.iter().zip(&v).map(|(a, b)| a * b).sum();
                v.iter_mut().zip(u).for_each(|(x, u)| *x -= dot * u);
            }
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm > 1e-8 {
            v.iter_mut().for_each(|x| *x /= norm);
            q.push(v);
        }
    }
    let at = |row: usize, column: usize| if rows >= columns { q[column][row] } else { q[row][column] };
    (0..rows * columns).map(|i| gain * at(i / columns, i % columns) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use footlight_tensor::RandomKey;

    fn draw(initializer: &Initializer, shape: &[usize]) -> Vec<f32> {
        initializer.sample(shape, &mut Philox::new(RandomKey::new(1)))
    }

    fn variance(x: &[f32]) -> f64 {
        let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / x.len() as f64;
        x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / x.len() as f64
    }

    #[test]
    fn scaled_initializers_have_the_variance_of_their_fan() {
        for (name, scale, mode, distribution) in SCALED {
            let x = draw(&Initializer::from(*name), &[300, 100]);
            let fan = if *mode == FanMode::FanAvg { 200.0 } else { 300.0 };
            let want = f64::from(*scale) / fan;
            assert!((variance(&x) / want - 1.0).abs() < 0.05, "{name}: {} for {want}", variance(&x));
            let limit = if *distribution == Distribution::Uniform {
                (3.0 * want).sqrt()
            } else {
                2.0 * want.sqrt() / 0.879_625_661_034_239_8
            };
            assert!(x.iter().all(|x| f64::from(x.abs()) <= limit * 1.0001), "{name}");
        }
    }

    #[test]
    fn orthogonal_columns_have_unit_products() {
        for shape in [[6, 4], [4, 6]] {
            let x = draw(&Initializer::Orthogonal(2.0), &shape);
            let at = |i: usize, j: usize| f64::from(x[i * shape[1] + j]);
            let short = shape[0].min(shape[1]);
            for a in 0..short {
                for b in 0..short {
                    let dot: f64 = (0..shape[0].max(shape[1]))
                        .map(|k| if shape[0] > shape[1] { at(k, a) * at(k, b) } else { at(a, k) * at(b, k) })
                        .sum();
                    assert!((dot - if a == b { 4.0 } else { 0.0 }).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn configurations_round_trip() {
        for class in Initializer::CLASSES {
            let made = Initializer::from(*class);
            assert_eq!(Initializer::from_config(&made.to_config()), Ok(made), "{class}");
        }
        for (short, class) in
            [("zero", "Zeros"), ("one", "Ones"), ("uniform", "RandomUniform"), ("normal", "RandomNormal")]
        {
            assert_eq!(Initializer::from(short), Initializer::from(class));
        }
        assert!(Initializer::from("stft").check().unwrap_err().to_string().contains("not supported yet"));
        assert!(Initializer::RandomUniform { minval: 1.0, maxval: 0.0 }.check().is_err());
        assert_eq!(Initializer::from("he_normal"), Initializer::he_normal());
        assert!(Initializer::from("he_norml").check().unwrap_err().to_string().contains("did you mean `HeNormal`?"));
    }

    #[test]
    fn fans_of_kernels_count_their_field() {
        assert_eq!(fans(&[3, 3, 16, 32]), (144.0, 288.0));
        assert_eq!(fans(&[784, 128]), (784.0, 128.0));
        assert_eq!(fans(&[5]), (5.0, 5.0));
    }
}
