//! How hard the generated digits are: too hard for a linear model, easy for the article's.

use footlight::data::{Dataset, LoadOptions, load};
use footlight::prelude::*;

fn digits() -> Dataset {
    load(Some("digits"), &LoadOptions::default(), &mut std::io::sink()).unwrap()
}

/// The accuracy on test digits of a model trained on the others.
fn accuracy(mut model: Model, optimizer: Adam, fit: Fit<'_>) -> f64 {
    let set = digits();
    let (x_train, x_test) = (set.x_train / 255.0, set.x_test / 255.0);
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
    model.fit(&x_train, &set.y_train, fit.progress(Progress::None)).unwrap();
    model.evaluate(&x_test, &set.y_test).unwrap().accuracy()
}

#[test]
fn a_linear_model_stays_under_92_percent() {
    let linear = Sequential::new(layers![Flatten::new().input_shape([28, 28]), Dense::new(10).activation(Softmax)]);
    let fit = Fit::new().epochs(10).batch_size(1024);
    let accuracy = accuracy(linear.unwrap(), Adam::new().learning_rate(0.01), fit);
    // It learned what there is for it: another ten epochs give half a percent.
    assert!((0.87..0.92).contains(&accuracy), "{accuracy}");
}

#[test]
fn the_articles_model_passes_96_percent() {
    let article = Sequential::new(layers![
        Flatten::new().input_shape([28, 28]),
        Dense::new(128).activation(Relu),
        Dropout::new(0.2),
        Dense::new(10).activation(Softmax),
    ]);
    let accuracy = accuracy(article.unwrap(), Adam::new(), Fit::new().epochs(5).batch_size(128));
    assert!(accuracy > 0.96, "{accuracy}");
}
