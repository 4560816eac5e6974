//! Gradient descent, step by step.

use crate::data::{Pair, digits, noisy_line, rows};
use crate::plot::{Axis, COLORS, GREY, Panel, Point, Svg, legend, stroke};
use footlight::data::digits::Part;
use footlight::prelude::*;
use footlight::train::{Callback, Training};
use std::time::Duration;

/// Writes down the weights of a line before the first step and after each.
#[derive(Default)]
struct Path(Vec<Point>);

impl Path {
    fn write(&mut self, model: &Model) {
        let number = |name: &str| model.state(name).map_or(f64::NAN, |value| value.to_f64()[0]);
        self.0.push((number("dense/kernel"), number("dense/bias")));
    }
}

impl Callback for Path {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.write(training.model);
        Ok(())
    }

    fn on_batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.write(training.model);
        Ok(())
    }
}

/// Fits a line from weight -1 and bias 1.5; answers the path of the weights and the loss of each epoch.
fn descend((x, y): &Pair, optimizer: SGD, batch: usize, epochs: usize) -> Result<(Vec<Point>, Vec<f64>)> {
    use footlight::nn::Initializer::Constant;
    let line = Dense::new(1).kernel_initializer(Constant(-1.0)).bias_initializer(Constant(1.5));
    let mut model = Sequential::new(layers![line])?;
    model.compile(optimizer, "mse", [])?;
    let mut path = Path::default();
    let fit = Fit::new().epochs(epochs).batch_size(batch).progress(Progress::None).callback(&mut path);
    let losses = model.fit(x, y, fit)?.get("loss").unwrap_or_default().to_vec();
    Ok((path.0, losses))
}

/// The matrix of second derivatives of the mean squared error of a line: `2 [[mean x^2, mean x], [mean x, 1]]`.
fn curvature(x: &Samples) -> [f64; 3] {
    let values = x.to_tensor().to_f64();
    let mean = |f: fn(f64) -> f64| values.iter().map(|x| f(*x)).sum::<f64>() / values.len() as f64;
    [2.0 * mean(|x| x * x), 2.0 * mean(|x| x), 2.0]
}

pub fn descent() -> Result<String> {
    let pair = noisy_line()?;
    let mut svg = Svg::new(720.0, 362.0);
    let left = Panel {
        left: 60.0,
        top: 30.0,
        width: 270.0,
        height: 250.0,
        x: Axis::linear(0.0, 40.0),
        y: Axis::log(0.01, 100.0),
    };
    left.axes(&mut svg, "Loss by step, whole set per step", "step", "loss");
    let [a, b, c] = curvature(&pair.0);
    let largest = (a + c) / 2.0 + (((a - c) / 2.0).powi(2) + b * b).sqrt();
    let bound = 2.0 / largest;
    let mut entries = Vec::new();
    for (fraction, color) in [0.02, 0.2, 0.9, 1.04].into_iter().zip(COLORS) {
        let rate = (fraction * bound * 1000.0).round() / 1000.0;
        let (_, losses) = descend(&pair, SGD::new().learning_rate(rate as f32), 64, 41)?;
        let points: Vec<Point> = losses.iter().enumerate().map(|(step, loss)| (step as f64, *loss)).collect();
        left.line(&mut svg, &points, &stroke(color, false));
        entries.push((format!("learning rate {rate}"), stroke(color, false)));
    }
    let named: Vec<(&str, String)> = entries.iter().map(|(name, style)| (name.as_str(), style.clone())).collect();
    legend(&mut svg, (60.0, 334.0), &named[..2]);
    legend(&mut svg, (212.0, 334.0), &named[2..]);

    let right = Panel {
        left: 410.0,
        top: 30.0,
        width: 290.0,
        height: 250.0,
        x: Axis::linear(-1.5, 3.5),
        y: Axis::linear(-2.5, 2.0),
    };
    right.axes(&mut svg, "The way of the weights", "weight w", "bias b");
    // A level curve is best + sqrt(2 level) L^-T (cos, sin), where the curvature is L L^T.
    let (end, _) = descend(&pair, SGD::new().learning_rate((0.9 * bound) as f32), 64, 400)?;
    let best = *end.last().expect("there is a step");
    let l = [a.sqrt(), b / a.sqrt(), (c - b * b / a).sqrt()];
    for level in [0.1, 0.5, 1.5, 3.0, 5.0, 8.0] {
        let point = |i: usize| {
            let angle = std::f64::consts::TAU * i as f64 / 72.0;
            let size = f64::sqrt(2.0 * level);
            let v = size * angle.sin() / l[2];
            (best.0 + (size * angle.cos() - l[1] * v) / l[0], best.1 + v)
        };
        right.line(&mut svg, &(0..=72).map(point).collect::<Vec<_>>(), "stroke=\"#ccc\"");
    }
    let ways = [
        ("64 samples per step", SGD::new().learning_rate(0.1), 64, 60),
        ("4 samples per step", SGD::new().learning_rate(0.1), 4, 4),
        ("64, momentum 0.8", SGD::new().learning_rate(0.1).momentum(0.8), 64, 60),
    ];
    let mut entries = Vec::new();
    for ((name, optimizer, batch, epochs), color) in ways.into_iter().zip([COLORS[0], COLORS[4], COLORS[2]]) {
        let (path, _) = descend(&pair, optimizer, batch, epochs)?;
        right.line(&mut svg, &path, &format!("stroke=\"{color}\" stroke-width=\"1.5\""));
        right.dots(&mut svg, &path, 1.8, &format!("fill=\"{color}\""));
        entries.push((name, stroke(color, false)));
    }
    right.dot(&mut svg, best, 4.0, "fill=\"none\" stroke=\"black\" stroke-width=\"1.5\"");
    legend(&mut svg, (410.0, 334.0), &entries[..2]);
    legend(&mut svg, (570.0, 334.0), &entries[2..]);
    Ok(svg.finish())
}

/// The two-layer network of the chapter, one sample, one step with learning rate 1: its gradients by the weights are the
/// weights before less those after.
pub fn backpropagation() -> Result<String> {
    let (x, y) = (rows(1, vec![2.0])?, rows(1, vec![1.0])?);
    let mut model = Sequential::new(layers![Dense::new(2).activation("relu").input_shape([1]), Dense::new(1)])?;
    model.set_state("dense/kernel", &Tensor::new([1, 2], vec![0.5f32, -1.0])?)?;
    model.set_state("dense_1/kernel", &Tensor::new([2, 1], vec![2.0f32, 1.0])?)?;
    model.compile(SGD::new().learning_rate(1.0), "mse", [])?;
    let names = ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"];
    let values = |model: &Model| names.map(|name| model.state(name).map(|value| value.to_f32()).unwrap_or_default());
    let before = values(&model);
    let prediction = model.predict(&x)?.to_f32();
    let loss = model.evaluate(&x, &y)?.loss();
    model.fit(&x, &y, Fit::new().progress(Progress::None))?;
    let gradients: Vec<Vec<f32>> = before
        .iter()
        .zip(values(&model))
        .map(|(before, after)| before.iter().zip(after).map(|(before, after)| before - after).collect())
        .collect();
    let list = |numbers: &[f32]| {
        let texts: Vec<String> = numbers.iter().map(|x| x.to_string()).collect();
        if texts.len() == 1 { texts[0].clone() } else { format!("({})", texts.join(", ")) }
    };

    let mut svg = Svg::new(720.0, 250.0);
    svg.push("<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"context-stroke\"/></marker></defs>");
    let boxes = ["x", "z = W1 x + b1", "h = relu(z)", "p = W2 h + b2", "L = (p - y)²"];
    // The gradient by a bias is the gradient by the sum it is added to.
    let forward = ["2".into(), "(1, -2)".into(), "(1, 0)".into(), list(&prediction), loss.to_string()];
    let hidden: Vec<f32> = before[2].iter().map(|w| w * gradients[3][0]).collect();
    let backward = [String::new(), list(&gradients[1]), list(&hidden), list(&gradients[3]), "1".into()];
    let signs = ["", "dL/dz", "dL/dh", "dL/dp", "dL/dL"];
    for (index, name) in boxes.iter().enumerate() {
        let (left, width) = (10.0 + 145.0 * index as f64, 110.0);
        svg.push(&format!(
            "<rect x=\"{left}\" y=\"88\" width=\"{width}\" height=\"34\" rx=\"6\" fill=\"#f4f6f8\" stroke=\"#888\"/>"
        ));
        let middle = left + width / 2.0;
        svg.words((middle, 109.0), "text-anchor=\"middle\" font-weight=\"bold\"", name);
        let style = format!("text-anchor=\"middle\" fill=\"{}\" font-size=\"14\"", COLORS[0]);
        svg.words((middle, 76.0), &style, &forward[index]);
        if index > 0 {
            let style = format!("text-anchor=\"middle\" fill=\"{}\" font-size=\"14\"", COLORS[1]);
            svg.words((middle, 144.0), &style, &format!("{} = {}", signs[index], backward[index]));
            let (from, to) = (left - 35.0, left);
            let arrow = |y: f64, from: f64, to: f64, color: &str| {
                format!(
                    "<path d=\"M{from} {y}H{to}\" stroke=\"{color}\" stroke-width=\"1.8\" marker-end=\"url(#tip)\"/>"
                )
            };
            svg.push(&arrow(98.0, from + 3.0, to - 3.0, COLORS[0]));
            svg.push(&arrow(112.0, to - 3.0, from + 3.0, COLORS[1]));
        }
    }
    for (box_index, layer) in [(1, 0), (3, 2)] {
        let middle = 10.0 + 145.0 * f64::from(box_index) + 55.0;
        let number = layer / 2 + 1;
        let style = format!("text-anchor=\"middle\" fill=\"{}\"", COLORS[0]);
        svg.words((middle, 34.0), &style, &format!("W{number} = {}", list(&before[layer])));
        svg.words((middle, 52.0), &style, &format!("b{number} = {}", list(&before[layer + 1])));
        let style = format!("text-anchor=\"middle\" fill=\"{}\"", COLORS[1]);
        svg.words((middle, 176.0), &style, &format!("dL/dW{number} = {}", list(&gradients[layer])));
        svg.words((middle, 194.0), &style, &format!("dL/db{number} = {}", list(&gradients[layer + 1])));
    }
    svg.words((645.0, 52.0), &format!("text-anchor=\"middle\" fill=\"{}\"", COLORS[0]), "y = 1");
    let style = |color: &str| format!("fill=\"{color}\"");
    svg.words((10.0, 228.0), &style(COLORS[0]), "→ forward: values from left to right");
    svg.words((280.0, 228.0), &style(COLORS[1]), "← backward: gradients from right to left");
    Ok(svg.finish())
}

fn small_network() -> Result<Model> {
    let mut model = Sequential::new(layers![
        Flatten::new().input_shape([28, 28]),
        Dense::new(32).activation("relu"),
        Dropout::new(0.2),
        Dense::new(10).activation("softmax"),
    ])?;
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    Ok(model)
}

pub fn resumed() -> Result<String> {
    let (x, y) = digits(Part::Train, 2000);
    let fit = || Fit::new().validation_split(0.2).progress(Progress::None);
    let straight = small_network()?.fit(&x, &y, fit().epochs(12))?;
    let path = std::env::temp_dir().join(format!("footlight-guide-{}.npz", std::process::id()));
    let kept = || fit().checkpoint(&path, Duration::ZERO);
    let part = small_network()?.fit(&x, &y, kept().epochs(5))?;
    let whole = small_network()?.fit(&x, &y, kept().epochs(12).resume(true))?;
    let _ = std::fs::remove_file(&path);

    let points = |history: &History, name: &str| -> Vec<Point> {
        let values = history.get(name).unwrap_or_default();
        values.iter().enumerate().map(|(epoch, value)| (epoch as f64 + 1.0, *value)).collect()
    };
    let mut svg = Svg::new(720.0, 300.0);
    let panel = Panel {
        left: 60.0,
        top: 30.0,
        width: 440.0,
        height: 220.0,
        x: Axis::linear(1.0, 12.0),
        y: Axis::linear(0.0, 2.25),
    };
    panel.axes(&mut svg, "A training that was interrupted after epoch 5", "epoch", "loss");
    for (name, is_dashed) in [("loss", false), ("val_loss", true)] {
        panel.line(&mut svg, &points(&straight, name), &stroke(GREY, is_dashed));
        let (before, after) = (points(&part, name), points(&whole, name));
        let dot = |color: &str| format!("fill=\"{color}\"");
        before.iter().for_each(|point| panel.dot(&mut svg, *point, 4.0, &dot(COLORS[0])));
        after[before.len()..].iter().for_each(|point| panel.dot(&mut svg, *point, 4.0, &dot(COLORS[1])));
    }
    legend(
        &mut svg,
        (520.0, 48.0),
        &[("loss, never interrupted", stroke(GREY, false)), ("val_loss", stroke(GREY, true))],
    );
    for (index, text) in ["before the interruption", "after going on"].iter().enumerate() {
        let at = 88.0 + 18.0 * index as f64;
        svg.push(&format!("<circle cx=\"531\" cy=\"{at}\" r=\"4\" fill=\"{}\"/>", COLORS[index]));
        svg.words((548.0, at + 4.0), "", text);
    }
    let is_equal = straight == whole;
    svg.words((520.0, 142.0), "fill=\"#555\"", &format!("all numbers equal: {}", if is_equal { "yes" } else { "no" }));
    Ok(svg.finish())
}
