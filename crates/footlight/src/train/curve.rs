//! The history of a training as a picture.

use std::fmt::Write;

use footlight_nn::svg::{self, escaped};

use super::History;

/// Extents in pixels.
const WIDTH: f64 = 720.0;
const PANEL: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
/// Colours that people with any colour vision tell apart (Okabe and Ito 2008).
const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// A metric and its value after each epoch.
type Column = (String, Vec<f64>);

impl History {
    /// The learning curves as an SVG picture: the loss in one panel, all other metrics in the next, validation dashed.
    ///
    /// # Examples
    /// ```
    /// use footlight::train::History;
    /// let mut history = History::default();
    /// history.push(&[("loss".into(), 0.7), ("val_loss".into(), 0.8)]);
    /// assert!(history.to_svg().starts_with("<svg "));
    /// ```
    pub fn to_svg(&self) -> String {
        let is_rate = |name: &str| name == "learning_rate";
        let is_loss = |name: &str| matches!(name, "loss" | "val_loss");
        let chosen = |wanted: &dyn Fn(&str) -> bool| -> Vec<&Column> {
            self.columns().iter().filter(|(name, _)| wanted(name)).collect()
        };
        let panels = [
            ("Loss", chosen(&is_loss)),
            ("Metrics", chosen(&|name| !is_loss(name) && !is_rate(name))),
            ("Learning rate", chosen(&is_rate)),
        ];
        let panels: Vec<_> = panels.into_iter().filter(|(_, columns)| !columns.is_empty()).collect();
        let height = PANEL * panels.len().max(1) as f64;
        let mut svg = svg::begin(WIDTH, height);
        for (index, (title, columns)) in panels.iter().enumerate() {
            panel(&mut svg, PANEL * index as f64, title, columns);
        }
        svg + "</svg>\n"
    }
}

fn panel(svg: &mut String, top: f64, title: &str, columns: &[&Column]) {
    let epochs = columns.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let (low, high) = range(columns);
    let (x_end, y_begin, y_end) = (WIDTH - RIGHT, top + PANEL - BOTTOM, top + TOP);
    let x = |epoch: usize| LEFT + (x_end - LEFT) * (epoch - 1) as f64 / (epochs.max(2) - 1) as f64;
    let y = |value: f64| y_begin + (y_end - y_begin) * (value - low) / (high - low);
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{title}</text>", top + 20.0);
    for tick in ticks(low, high) {
        let (at, label) = (y(tick), number(tick));
        let _ = writeln!(svg, "<path class=\"faint\" d=\"M{LEFT} {at:.1}H{x_end}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0, at + 4.0);
    }
    for epoch in (1..=epochs).step_by(epochs.div_ceil(10).max(1)) {
        let (at, below) = (x(epoch), y_begin + 16.0);
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{epoch}</text>");
    }
    let middle = (LEFT + x_end) / 2.0;
    let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">epoch</text>", y_begin + 32.0);
    for (index, (name, values)) in columns.iter().enumerate() {
        let base = name.strip_prefix("val_").unwrap_or(name);
        let first = columns.iter().position(|(other, _)| other.strip_prefix("val_").unwrap_or(other) == base);
        let color = COLORS[first.unwrap_or(index) % COLORS.len()];
        let dash = if name.starts_with("val_") { " stroke-dasharray=\"6 4\"" } else { "" };
        // Validation that is left out in some epochs stands at the last ones.
        let skipped = epochs - values.len();
        let known = values.iter().enumerate().filter(|(_, value)| value.is_finite());
        let points: Vec<(f64, f64)> = known.map(|(i, value)| (x(i + 1 + skipped), y(*value))).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let stroke = format!("fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"{dash}");
        let _ = writeln!(svg, "<polyline points=\"{}\" {stroke}/>", line.join(" "));
        if let [(x, y)] = points[..] {
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>");
        }
        let at = y_end + 16.0 * index as f64 + 8.0;
        let (begin, end) = (x_end + 12.0, x_end + 34.0);
        let _ = writeln!(svg, "<path d=\"M{begin} {at}H{end}\" {stroke}/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", end + 6.0, at + 4.0, escaped(name));
    }
}

/// The least and the greatest number, widened where they are one.
fn range(columns: &[&Column]) -> (f64, f64) {
    let finite = columns.iter().flat_map(|(_, values)| values).copied().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low > high {
        return (0.0, 1.0);
    }
    if low == high { (low - 0.5 * low.abs().max(1e-6), high + 0.5 * high.abs().max(1e-6)) } else { (low, high) }
}

/// About five round numbers between `low` and `high`.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 5.0;
    let unit = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit).into_iter().find(|step| *step >= raw).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(0.91, 0.97).iter().map(|x| number(*x)).collect::<Vec<_>>(), ["0.92", "0.94", "0.96"]);
        assert_eq!([0.0, 0.25, 1e-4, 2e6].map(number), ["0", "0.25", "1.0e-4", "2.0e6"]);
    }

    #[test]
    fn every_metric_has_a_line_and_a_name_and_a_rate_a_panel_of_its_own() {
        let mut history = History::default();
        for epoch in 0..4 {
            let value = 1.0 / f64::from(epoch + 1);
            let loss = if epoch == 2 { f64::NAN } else { value };
            history.push(&[("accuracy".into(), value), ("loss".into(), loss), ("val_loss".into(), value)]);
        }
        history.push(&[("learning_rate".into(), 0.001)]);
        let svg = history.to_svg();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("font-weight").count()), (4, 3));
        assert_eq!(svg.matches("stroke-dasharray").count(), 2, "the line of val_loss and its name");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
