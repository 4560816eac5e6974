//! Every error message of a model's description, as a person reads it: `messages.txt` beside this file.
//!
//! `FOOTLIGHT_UPDATE=1 cargo test -p footlight-nn` writes the file anew, to be reviewed as prose.

use footlight_nn::{
    ActivationLayer, AdditiveAttention, AlphaDropout, Architecture, Attention, BatchNormalization, Compile,
    CosineDecay, Cropping1D, Dense, Dropout, EinsumDense, Embedding, Error, Flatten, GaussianNoise, GroupNormalization,
    GroupQueryAttention, Input, L2, Layer, Loss, Masking, Metric, MultiHeadAttention, Normalization, Permute,
    PiecewiseConstantDecay, RMSNormalization, RepeatVector, Rescaling, Reshape, SGD, SoftmaxLayer, UnitNormalization,
    UpSampling1D, ZeroPadding2D, layers, losses, optimizers,
};
use footlight_tensor::Tensor;
use serde_json::{Value as Json, json};
use std::path::Path;

/// Collects messages under what was done.
#[derive(Default)]
struct Messages(String);

impl Messages {
    fn add<T>(&mut self, what: &str, got: Result<T, Error>) {
        let message = match got {
            Ok(_) => "no error".to_string(),
            Err(error) => format!("error[{}]: {error}", error.kind().name()),
        };
        self.0 += &format!("# {what}\n{message}\n\n");
    }
}

fn model(layers: Vec<Box<dyn Layer>>) -> Result<Architecture, Error> {
    Architecture::sequential(layers)
}

fn shapes(all: &mut Messages) {
    let built = |layers| model(layers).and_then(|mut model| model.build(&[4]));
    all.add("reshape that does not fit", model(layers![Reshape::new([4, -1]).input_shape([2, 3])]));
    all.add("reshape with two open extents", model(layers![Reshape::new([-1, -1]).input_shape([2, 3])]));
    all.add("dense on single numbers", model(layers![Dense::new(2).input_shape([])]));
    all.add("an empty axis", model(layers![Dense::new(2).input_shape([3, 0])]));
    all.add("an input in the middle", built(layers![Dense::new(2), Input::new([3])]));
    all.add("another shape than built for", built(layers![Dense::new(2).input_shape([3])]));
    all.add("lowered before it is built", model(layers![Dense::new(2)]).and_then(|m| m.lower_infer(1)));
    for (loss, target) in
        [("mse", vec![]), ("categorical_crossentropy", vec![]), ("sparse_categorical_crossentropy", vec![10])]
    {
        let error = losses::target_mismatch(&Loss::from(loss), &target, &[10]);
        all.add(&format!("targets {target:?} for {loss}"), Err::<(), _>(error));
    }
}

/// A metric whose targets are not those of the loss.
fn metrics(all: &mut Messages) {
    let model = model(layers![Dense::new(3).input_shape([2])]).unwrap();
    let metrics = vec![Metric::from("sparse_categorical_accuracy")];
    let compile = Compile::new(Box::new(SGD::new()), Loss::from("mse"), metrics).unwrap();
    all.add("a metric of classes for a loss of numbers", compile.lower_evaluate(&model, 3));
}

fn settings(all: &mut Messages) {
    all.add("no layer", model(layers![]));
    all.add("no unit", model(layers![Dense::new(0).input_shape([3])]));
    all.add("one name twice", model(layers![Dense::new(1).name("a"), Dense::new(1).name("a")]));
    all.add("a name with a slash", model(layers![Dense::new(1).name("a/b")]));
    let named = |name: &str| Box::new(Dense::new(1).name(name)) as Box<dyn Layer>;
    all.add("several faults of names", model(["a/b", "a", "c", "a/b", "c", "c"].map(named).into()));
    let many = layers![
        Flatten::new().input_shape([2, 2]),
        Dense::new(4).activation("sigmiod"),
        Dense::new(4).kernel_initializer("glorot_unifrom"),
        Dropout::new(15.0),
        BatchNormalization::new(),
    ];
    all.add("several faults", model(many));
    all.add("optimizer adm", optimizers::from_name("adm"));
    all.add("optimizer transformer", optimizers::from_name("transformer"));
    let mut compile = |what: &str, optimizer: SGD, loss: &str, metric: &str| {
        all.add(what, Compile::new(Box::new(optimizer), Loss::from(loss), vec![Metric::from(metric)]));
    };
    compile("a loss misspelt", SGD::new(), "sparse_categorical_crossentrpy", "acc");
    compile("a metric misspelt", SGD::new(), "mse", "acuracy");
    compile("several faults of what a model is trained by", SGD::new().momentum(2.0), "msee", "acuracy");
    compile("a learning rate that is no number", SGD::new().learning_rate(f32::NAN), "mse", "acc");
    compile("a momentum out of range", SGD::new().momentum(2.0), "mse", "acc");
    compile("two ways of clipping", SGD::new().clipnorm(1.0).clipvalue(0.5), "mse", "acc");
    compile("accumulation of one step", SGD::new().gradient_accumulation_steps(1), "mse", "acc");
    compile("a schedule of no step", SGD::new().learning_rate(CosineDecay::new(0.1, 0)), "mse", "acc");
    let piecewise = PiecewiseConstantDecay::new([1, 2], [0.1, 0.01]);
    compile("rates that do not fit their boundaries", SGD::new().learning_rate(piecewise), "mse", "acc");
}

fn files(all: &mut Messages) {
    let mut layer = |class: &str, config: Json| {
        let value = json!({ "module": "keras.layers", "class_name": class, "config": config });
        all.add(&format!("{class} {config}"), layers::from_config(&value));
    };
    use footlight_nn::layers;
    layer("Conv2d", json!({ "name": "conv" }));
    layer("Dense", json!({ "name": "d", "units": "ten" }));
    layer("Dense", json!({ "name": "d", "units": 3, "unit": 3 }));
    layer("Dense", json!({ "name": "d", "units": 3, "kernel_constraint": "maxnorm" }));
    let along = json!({ "class_name": "UnitNorm", "config": { "axis": 1 } });
    layer("Dense", json!({ "name": "d", "units": 3, "activation": { "class_name": "gelu", "config": {} } }));
    layer("LayerNormalization", json!({ "name": "n", "axis": "last" }));
    layer("BatchNormalization", json!({ "name": "n", "axis": [1, 2] }));
    let half = json!({ "class_name": "DTypePolicy", "config": { "name": "mixed_float16" } });
    layer("Flatten", json!({ "name": "f", "dtype": half }));
    layer("Lambda", json!({}));
    all.add("a number for a layer", layers::from_config(&json!(3)));
    let custom = json!({ "module": "mine", "class_name": "Swirl", "config": {}, "registered_name": "art>Swirl" });
    all.add("a class of someone else", layers::from_config(&custom));
    let functional = json!({ "module": "keras.src.models.functional", "class_name": "Functional", "config": {} });
    let input =
        json!({ "module": "keras.layers", "class_name": "InputLayer", "config": { "batch_shape": [null, 3, 4] } });
    let norm = json!({ "module": "keras.layers", "class_name": "BatchNormalization", "config": { "axis": 3 } });
    let sequential = json!({ "class_name": "Sequential", "config": { "layers": [input, norm] } });
    all.add("an axis that is not there", Architecture::from_config(&sequential));
    let dense = json!({ "class_name": "Dense", "config": { "units": 2, "bias_constraint": along } });
    let sequential = json!({ "class_name": "Sequential", "config": { "layers": [input, dense] } });
    all.add("a constraint along an axis that is not there", Architecture::from_config(&sequential));
    let threshold = model(layers![ActivationLayer::new("threshold").input_shape([2])]);
    all.add("a threshold without numbers", threshold);
    all.add("a gate of an odd axis", model(layers![Dense::new(3).activation("glu").input_shape([2])]));
    all.add("a functional model", Architecture::from_config(&functional));
    let mut optimizer = |what: &str, class: &str, config: Json| {
        let value = json!({ "module": "keras.optimizers", "class_name": class, "config": config });
        all.add(what, optimizers::from_config(&value));
    };
    optimizer("a schedule that is not known", "Adam", json!({ "learning_rate": { "class_name": "CosinDecay" } }));
    optimizer("a schedule without its steps", "Adam", json!({ "learning_rate": { "class_name": "CosineDecay" } }));
    optimizer("a learning rate that is a text", "Adam", json!({ "learning_rate": "fast" }));
    optimizer("an optimizer that is not known", "Muon", json!({}));
    optimizer("a key misspelt", "SGD", json!({ "clip_norm": 1.0 }));
    let mut loss = |class: &str, config: Json| {
        let value = json!({ "class_name": class, "config": config });
        all.add(&format!("loss {class} {config}"), Loss::from_config(&value));
    };
    loss("CategoricalCrossentropy", json!({ "label_smoothing": 1.5 }));
    loss("CategoricalCrossentropy", json!({ "axis": 1 }));
    loss("CategoricalGeneralizedCrossEntropy", json!({ "q": 0.0 }));
    loss("CTC", json!({}));
    loss("Huber", json!({ "reduction": "sum" }));
    let mut metric = |what: &str, class: &str, config: Json| {
        all.add(what, Metric::from_config(&json!({ "class_name": class, "config": config })));
    };
    metric("a metric of an unknown class", "MeanRelativeError", json!({ "name": "relative" }));
    metric("a metric without a setting it needs", "PrecisionAtRecall", json!({ "name": "p" }));
    metric("a threshold out of range", "Precision", json!({ "name": "p", "thresholds": [0.5, 2.0] }));
    metric("one threshold", "AUC", json!({ "name": "auc", "num_thresholds": 1 }));
    metric("an unknown curve", "AUC", json!({ "name": "auc", "curve": "rok" }));
    metric("no best class", "TopKCategoricalAccuracy", json!({ "name": "k", "k": 0 }));
    metric("a class that is none", "IoU", json!({ "name": "i", "num_classes": 2, "target_class_ids": [2] }));
}

/// Layers that move, look up or normalise.
fn moving(all: &mut Messages) {
    let mut on = |shape: &[usize], layer: Box<dyn Layer>| {
        let what = format!("{} on {shape:?}", layer.class_name());
        all.add(&what, model(vec![Box::new(Input::new(shape)), layer]));
    };
    let einsum = |equation: &str, output_shape: &[i64]| EinsumDense::new(equation, output_shape);
    on(&[3, 4], Box::new(Permute::new([1, 3])));
    on(&[3, 4, 5], Box::new(Permute::new([2, 1])));
    on(&[3, 4], Box::new(RepeatVector::new(2)));
    on(&[3, 4], Box::new(Cropping1D::new([1, 2])));
    on(&[3, 4], Box::new(ZeroPadding2D::new(1)));
    on(&[3, 4], Box::new(UpSampling1D::new(0)));
    on(&[3], Box::new(Embedding::new(0, 4)));
    on(&[3], Box::new(Embedding::new(20_000_000, 4)));
    on(&[3], Box::new(Masking::new(f32::NAN)));
    on(&[3], Box::new(AlphaDropout::new(1.0)));
    on(&[3], Box::new(GaussianNoise::new(-0.1)));
    on(&[3, 4], Box::new(GroupNormalization::new(0)));
    on(&[3, 4], Box::new(GroupNormalization::new(3)));
    on(&[3, 4], Box::new(UnitNormalization::new().axis(3)));
    on(&[3, 4], Box::new(Rescaling::new([1.0, 2.0])));
    on(&[3, 4], Box::new(Normalization::of(1.0, -1.0)));
    on(&[3, 4], Box::new(Normalization::of([1.0, 2.0], [1.0])));
    on(&[3, 4], Box::new(Normalization::new().axis(0)));
    on(&[3, 4], Box::new(SoftmaxLayer::new().axis(0)));
    on(&[3, 4], Box::new(RMSNormalization::new().axis(1)));
    on(&[3, 4], Box::new(Dropout::new(0.5).noise_shape([None, Some(2), None])));
    on(&[3, 4], Box::new(einsum("abc->abd", &[-1, 2])));
    on(&[3, 4], Box::new(einsum("...bc,cd->abd", &[-1, 2])));
    on(&[3, 4], Box::new(einsum("ab,bc->ac", &[2])));
    on(&[3, 4], Box::new(einsum("abb,bc->abc", &[-1, 2])));
    on(&[3, 4], Box::new(einsum("abc,cd->bad", &[-1, 2])));
    on(&[3, 4], Box::new(einsum("abc,cde->abd", &[-1, 2])));
    on(&[3, 4], Box::new(einsum("abc,cd->abx", &[-1, 2])));
    on(&[3, 4], Box::new(einsum("abc,cd->abd", &[2])));
    on(&[3, 4], Box::new(einsum("abc,cd->abd", &[5, 2])));
    on(&[3, 4], Box::new(einsum("abc,cd->abd", &[-1, -1])));
    on(&[3, 4], Box::new(einsum("abc,cd->abd", &[-1, 2]).bias_axes("c")));
    let mut read = |class: &str, config: Json| {
        let value = json!({ "module": "keras.layers", "class_name": class, "config": config });
        all.add(&format!("{class} {config}"), footlight_nn::layers::from_config(&value));
    };
    read("Cropping2D", json!({ "name": "c", "cropping": [[1, 2]] }));
    read("ZeroPadding1D", json!({ "name": "z", "padding": [1, 2, 3] }));
    read("UpSampling2D", json!({ "name": "u", "interpolation": "cubic" }));
    read("UpSampling2D", json!({ "name": "u", "size": [1, 2, 3] }));
    read("SpatialDropout2D", json!({ "name": "s", "rate": 0.5, "data_format": "channels_first" }));
    read("Normalization", json!({ "name": "n", "mean": 1.0 }));
    read("Rescaling", json!({ "name": "r", "scale": [[1.0], [2.0, 3.0]] }));
    read("AlphaDropout", json!({ "name": "a", "rate": 0.5, "noise_shape": "all" }));
    all.add("nothing to adapt to", Normalization::new().adapt(&Tensor::new([0, 3], Vec::<f32>::new()).unwrap()));
}

/// Layers that attend, and calls of them in files.
fn attending(all: &mut Messages) {
    let mut on = |what: &str, layer: Box<dyn Layer>, shapes: &[&[usize]]| {
        let shapes: Vec<Vec<usize>> = shapes.iter().map(|shape| shape.to_vec()).collect();
        all.add(what, layer.check().and_then(|()| layer.weights_for(&shapes)));
    };
    let heads = || MultiHeadAttention::new(2, 3);
    on("attention to nothing", Box::new(heads()), &[&[3, 4]]);
    on("attention of single vectors", Box::new(heads()), &[&[4], &[4]]);
    on("more keys than values", Box::new(heads()), &[&[3, 4], &[2, 4], &[3, 4]]);
    on("a causal mask of pictures", Box::new(heads().use_causal_mask(true)), &[&[3, 2, 4], &[3, 2, 4]]);
    on("no heads", Box::new(MultiHeadAttention::new(0, 3)), &[&[3, 4], &[3, 4]]);
    on("a window of nothing", Box::new(heads().sliding_window(0)), &[&[3, 4], &[3, 4]]);
    on("more dropped than there is", Box::new(heads().dropout(1.5)), &[&[3, 4], &[3, 4]]);
    on("an output without extents", Box::new(heads().output_features([])), &[&[3, 4], &[3, 4]]);
    let penalised = heads().activity_regularizer(L2::new(0.1)).return_attention_scores(true);
    on("a penalty on attention weights", Box::new(penalised), &[&[3, 4], &[3, 4]]);
    on("groups that do not divide", Box::new(GroupQueryAttention::new(2, 3, 2)), &[&[3, 4], &[3, 4]]);
    on("groups in pictures", Box::new(GroupQueryAttention::new(2, 4, 2)), &[&[3, 2, 4], &[3, 2, 4]]);
    on("a query alone", Box::new(Attention::new()), &[&[3, 4]]);
    on("keys of other features", Box::new(Attention::new()), &[&[3, 4], &[2, 5]]);
    on("vectors", Box::new(AdditiveAttention::new()), &[&[4], &[4]]);
    on("other keys than values", Box::new(AdditiveAttention::new()), &[&[3, 4], &[2, 4], &[3, 4]]);
    let mut read = |class: &str, config: Json| {
        let value = json!({ "module": "keras.layers", "class_name": class, "config": config });
        let layer = footlight_nn::layers::from_config(&value);
        all.add(&format!("{class} {config}"), layer.and_then(|layer| layer.weights_for(&[vec![3, 4], vec![3, 4]])));
    };
    read("Attention", json!({ "name": "a", "score_mode": "dott" }));
    read("MultiHeadAttention", json!({ "name": "m", "num_heads": 2 }));
    read("MultiHeadAttention", json!({ "name": "m", "num_heads": 2, "key_dim": 3, "attention_axes": [2] }));
    let input = |name: &str| {
        let config = json!({ "name": name, "batch_shape": [null, 3, 4] });
        json!({ "class_name": "InputLayer", "config": config, "name": name, "inbound_nodes": [] })
    };
    let x = json!({ "class_name": "__keras_tensor__", "config": { "keras_history": ["x", 0, 0] } });
    let mut called = |what: &str, class: &str, nodes: Json| {
        let config = match class {
            "MultiHeadAttention" => json!({ "name": "attention", "num_heads": 2, "key_dim": 3 }),
            _ => json!({ "name": "attention" }),
        };
        let layer = json!({ "class_name": class, "config": config, "name": "attention", "inbound_nodes": nodes });
        let (inputs, outputs) = (json!([["x", 0, 0]]), json!([["attention", 0, 0]]));
        let config = json!({ "layers": [input("x"), layer], "input_layers": inputs, "output_layers": outputs });
        let model = json!({ "class_name": "Functional", "config": config });
        all.add(&format!("a call {what}"), Architecture::from_config(&model));
    };
    let causal = json!({ "args": [x, x], "kwargs": { "use_causal_mask": true } });
    called("with another setting", "MultiHeadAttention", json!([causal, { "args": [x, x], "kwargs": {} }]));
    called("with a misspelt setting", "MultiHeadAttention", json!([{ "args": [x, x], "kwargs": { "causal": true } }]));
    called("with a number for a flag", "Attention", json!([{ "args": [[x, x]], "kwargs": { "use_causal_mask": 2 } }]));
    called("with a mask by place", "MultiHeadAttention", json!([{ "args": [x, x, null, x], "kwargs": {} }]));
    called("without a value", "MultiHeadAttention", json!([{ "args": [x], "kwargs": { "key": x } }]));
    called("with half a mask", "Attention", json!([{ "args": [[x, x]], "kwargs": { "mask": [null, x] } }]));
}

#[test]
fn messages_read_as_they_were_reviewed() {
    let mut all = Messages::default();
    for part in [shapes, metrics, settings, files, moving, attending] {
        part(&mut all);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keras/messages.txt");
    if std::env::var_os("FOOTLIGHT_UPDATE").is_some() {
        std::fs::write(&path, &all.0).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap();
    let blocks = |text: &str| text.split("\n\n").map(str::to_string).collect::<Vec<_>>();
    for (got, want) in blocks(&all.0).iter().zip(blocks(&want)) {
        assert_eq!(*got, want);
    }
    assert_eq!(all.0, want);
}
