//! The guide, so that its programs are run as documentation tests.

macro_rules! chapters {
    ($($english:ident, $chinese:ident: $file:literal;)*) => {$(
        #[doc = include_str!(concat!("../../../docs/guide/en/", $file))]
        mod $english {}
        #[doc = include_str!(concat!("../../../docs/guide/zh/", $file))]
        mod $chinese {}
    )*};
}

chapters! {
    first_training_en, first_training_zh: "01-first-training.md";
    networks_en, networks_zh: "02-networks.md";
    losses_en, losses_zh: "03-losses.md";
    gradient_descent_en, gradient_descent_zh: "04-gradient-descent.md";
    back_propagation_en, back_propagation_zh: "05-back-propagation.md";
    deep_networks_en, deep_networks_zh: "06-deep-networks.md";
    choosing_en, choosing_zh: "07-choosing.md";
    overfitting_en, overfitting_zh: "08-overfitting.md";
    saving_en, saving_zh: "09-saving.md";
    from_keras_en, from_keras_zh: "10-from-keras.md";
    texts_en, texts_zh: "11-texts.md";
}
