//! The networks that `footlight bench` measures, and synthetic data of their shapes.

use footlight::nn;
use footlight::prelude::*;
use footlight::tensor::{Philox, RandomKey};

/// A network to measure.
pub struct Workload {
    pub name: &'static str,
    pub batch: usize,
    /// Samples of an epoch.
    pub samples: usize,
    pub network: fn() -> Result<Model>,
    pub compile: fn(&mut Model) -> Result<()>,
    /// Inputs and labels of so many samples.
    pub data: fn(usize) -> Result<(Vec<Samples>, Samples)>,
    /// Answers to one sample that are measured.
    pub answers: usize,
    /// The samples of a large batch of answers.
    pub many: usize,
}

const MLP: Workload = Workload {
    name: "mlp",
    batch: 128,
    samples: 60_000,
    network: mlp,
    compile: |model| model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"]),
    data: |count| pictures(count, &[28, 28]),
    answers: 20_000,
    many: 256,
};

const LSTM: Workload = Workload {
    name: "lstm",
    batch: 32,
    samples: 25 * 32,
    network: lstm,
    compile: |model| model.compile("adam", "binary_crossentropy", []),
    data: reviews,
    answers: 1000,
    many: 256,
};

const RECOMMENDER: Workload = Workload {
    name: "recommender",
    batch: 1024,
    samples: 150 * 1024,
    network: recommender,
    compile: |model| model.compile("adam", "binary_crossentropy", []),
    data: clicks,
    answers: 10_000,
    many: 1024,
};

pub const WORKLOADS: [Workload; 8] = [
    MLP,
    Workload { name: "cnn", samples: 12_800, network: cnn, ..MLP },
    LSTM,
    Workload { name: "lstm-128", batch: 128, samples: 8 * 128, ..LSTM },
    Workload {
        name: "gpt",
        batch: 16,
        samples: 64,
        network: gpt,
        compile: |model| model.compile(AdamW::new().learning_rate(3e-4), "sparse_categorical_crossentropy", []),
        data: text,
        answers: 100,
        many: 32,
    },
    RECOMMENDER,
    Workload {
        name: "recommender-lazy",
        compile: |model| model.compile(LazyAdam::new(), "binary_crossentropy", []),
        ..RECOMMENDER
    },
    Workload {
        name: "resnet20",
        batch: 64,
        samples: 8 * 64,
        network: resnet20,
        compile: |model| {
            model.compile(SGD::new().learning_rate(0.1).momentum(0.9), "sparse_categorical_crossentropy", [])
        },
        data: |count| pictures(count, &[32, 32, 3]),
        answers: 200,
        many: 256,
    },
];

fn mlp() -> Result<Model> {
    Sequential::new(layers![
        Flatten::new().input_shape([28, 28]),
        Dense::new(128).activation(Relu),
        Dropout::new(0.2),
        Dense::new(10).activation(Softmax),
    ])
}

fn cnn() -> Result<Model> {
    Sequential::new(layers![
        Reshape::new([28, 28, 1]).input_shape([28, 28]),
        Conv2D::new(32, 3).activation(Relu),
        MaxPooling2D::new(2),
        Conv2D::new(64, 3).activation(Relu),
        MaxPooling2D::new(2),
        Flatten::new(),
        Dropout::new(0.5),
        Dense::new(10).activation(Softmax),
    ])
}

/// The last state of a recurrence over 80 words.
fn lstm() -> Result<Model> {
    Sequential::new(layers![
        Embedding::new(WORDS, 128).input_shape([80]),
        LSTM::new(128),
        Dense::new(1).activation(Sigmoid),
    ])
}

/// The words of a review.
const WORDS: usize = 20_000;

const STEPS: usize = 128;
const VOCABULARY: usize = 4096;

/// A language model: four blocks of causal attention with eight heads, of width 256.
fn gpt() -> Result<Model> {
    const WIDTH: usize = 256;
    let tokens = Input::new([STEPS]).symbol();
    let mut x = Positions::default().on(&Embedding::new(VOCABULARY, WIDTH).on(&tokens));
    for _ in 0..4 {
        let h = LayerNormalization::new().on(&x);
        x = &x + &MultiHeadAttention::new(8, WIDTH / 8).use_causal_mask(true).on([&h, &h]);
        let h = Dense::new(4 * WIDTH).activation("gelu").on(&LayerNormalization::new().on(&x));
        x = &x + &Dense::new(WIDTH).on(&h);
    }
    let x = LayerNormalization::new().on(&x);
    Functional::new(&tokens, &Dense::new(VOCABULARY).use_bias(false).activation(Softmax).on(&x))
}

/// `y = x + positions`, a learned vector for each step.
#[derive(Clone, Debug, Default)]
struct Positions {
    common: nn::Common,
}

impl Layer for Positions {
    fn common(&self) -> &nn::Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut nn::Common {
        &mut self.common
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<nn::WeightSpec>, nn::Error> {
        Ok(vec![nn::WeightSpec::new("positions", input, Initializer::random_uniform())])
    }

    fn call(&self, cx: &mut nn::Call<'_>, x: nn::Masked) -> nn::Masked {
        x.with(cx.graph.add(x.value, cx.weights[0]))
    }
}

/// A user and an item, each an embedding, and two layers on both.
fn recommender() -> Result<Model> {
    let (user, item) = (Input::new(()).name("user").symbol(), Input::new(()).name("item").symbol());
    let both = Concatenate::new().on([&Embedding::new(USERS, 64).on(&user), &Embedding::new(ITEMS, 64).on(&item)]);
    let hidden = Dense::new(64).activation(Relu).on(&Dense::new(128).activation(Relu).on(&both));
    Functional::new([&user, &item], &Dense::new(1).activation(Sigmoid).on(&hidden))
}

const USERS: usize = 10_000;
const ITEMS: usize = 5_000;

/// Nine residual blocks of two convolutions, at three sizes.
fn resnet20() -> Result<Model> {
    let convolved = |x: &Symbol, filters: usize, size: usize, stride: usize| {
        let y = Conv2D::new(filters, size).strides(stride).padding("same").use_bias(false).on(x);
        BatchNormalization::new().on(&y)
    };
    let input = Input::new([32, 32, 3]).symbol();
    let mut x = ReLU::new().on(&convolved(&input, 16, 3, 1));
    for (filters, stride) in [(16, 1), (32, 2), (64, 2)] {
        for stride in [stride, 1, 1] {
            let y = ReLU::new().on(&convolved(&x, filters, 3, stride));
            let y = convolved(&y, filters, 3, 1);
            let kept = if stride == 1 { x } else { convolved(&x, filters, 1, stride) };
            x = ReLU::new().on(&(&y + &kept));
        }
    }
    Functional::new(&input, &Dense::new(10).activation(Softmax).on(&GlobalAveragePooling2D::new().on(&x)))
}

/// Numbers without order, the same in every run.
fn random() -> Philox {
    Philox::new(RandomKey::new(1))
}

/// So many random indices below a limit, in samples of a shape.
fn indices(rng: &mut Philox, count: usize, sample: &[usize], limit: usize) -> Result<Samples> {
    let len = count * sample.iter().product::<usize>();
    let values = (0..len).map(|_| rng.below(limit as u32) as i32).collect::<Vec<i32>>();
    Ok(Tensor::new([&[count], sample].concat(), values)?.into())
}

/// Random words, and whether somebody liked them.
fn reviews(count: usize) -> Result<(Vec<Samples>, Samples)> {
    let rng = &mut random();
    Ok((vec![indices(rng, count, &[80], WORDS)?], indices(rng, count, &[1], 2)?))
}

/// Random users and items, and whether they met.
fn clicks(count: usize) -> Result<(Vec<Samples>, Samples)> {
    let rng = &mut random();
    let x = vec![indices(rng, count, &[], USERS)?, indices(rng, count, &[], ITEMS)?];
    Ok((x, indices(rng, count, &[1], 2)?))
}

/// Random tokens, and as labels others.
fn text(count: usize) -> Result<(Vec<Samples>, Samples)> {
    let rng = &mut random();
    Ok((vec![indices(rng, count, &[STEPS], VOCABULARY)?], indices(rng, count, &[STEPS], VOCABULARY)?))
}

/// Random bytes as pictures, random classes as labels.
fn pictures(count: usize, shape: &[usize]) -> Result<(Vec<Samples>, Samples)> {
    let rng = &mut random();
    let len = count * shape.iter().product::<usize>();
    let pixels: Vec<u8> = (0..len.div_ceil(4)).flat_map(|_| rng.word().to_le_bytes()).take(len).collect();
    let labels: Vec<u8> = (0..count).map(|_| rng.below(10) as u8).collect();
    let x = Samples::from(Tensor::new([&[count], shape].concat(), pixels)?) / 255.0;
    Ok((vec![x], Samples::from(Tensor::new([count], labels)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_takes_a_step() {
        for workload in WORKLOADS {
            let (x, y) = (workload.data)(2).unwrap();
            let mut model = (workload.network)().unwrap();
            (workload.compile)(&mut model).unwrap();
            let loss = model.train_on_batch(x, &y).unwrap().iter().find(|(name, _)| name == "loss").unwrap().1;
            assert!(loss.is_finite(), "{}", workload.name);
        }
    }
}
