//! What neurons, losses and networks look like.

use crate::data::{Pair, checkers, rows, samples, spirals};
use crate::plot::{Axis, COLORS, Panel, Point, Svg, legend, ramp, stroke};
use footlight::nn::Loss;
use footlight::prelude::*;

/// Evenly spaced numbers from `low` to `high`.
fn spaced(low: f64, high: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| low + (high - low) * i as f64 / (count - 1) as f64).collect()
}

/// A function on numbers that a model of one layer computes.
fn curve(layer: impl Layer + 'static, inputs: &[f64]) -> Result<Vec<Point>> {
    let mut model = Sequential::new(layers![layer])?;
    let outputs = model.predict(&rows(1, inputs.iter().map(|x| *x as f32).collect())?)?.to_f64();
    Ok(inputs.iter().copied().zip(outputs).collect())
}

pub fn activations() -> Result<String> {
    let mut svg = Svg::new(720.0, 300.0);
    let groups = [["linear", "relu", "leaky_relu", "elu"], ["sigmoid", "tanh", "gelu", "softplus"]];
    for (index, names) in groups.iter().enumerate() {
        let left = 50.0 + 350.0 * index as f64;
        let (x, y) = (Axis::linear(-4.0, 4.0), Axis::linear(-1.5, 4.0));
        let panel = Panel { left, top: 30.0, width: 300.0, height: 220.0, x, y };
        panel.axes(&mut svg, ["Straight pieces, and elu", "Smooth curves"][index], "z", "");
        for (name, color) in names.iter().zip(COLORS) {
            let points = curve(ActivationLayer::new(*name), &spaced(-4.0, 4.0, 81))?;
            panel.line(&mut svg, &points, &stroke(color, *name == "linear"));
        }
        let entries: Vec<_> =
            names.iter().zip(COLORS).map(|(name, color)| (*name, stroke(color, *name == "linear"))).collect();
        legend(&mut svg, (left + 12.0, 48.0), &entries);
    }
    Ok(svg.finish())
}

/// Trains on points and draws where the model sees which class, with the points and the accuracy on them.
fn decision(
    svg: &mut Svg,
    (left, size): (f64, f64),
    title: &str,
    points: &[([f32; 2], f32)],
    layers: Vec<Box<dyn Layer>>,
    epochs: usize,
) -> Result<()> {
    const CELLS: usize = 50;
    const LEVELS: usize = 9;
    let (x, y): Pair = samples(points)?;
    let mut model = Sequential::new(layers)?.seed(4);
    model.compile(Adam::new().learning_rate(0.01), "binary_crossentropy", ["accuracy"])?;
    model.fit(&x, &y, Fit::new().epochs(epochs).batch_size(16).progress(Progress::None))?;
    let accuracy = model.evaluate(&x, &y)?.accuracy();
    let panel =
        Panel { left, top: 48.0, width: size, height: size, x: Axis::linear(-1.0, 1.0), y: Axis::linear(-1.0, 1.0) };
    let at = |i: usize| 2.0 * (i as f32 + 0.5) / CELLS as f32 - 1.0;
    let cells = (0..CELLS * CELLS).flat_map(|i| [at(i % CELLS), at(i / CELLS)]).collect();
    let probabilities = model.predict(&rows(2, cells)?)?.to_f64();
    let levels: Vec<usize> = probabilities.iter().map(|p| ((p * LEVELS as f64) as usize).min(LEVELS - 1)).collect();
    panel.map(svg, &levels, CELLS, &ramp([240.0, 150.0, 90.0], [90.0, 160.0, 215.0], LEVELS));
    for (class, color) in [(0.0, COLORS[1]), (1.0, COLORS[0])] {
        let of_class = points.iter().filter(|(_, known)| *known == class);
        let places: Vec<Point> = of_class.map(|([x, y], _)| (f64::from(*x), f64::from(*y))).collect();
        panel.dots(svg, &places, 3.0, &format!("fill=\"{color}\" stroke=\"white\" stroke-width=\"0.8\""));
    }
    svg.words((left, 20.0), "font-weight=\"bold\"", title);
    let parameters: usize =
        model.architecture().weights().iter().map(|weight| weight.spec.shape.iter().product::<usize>()).sum();
    svg.words((left, 38.0), "fill=\"#555\"", &format!("{parameters} parameters, {:.0} % right", 100.0 * accuracy));
    Ok(())
}

pub fn neuron() -> Result<String> {
    let mut svg = Svg::new(720.0, 350.0);
    let points = checkers(160);
    let one = layers![Dense::new(1).activation(Sigmoid)];
    decision(&mut svg, (60.0, 280.0), "One neuron", &points, one, 200)?;
    let eight = layers![Dense::new(8).activation(Tanh), Dense::new(1).activation(Sigmoid)];
    decision(&mut svg, (380.0, 280.0), "A hidden layer of 8, then one neuron", &points, eight, 200)?;
    Ok(svg.finish())
}

pub fn depth() -> Result<String> {
    let mut svg = Svg::new(720.0, 285.0);
    let points = spirals(160);
    let hidden = |units: usize| Dense::new(units).activation(Relu).kernel_initializer("he_normal");
    let output = || Dense::new(1).activation(Sigmoid);
    decision(&mut svg, (15.0, 220.0), "No hidden layer", &points, layers![output()], 400)?;
    let wide = layers![hidden(8), output()];
    decision(&mut svg, (250.0, 220.0), "One hidden layer of 8", &points, wide, 400)?;
    let deep = layers![hidden(16), hidden(16), hidden(16), output()];
    decision(&mut svg, (485.0, 220.0), "Three hidden layers of 16", &points, deep, 400)?;
    Ok(svg.finish())
}

/// The loss of each prediction for a target of 1, as `evaluate` tells it.
fn loss_curve(layer: impl Layer + 'static, loss: Loss, inputs: &[f64]) -> Result<Vec<Point>> {
    let mut model = Sequential::new(layers![layer])?;
    model.compile("sgd", loss, [])?;
    let one = rows(1, vec![1.0])?;
    let each = |x: &f64| Ok((*x, model.evaluate(&rows(1, vec![*x as f32])?, &one)?.loss()));
    inputs.iter().map(each).collect()
}

pub fn losses() -> Result<String> {
    let mut svg = Svg::new(720.0, 310.0);
    let (top, width, height) = (30.0, 290.0, 225.0);
    let y = Axis::linear(0.0, 5.0);
    let left = Panel { left: 55.0, top, width, height, x: Axis::linear(0.0, 1.0), y };
    left.axes(&mut svg, "Of a probability p, target 1", "p", "loss");
    let linear = || ActivationLayer::new("linear");
    let probabilities = [spaced(0.007, 0.05, 15), spaced(0.06, 1.0, 48)].concat();
    let names = ["binary_crossentropy", "mae", "mse"];
    let styles: Vec<String> = COLORS.iter().map(|color| stroke(color, false)).collect();
    for (name, style) in names.iter().zip(&styles) {
        left.line(&mut svg, &loss_curve(linear(), Loss::from(*name), &probabilities)?, style);
    }
    let entry = |index: usize| (names[index], styles[index].clone());
    legend(&mut svg, (160.0, 48.0), &[entry(0), entry(1), entry(2)]);
    let right = Panel { left: 410.0, top, width, height, x: Axis::linear(-5.0, 5.0), y };
    right.axes(&mut svg, "Of the logit z behind it, p = sigmoid(z)", "z", "loss");
    let logits = spaced(-5.0, 5.0, 61);
    right.line(&mut svg, &loss_curve(linear(), BinaryCrossentropy::from_logits(), &logits)?, &styles[0]);
    right.line(&mut svg, &loss_curve(ActivationLayer::new("sigmoid"), MeanSquaredError::new(), &logits)?, &styles[2]);
    legend(&mut svg, (515.0, 48.0), &[entry(0), entry(2)]);
    Ok(svg.finish())
}
