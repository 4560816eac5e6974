//! Models asked for what cannot be done: what is said of each, word for word.

use common::{check, told};
use footlight::nn::Loss;
use footlight::prelude::*;
use footlight::tensor::Data;

mod common;

fn samples(shape: &[usize], data: impl Into<Data>) -> Samples {
    Samples::from(Tensor::new(shape, data).unwrap())
}

/// `count` samples of four numbers.
fn x(count: usize) -> Samples {
    samples(&[count, 4], vec![0.5f32; count * 4])
}

/// As [`x`], with `number` as element 2 of sample 3.
fn x_with(number: f32) -> Samples {
    let mut numbers = vec![0.5f32; 40];
    numbers[14] = number;
    samples(&[10, 4], numbers)
}

/// `count` labels 0, 1, 2, 0, 1 and so on.
fn y(count: usize) -> Samples {
    samples(&[count], (0..count).map(|i| (i % 3) as u8).collect::<Vec<_>>())
}

fn one_hot(count: usize) -> Samples {
    samples(&[count, 3], (0..count * 3).map(|i| if i % 3 == 0 { 1.0f32 } else { 0.0 }).collect::<Vec<_>>())
}

/// A model that tells four numbers in three classes.
fn model(loss: &str) -> Model {
    let layers = layers![Dense::new(5).activation(Relu).input_shape([4]), Dense::new(3).activation(Softmax)];
    let mut model = Sequential::new(layers).unwrap();
    model.compile("adam", loss, ["accuracy"]).unwrap();
    model
}

fn classifier() -> Model {
    model("sparse_categorical_crossentropy")
}

fn quiet() -> Fit<'static> {
    Fit::new().progress(Progress::None)
}

fn outcome<T>(result: Result<T>) -> String {
    result.map_or_else(|error| told(&error), |_| "done".into())
}

fn fit(x: &Samples, y: &Samples) -> String {
    outcome(classifier().fit(x, y, quiet()))
}

#[test]
fn data_that_do_not_fit() {
    let empty = (samples(&[0, 4], Vec::<f32>::new()), samples(&[0], Vec::<u8>::new()));
    let fractions = samples(&[10], vec![0.0f32, 1.0, 0.5, 2.0, 0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    let negative = samples(&[10], vec![0i32, 1, 2, -1, 0, 1, 2, 0, 1, 2]);
    let cases = [
        ("x and y of different lengths", fit(&x(10), &y(9))),
        ("x and y of different lengths under a split", {
            outcome(classifier().fit(&x(10), &y(12), quiet().validation_split(0.2)))
        }),
        ("no samples", fit(&empty.0, &empty.1)),
        ("samples of another shape", fit(&samples(&[10, 5], vec![0.5f32; 50]), &y(10))),
        ("samples of another rank", fit(&samples(&[10, 2, 2], vec![0.5f32; 40]), &y(10))),
        ("samples with an empty axis", {
            let mut model = Sequential::new(layers![Dense::new(3)]).unwrap();
            model.compile("adam", "mse", []).unwrap();
            outcome(model.fit(&samples(&[2, 0], Vec::<f32>::new()), &y(2), quiet()))
        }),
        ("a label the model has no unit for", fit(&x(10), &samples(&[10], vec![0u8, 1, 2, 0, 1, 2, 0, 7, 1, 2]))),
        ("a negative label", fit(&x(10), &negative)),
        ("labels that are fractions", fit(&x(10), &fractions)),
        ("labels that are NaN", fit(&x(2), &samples(&[2], vec![1.0f32, f32::NAN]))),
        ("one-hot targets for a sparse loss", fit(&x(10), &one_hot(10))),
        ("labels for a one-hot loss", outcome(model("categorical_crossentropy").fit(&x(10), &y(10), quiet()))),
        ("labels of three classes for a binary loss", {
            let mut model = Sequential::new(layers![Dense::new(1).activation(Sigmoid).input_shape([4])]).unwrap();
            model.compile("adam", "binary_crossentropy", ["accuracy"]).unwrap();
            outcome(model.fit(&x(10), &y(10), quiet()))
        }),
        ("an index beyond the vocabulary", {
            let layers = layers![Embedding::new(6, 2), Flatten::new(), Dense::new(3).activation("softmax")];
            let mut model = Sequential::new(layers).unwrap();
            model.compile("adam", "sparse_categorical_crossentropy", []).unwrap();
            outcome(model.fit(&samples(&[2, 3], vec![0u8, 5, 1, 2, 6, 3]), &y(2), quiet()))
        }),
        ("NaN", fit(&x_with(f32::NAN), &y(10))),
        ("an infinity", fit(&x_with(f32::NEG_INFINITY), &y(10))),
        ("a double beyond all floats", {
            fit(&samples(&[2, 4], vec![0.0f64, 1.0, 2.0, 3.0, 4.0, 5.0, 1e300, 7.0]), &y(2))
        }),
        ("a double that is NaN", fit(&samples(&[1, 4], vec![0.0f64, f64::NAN, 2.0, 3.0]), &y(1))),
        ("a number that is scaled beyond all floats", fit(&(x_with(3e38) * 10.0), &y(10))),
        ("a division by 0", fit(&(x(10) / 0.0), &y(10))),
        ("validation data of different lengths", {
            outcome(classifier().fit(&x(10), &y(10), quiet().validation_data(&x(4), &y(3))))
        }),
        ("validation data of another shape", {
            let other = samples(&[4, 5], vec![0.5f32; 20]);
            outcome(classifier().fit(&x(10), &y(10), quiet().validation_data(&other, &y(4))))
        }),
        ("an evaluation of different lengths", outcome(classifier().evaluate(&x(10), &y(9)))),
        ("an evaluation of nothing", outcome(classifier().evaluate(&empty.0, &empty.1))),
        ("a prediction from NaN", outcome(classifier().predict(&x_with(f32::NAN)))),
        ("a prediction from another shape", outcome(classifier().predict(&samples(&[1, 3], vec![0.5f32; 3])))),
    ];
    check(&cases, DATA);
}

const DATA: &str = r"
x and y of different lengths
error[data]: x has 10 samples, y has 9
  help: every sample needs one target: check how they were split

x and y of different lengths under a split
error[data]: x has 10 samples, y has 12
  help: every sample needs one target: check how they were split

no samples
error[data]: x has shape [0, 4], there is nothing in it
  help: check where the samples come from and how they were filtered

samples of another shape
error[shape]: model `sequential`: samples have shape [5], the model was built for [4]
  help: reshape the data, or describe a new model

samples of another rank
error[shape]: model `sequential`: samples have shape [2, 2], the model was built for [4]
  help: reshape the data, or describe a new model

samples with an empty axis
error[data]: x has shape [2, 0], there is nothing in it
  help: check where the samples come from and how they were filtered

a label the model has no unit for
error[data]: y: sample 7 has label 7, legal are 0 to 2
  the model's last layer has 3 units
  help: give the last layer 8 units, or correct the labels

a negative label
error[data]: y: sample 3 has label -1, legal are 0 to 2
  the model's last layer has 3 units
  help: number the classes from 0

labels that are fractions
error[data]: y: sample 2 has label 0.5, loss `sparse_categorical_crossentropy` expects whole numbers
  help: for one-hot targets use categorical_crossentropy

labels that are NaN
error[numeric]: y: sample 1 holds NaN at element 0
  help: remove such samples, or fill the gaps

one-hot targets for a sparse loss
error[shape]: targets of one sample have shape [3], loss `sparse_categorical_crossentropy` expects []
  the model predicts [3] for each sample
  help: for one-hot targets use categorical_crossentropy

labels for a one-hot loss
error[shape]: targets of one sample have shape [], loss `categorical_crossentropy` expects [3]
  the model predicts [3] for each sample
  help: for integer classes use sparse_categorical_crossentropy

labels of three classes for a binary loss
error[data]: y: sample 2 has target 2, loss `binary_crossentropy` expects 0 to 1
  help: for more than two classes use sparse_categorical_crossentropy

an index beyond the vocabulary
error[data]: x: sample 1 holds 6, layer `embedding` takes indices from 0 to 5
  help: number what it stands for from 0, or give the layer a larger input_dim

NaN
error[numeric]: x: sample 3 holds NaN at element 2
  help: remove such samples, or fill the gaps

an infinity
error[numeric]: x: sample 3 holds -inf at element 2
  help: remove such samples, or fill the gaps

a double beyond all floats
error[numeric]: x: sample 1 holds 1.000e300 at element 2, which becomes inf as float32
  help: scale the numbers to about -1 to 1

a double that is NaN
error[numeric]: x: sample 0 holds NaN at element 1
  help: remove such samples, or fill the gaps

a number that is scaled beyond all floats
error[numeric]: x: sample 3 holds 3.000e38 at element 2, which becomes inf as float32
  help: scale the numbers to about -1 to 1

a division by 0
error[numeric]: x: every number is multiplied by inf and moved by NaN
  help: a division by 0 does that; divide by another number, such as 255

validation data of different lengths
error[data]: validation data: x has 4 samples, y has 3
  help: every sample needs one target: check how they were split

validation data of another shape
error[shape]: validation data: model `sequential`: samples have shape [5], the model was built for [4]
  help: reshape the data, or describe a new model

an evaluation of different lengths
error[data]: x has 10 samples, y has 9
  help: every sample needs one target: check how they were split

an evaluation of nothing
error[data]: x has shape [0, 4], there is nothing in it
  help: check where the samples come from and how they were filtered

a prediction from NaN
error[numeric]: x: sample 3 holds NaN at element 2
  help: remove such samples, or fill the gaps

a prediction from another shape
error[shape]: model `sequential`: samples have shape [3], the model was built for [4]
  help: reshape the data, or describe a new model
";

#[test]
fn settings_that_are_out_of_range() {
    let fit = |options: Fit<'_>| outcome(classifier().fit(&x(10), &y(10), options.progress(Progress::None)));
    let cases = [
        ("batches of 0", fit(Fit::new().batch_size(0))),
        ("no epochs", fit(Fit::new().epochs(0))),
        ("epochs without steps", fit(Fit::new().steps_per_epoch(0))),
        ("validation every 0 epochs", fit(Fit::new().validation_freq(0))),
        ("a split of 1", fit(Fit::new().validation_split(1.0))),
        ("a split below 0", fit(Fit::new().validation_split(-0.1))),
        ("a split that is NaN", fit(Fit::new().validation_split(f64::NAN))),
        ("a split that leaves nothing to learn from", fit(Fit::new().validation_split(0.99))),
    ];
    check(&cases, SETTINGS);
}

const SETTINGS: &str = r"
batches of 0
error[config]: batch_size = 0, a step needs at least one sample
  help: 32 is the default

no epochs
error[config]: epochs = 0, nothing would be trained
  help: 1 is the default

epochs without steps
error[config]: steps_per_epoch = 0, at least 1 is needed
  help: leave it out for the default

validation every 0 epochs
error[config]: validation_freq = 0, at least 1 is needed
  help: leave it out for the default

a split of 1
error[config]: validation_split = 1 must be in [0, 1)
  help: it is the fraction of samples kept for validation, such as 0.1

a split below 0
error[config]: validation_split = -0.1 must be in [0, 1)
  help: it is the fraction of samples kept for validation, such as 0.1

a split that is NaN
error[config]: validation_split = NaN must be in [0, 1)
  help: it is the fraction of samples kept for validation, such as 0.1

a split that leaves nothing to learn from
error[config]: validation_split = 0.99 of 10 samples leaves one side empty
  help: choose another fraction, or give more samples
";

#[test]
fn names_that_are_not_known() {
    let dense = |activation: &str| layers![Dense::new(3).activation(activation).input_shape([4])];
    let compile = |optimizer: &str, loss: &str, metric: &str| {
        outcome(Sequential::new(dense("relu")).unwrap().compile(optimizer, loss, [metric]))
    };
    let cases = [
        ("an optimizer", compile("adm", "mse", "accuracy")),
        ("a loss", compile("adam", "mean_square_error", "accuracy")),
        ("a metric", compile("adam", "mse", "acuracy")),
        ("an optimizer, a loss and a metric", compile("adm", "mean_square_error", "acuracy")),
        ("an activation", outcome(Sequential::new(dense("rellu")))),
        (
            "a loss by value",
            outcome({
                let mut model = Sequential::new(dense("relu")).unwrap();
                model.compile("adam", Loss::from("hingee"), [])
            }),
        ),
    ];
    check(&cases, NAMES);
}

const NAMES: &str = r"
an optimizer
error[config]: unknown optimizer `adm`
  known: sgd, rmsprop, adam, adamw, adadelta, adagrad, adamax, adafactor, nadam, ftrl, lion, lamb, lazyadam
  help: did you mean `adam`?

a loss
error[config]: unknown loss `mean_square_error`
  known: mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, mean_squared_logarithmic_error, huber, log_cosh, cosine_similarity, binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy, categorical_focal_crossentropy, sparse_categorical_crossentropy, categorical_generalized_cross_entropy, kl_divergence, poisson, hinge, squared_hinge, categorical_hinge, dice, tversky
  help: did you mean `mean_squared_error`?

a metric
error[config]: unknown metric `acuracy`
  near: accuracy
  all 42: `footlight schema`, or the documentation of `footlight_nn::metrics`
  help: did you mean `accuracy`?

an optimizer, a loss and a metric
error[config]: unknown optimizer `adm`
  known: sgd, rmsprop, adam, adamw, adadelta, adagrad, adamax, adafactor, nadam, ftrl, lion, lamb, lazyadam
unknown loss `mean_square_error`
  known: mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, mean_squared_logarithmic_error, huber, log_cosh, cosine_similarity, binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy, categorical_focal_crossentropy, sparse_categorical_crossentropy, categorical_generalized_cross_entropy, kl_divergence, poisson, hinge, squared_hinge, categorical_hinge, dice, tversky
unknown metric `acuracy`
  near: accuracy
  all 42: `footlight schema`, or the documentation of `footlight_nn::metrics`
  help: did you mean `adam`?

an activation
error[config]: layer `dense` (Dense): unknown activation `rellu`
  known: linear, relu, sigmoid, tanh, softmax, gelu, silu, swish, elu, leaky_relu, softplus, relu6, selu, celu, glu, mish, exponential, log_sigmoid, log_softmax, hard_sigmoid, hard_silu, hard_swish, hard_tanh, hard_shrink, soft_shrink, tanh_shrink, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus, threshold
  help: did you mean `relu`?

a loss by value
error[config]: unknown loss `hingee`
  known: mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, mean_squared_logarithmic_error, huber, log_cosh, cosine_similarity, binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy, categorical_focal_crossentropy, sparse_categorical_crossentropy, categorical_generalized_cross_entropy, kl_divergence, poisson, hinge, squared_hinge, categorical_hinge, dice, tversky
  help: did you mean `hinge`?
";

#[test]
fn models_that_are_not_ready() {
    let uncompiled = || Sequential::new(layers![Dense::new(3).input_shape([4])]).unwrap();
    let cases = [
        ("trained before it is compiled", outcome(uncompiled().fit(&x(10), &y(10), quiet()))),
        ("measured before it is compiled", outcome(uncompiled().evaluate(&x(10), &y(10)))),
        (
            "layers that do not fit",
            outcome(Sequential::new(layers![Reshape::new([3]).input_shape([4]), Dense::new(2)])),
        ),
    ];
    check(&cases, UNREADY);
}

const UNREADY: &str = r#"
trained before it is compiled
error[invalid]: the model is not compiled
  help: call compile("adam", loss, ["accuracy"]) first

measured before it is compiled
error[invalid]: the model is not compiled
  help: call compile("adam", loss, ["accuracy"]) first

layers that do not fit
error[shape]: layer `reshape` (Reshape): samples of shape [4] (4 elements) cannot take shape [3]
  help: at most one extent may be -1
"#;

#[test]
fn losses_that_are_no_numbers() {
    let train = |learning_rate: f32, loss: &str, y: &Samples| {
        let mut model =
            Sequential::new(layers![Dense::new(3).input_shape([4]), ActivationLayer::new(Softmax)]).unwrap();
        model.compile(SGD::new().learning_rate(learning_rate), loss, []).unwrap();
        outcome(model.fit(&x(10), y, quiet().epochs(3).batch_size(4).shuffle(false)))
    };
    let cases = [
        ("a learning rate beyond reason", train(3e38, "sparse_categorical_crossentropy", &y(10))),
        ("targets whose squares overflow", train(0.01, "mse", &samples(&[10, 3], vec![1e30f32; 30]))),
    ];
    check(&cases, LOSSES);
}

const LOSSES: &str = r"
a learning rate beyond reason
error[numeric]: the loss became inf at epoch 1, step 2
  first: inf from op `reduce_sum` in `loss`
  its inputs ranged over: 0.0000e0 to 1.2832e38
  help: lower the learning rate, or scale the inputs to about -1 to 1

targets whose squares overflow
error[numeric]: the loss became inf at epoch 1, step 1
  first: inf from op `mul` in `loss`
  its inputs ranged over: -1.0000e30 to -1.0000e30
  help: lower the learning rate, or scale the inputs to about -1 to 1
";

#[test]
fn a_refusal_leaves_the_model_as_it_was() {
    let mut model = Sequential::new(layers![Dense::new(3).activation(Softmax)]).unwrap();
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
    assert!(model.fit(&samples(&[10, 7], vec![0.5f32; 70]), &y(9), quiet()).is_err());
    model.fit(&x(10), &y(10), quiet()).unwrap();
}
