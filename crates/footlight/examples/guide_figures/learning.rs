//! What training does, on generated digits.

use crate::data::{Pair, digits};
use crate::plot::{Axis, COLORS, GREY, Panel, Point, Svg, legend, ramp, stroke};
use footlight::data::digits::Part;
use footlight::nn::{Optimizer, Regularizer, optimizers};
use footlight::prelude::*;
use footlight::tensor::{Philox, RandomKey};
use footlight::train::{EarlyStopping, ReduceLROnPlateau};

/// A network for digits with one hidden layer.
struct Network {
    units: usize,
    dropout: f32,
    penalty: Option<Regularizer>,
}

impl Network {
    fn of(units: usize) -> Network {
        Network { units, dropout: 0.0, penalty: None }
    }

    fn build(&self, optimizer: Box<dyn Optimizer>) -> Result<Model> {
        let mut hidden = Dense::new(self.units).activation("relu");
        if let Some(penalty) = self.penalty {
            hidden = hidden.kernel_regularizer(penalty);
        }
        let mut model = Sequential::new(layers![
            Flatten::new().input_shape([28, 28]),
            hidden,
            Dropout::new(self.dropout),
            Dense::new(10).activation("softmax"),
        ])?;
        model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])?;
        Ok(model)
    }
}

fn adam(learning_rate: f32) -> Box<dyn Optimizer> {
    Box::new(Adam::new().learning_rate(learning_rate))
}

fn quiet<'a>(epochs: usize) -> Fit<'a> {
    Fit::new().epochs(epochs).progress(Progress::None)
}

pub fn first_training() -> Result<String> {
    let (x, y) = digits(Part::Train, 3000);
    let mut model = Network { dropout: 0.2, ..Network::of(64) }.build(adam(1e-3))?;
    Ok(model.fit(&x, &y, quiet(12).validation_split(0.2))?.to_svg())
}

pub fn plateau() -> Result<String> {
    let (x, y) = digits(Part::Train, 1500);
    let mut model = Network { dropout: 0.2, ..Network::of(64) }.build(adam(0.01))?;
    let mut reduce = ReduceLROnPlateau::new().factor(0.3).patience(3).min_lr(1e-4);
    Ok(model.fit(&x, &y, quiet(25).validation_split(0.3).callback(&mut reduce))?.to_svg())
}

/// The accuracy on samples that were not learned; none where the numbers ran away.
fn validated(network: &Network, optimizer: Box<dyn Optimizer>, (x, y): &Pair) -> Result<Option<f64>> {
    let mut model = network.build(optimizer)?;
    match model.fit(x, y, quiet(5).validation_split(0.25)) {
        Ok(history) => Ok(history.get("val_accuracy").and_then(|values| values.last().copied())),
        Err(error) if error.kind() == footlight::ErrorKind::Numeric => Ok(None),
        Err(error) => Err(error),
    }
}

pub fn choosing() -> Result<String> {
    let pair = digits(Part::Train, 1600);
    let mut svg = Svg::new(720.0, 320.0);
    let panel = Panel {
        left: 60.0,
        top: 30.0,
        width: 270.0,
        height: 230.0,
        x: Axis::log(1e-4, 3.2),
        y: Axis::linear(0.0, 1.0),
    };
    panel.axes(&mut svg, "Four optimizers, ten learning rates", "learning rate", "validation accuracy");
    let mut entries = Vec::new();
    for (name, color) in optimizers::NAMES.iter().zip([COLORS[1], COLORS[4], COLORS[0], COLORS[2]]) {
        let mut points: Vec<Point> = Vec::new();
        for half in 0..10 {
            let rate = 1e-4 * 10f64.powf(f64::from(half) / 2.0);
            let mut optimizer = optimizers::from_name(name)?;
            optimizer.set_learning_rate(rate as f32);
            let accuracy = validated(&Network::of(32), optimizer, &pair)?;
            points.push((rate, accuracy.unwrap_or(f64::NAN)));
        }
        panel.line(&mut svg, &points, &stroke(color, *name == "adamw"));
        points.iter().filter(|point| point.1.is_finite()).for_each(|point| {
            panel.dot(&mut svg, *point, 2.5, &format!("fill=\"{color}\""));
        });
        entries.push((*name, stroke(color, *name == "adamw")));
    }
    for (entry, left) in entries.iter().zip([15.0, 90.0, 195.0, 275.0]) {
        legend(&mut svg, (left, 308.0), std::slice::from_ref(entry));
    }

    let search = Panel { left: 410.0, y: Axis::linear(0.0, 0.6), x: Axis::log(1e-4, 0.1), ..panel };
    search.axes(&mut svg, "Random search with Adam, 30 trials", "learning rate", "dropout rate");
    let mut random = Philox::new(RandomKey::new(5).child("search"));
    let mut trials = Vec::new();
    for _ in 0..30 {
        let (rate, dropout) = (1e-4 * 1000f64.powf(random.uniform_f64()), 0.6 * random.uniform());
        let network = Network { dropout, ..Network::of(32) };
        trials.push((rate, f64::from(dropout), validated(&network, adam(rate as f32), &pair)?.unwrap_or(0.0)));
    }
    let colors = ramp([213.0, 94.0, 0.0], [0.0, 114.0, 178.0], 9);
    let (low, high) = (0.5, 0.85);
    let color = |accuracy: f64| &colors[(((accuracy - low) / (high - low)).clamp(0.0, 1.0) * 8.0).round() as usize];
    let best = trials.iter().copied().fold((0.0, 0.0, 0.0), |best, trial| if trial.2 > best.2 { trial } else { best });
    for (rate, dropout, accuracy) in trials {
        let style = format!("fill=\"{}\" stroke=\"#555\" stroke-width=\"0.7\"", color(accuracy));
        search.dot(&mut svg, (rate, dropout), 6.0, &style);
    }
    search.dot(&mut svg, (best.0, best.1), 10.0, "fill=\"none\" stroke=\"black\" stroke-width=\"1.5\"");
    for (index, accuracy) in [0.5, 0.6, 0.7, 0.8, 0.85].into_iter().enumerate() {
        let x = 415.0 + 55.0 * index as f64;
        let style = format!("fill=\"{}\" stroke=\"#555\" stroke-width=\"0.7\"", color(accuracy));
        svg.push(&format!("<circle cx=\"{x}\" cy=\"308\" r=\"6\" {style}/>"));
        svg.words((x + 10.0, 312.0), "", &accuracy.to_string());
    }
    Ok(svg.finish())
}

pub fn remedies() -> Result<String> {
    let (few, many, validation) = (digits(Part::Train, 300), digits(Part::Train, 3000), digits(Part::Test, 1000));
    let wide = || Network::of(256);
    let trials = [
        ("300 digits, 256 units", wide(), &few),
        ("More data: 3,000 digits", wide(), &many),
        ("Smaller: 24 units", Network::of(24), &few),
        ("L2 of 0.001", Network { penalty: Some(L2::new(0.001)), ..wide() }, &few),
        ("Dropout of 0.6", Network { dropout: 0.6, ..wide() }, &few),
        ("Early stopping, patience 5", wide(), &few),
    ];
    let mut svg = Svg::new(720.0, 520.0);
    for (index, (title, network, (x, y))) in trials.iter().enumerate() {
        let mut model = network.build(adam(2e-3))?;
        let mut stop = EarlyStopping::new().patience(5).restore_best_weights(true);
        let mut fit = quiet(50).validation_data(&validation.0, &validation.1);
        if title.starts_with("Early") {
            fit = fit.callback(&mut stop);
        }
        let history = model.fit(x, y, fit)?;
        let panel = Panel {
            left: 50.0 + 230.0 * (index % 3) as f64,
            top: 44.0 + 240.0 * (index / 3) as f64,
            width: 175.0,
            height: 155.0,
            x: Axis::linear(0.0, 50.0),
            y: Axis::linear(0.0, 2.0),
        };
        let (left, top) = (panel.left, panel.top);
        panel.axes(&mut svg, "", "epoch", if index % 3 == 0 { "loss" } else { "" });
        svg.words((left, top - 24.0), "font-weight=\"bold\"", title);
        let test = model.evaluate(&validation.0, &validation.1)?;
        let result = format!("end: loss {:.2}, {:.1} % right", test.loss(), 100.0 * test.accuracy());
        svg.words((left, top - 8.0), "fill=\"#555\"", &result);
        for (name, is_dashed, color) in [("loss", false, COLORS[0]), ("val_loss", true, COLORS[1])] {
            let values = history.get(name).unwrap_or_default();
            let points: Vec<Point> = values.iter().enumerate().map(|(i, value)| (i as f64 + 1.0, *value)).collect();
            panel.line(&mut svg, &points, &stroke(color, is_dashed));
        }
        if title.starts_with("Early") {
            let at = stop.best_epoch() as f64 + 1.0;
            panel.line(&mut svg, &[(at, 0.0), (at, 2.0)], &format!("stroke=\"{GREY}\" stroke-dasharray=\"2 3\""));
            let (x, y) = panel.place((at, 1.9));
            svg.words((x + 5.0, y + 4.0), "", &format!("best: epoch {at}"));
        }
    }
    let entries = [
        ("loss of the digits learned", stroke(COLORS[0], false)),
        ("val_loss, of 1,000 others", stroke(COLORS[1], true)),
    ];
    legend(&mut svg, (50.0, 503.0), &entries[..1]);
    legend(&mut svg, (290.0, 503.0), &entries[1..]);
    Ok(svg.finish())
}

/// The network of the last two figures.
fn trained() -> Result<Model> {
    let (x, y) = digits(Part::Train, 4000);
    let mut model = Network { dropout: 0.2, penalty: Some(L2::new(1e-3)), ..Network::of(64) }.build(adam(1e-3))?;
    model.fit(&x, &y, quiet(10))?;
    Ok(model)
}

/// Greys from white to black.
fn greys(count: usize) -> Vec<String> {
    let grey = |index: usize| 255 - 255 * index / (count - 1);
    (0..count).map(|index| format!("#{0:02x}{0:02x}{0:02x}", grey(index))).collect()
}

/// Pictures are stored from the top, maps are drawn from the bottom.
fn from_the_bottom<T: Copy>(rows: &[T], width: usize) -> Vec<T> {
    rows.chunks(width).rev().flatten().copied().collect()
}

fn picture(left: f64, top: f64, size: f64) -> Panel {
    let unit = Axis::linear(0.0, 1.0);
    Panel { left, top, width: size, height: size, x: unit, y: unit }
}

pub fn answers() -> Result<String> {
    const LEVELS: usize = 5;
    let mut model = trained()?;
    let (x, y) = digits(Part::Test, 10);
    let probabilities = model.predict(&x)?.to_f32();
    let best = |row: &[f32]| (0..10).fold(0, |best, class| if row[class] > row[best] { class } else { best });
    let classes: Vec<usize> = probabilities.chunks(10).map(best).collect();
    let mut svg = Svg::new(720.0, 250.0);
    for index in 0..10 {
        let (left, top) = (20.0 + 140.0 * (index % 5) as f64, 12.0 + 122.0 * (index / 5) as f64);
        let mut pixels = [0.0; 28 * 28];
        x.row_f32(index, &mut pixels);
        let levels: Vec<usize> = pixels.iter().map(|p| (p * (LEVELS - 1) as f32).round() as usize).collect();
        picture(left, top, 84.0).map(&mut svg, &from_the_bottom(&levels, 28), 28, &greys(LEVELS));
        svg.push(&format!("<rect x=\"{left}\" y=\"{top}\" width=\"84\" height=\"84\" fill=\"none\" stroke=\"#ccc\"/>"));
        let (class, row) = (classes[index], &probabilities[index * 10..][..10]);
        let is_right = class as i64 == y.label(index);
        let color = if is_right { COLORS[0] } else { COLORS[1] };
        let name = if is_right { format!("a {class}") } else { format!("a {class} (it is a {})", y.label(index)) };
        svg.words((left, top + 98.0), &format!("fill=\"{color}\""), &format!("{name}: {:.3}", row[class]));
        for (digit, probability) in row.iter().enumerate() {
            let (at, length) = (top + 4.0 + 8.0 * digit as f64, 24.0 * probability);
            svg.words((left + 93.0, at + 5.0), "font-size=\"7\" text-anchor=\"end\" fill=\"#666\"", &digit.to_string());
            svg.push(&format!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"5\" fill=\"{color}\"/>",
                left + 96.0,
                at
            ));
        }
    }
    Ok(svg.finish())
}

pub fn kernels() -> Result<String> {
    const LEVELS: usize = 5;
    let model = trained()?;
    let kernel = model.state("dense/kernel").map(|kernel| kernel.to_f32()).unwrap_or_default();
    let mut svg = Svg::new(720.0, 270.0);
    svg.words(
        (20.0, 20.0),
        "font-weight=\"bold\"",
        "The first 10 of 64 columns of dense/kernel, each as 28 x 28 pixels",
    );
    for unit in 0..10 {
        let column: Vec<f32> = kernel.chunks(64).map(|row| row[unit]).collect();
        let largest = column.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
        let level = |w: &f32| ((w / largest + 1.0) / 2.0 * (LEVELS - 1) as f32).round() as usize;
        let levels: Vec<usize> = column.iter().map(level).collect();
        let panel = picture(20.0 + 140.0 * (unit % 5) as f64, 34.0 + 116.0 * (unit / 5) as f64, 106.0);
        panel.map(&mut svg, &from_the_bottom(&levels, 28), 28, &ramp([213.0, 94.0, 0.0], [0.0, 114.0, 178.0], LEVELS));
        let (left, top) = (panel.left, panel.top);
        svg.push(&format!(
            "<rect x=\"{left}\" y=\"{top}\" width=\"106\" height=\"106\" fill=\"none\" stroke=\"#ccc\"/>"
        ));
    }
    Ok(svg.finish())
}
