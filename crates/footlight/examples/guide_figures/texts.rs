//! How likely tokens are to be drawn.

use crate::data::rows;
use crate::plot::{Axis, COLORS, Panel, Point, Svg, legend, stroke};
use footlight::prelude::*;

/// The scores that a model may have given to eight tokens.
const LOGITS: [f32; 8] = [3.0, 2.4, 2.1, 1.2, 0.8, 0.0, -0.6, -1.5];

pub fn temperatures() -> Result<String> {
    let mut svg = Svg::new(720.0, 300.0);
    let (x, y) = (Axis::linear(1.0, 8.0), Axis::linear(0.0, 0.8));
    let panel = Panel { left: 60.0, top: 30.0, width: 630.0, height: 220.0, x, y };
    panel.axes(&mut svg, "The same logits at three temperatures", "token, the likeliest first", "probability");
    let mut entries = Vec::new();
    for ((name, temperature), color) in [("0.5", 0.5), ("1", 1.0), ("2", 2.0)].into_iter().zip(COLORS) {
        let mut model = Sequential::new(layers![Rescaling::new(1.0 / temperature), SoftmaxLayer::new()])?;
        let probabilities = model.predict(&rows(LOGITS.len(), LOGITS.to_vec())?)?.to_f64();
        let points: Vec<Point> = (1..).map(f64::from).zip(probabilities).collect();
        panel.line(&mut svg, &points, &stroke(color, false));
        panel.dots(&mut svg, &points, 4.0, &format!("fill=\"{color}\""));
        entries.push((name, stroke(color, false)));
    }
    legend(&mut svg, (600.0, 55.0), &entries);
    Ok(svg.finish())
}
