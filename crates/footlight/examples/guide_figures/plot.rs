//! A small drawing board: panels with axes, lines, dots and maps, written as SVG.

use std::fmt::Write;

/// Colours that people with any colour vision tell apart (Okabe and Ito 2008).
pub const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
pub const GREY: &str = "#666";

/// A point on the page or in a panel.
pub type Point = (f64, f64);

/// A picture in the making.
pub struct Svg {
    text: String,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Svg {
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n"
        );
        text += "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
        Svg { text }
    }

    pub fn push(&mut self, element: &str) {
        self.text += element;
        self.text.push('\n');
    }

    /// Words at `(x, y)`; `style` holds further attributes.
    pub fn words(&mut self, (x, y): Point, style: &str, words: &str) {
        let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(self.text, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{words}</text>");
    }

    pub fn finish(self) -> String {
        self.text + "</svg>\n"
    }
}

/// Whether numbers stand at equal distances or their logarithms do.
#[derive(Clone, Copy, PartialEq)]
pub enum Scale {
    Linear,
    Log,
}

/// One axis: its ends and its scale.
#[derive(Clone, Copy)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub scale: Scale,
}

impl Axis {
    pub fn linear(low: f64, high: f64) -> Axis {
        Axis { low, high, scale: Scale::Linear }
    }

    pub fn log(low: f64, high: f64) -> Axis {
        Axis { low, high, scale: Scale::Log }
    }

    /// Where `value` stands, from 0 to 1 along the axis.
    fn at(self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    /// Round numbers within the axis.
    fn ticks(self) -> Vec<f64> {
        if self.scale == Scale::Log {
            let powers = self.low.log10().ceil() as i32..=self.high.log10().floor() as i32;
            return powers.map(|power| 10f64.powi(power)).collect();
        }
        let raw = (self.high - self.low) / 5.0;
        let unit = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit).into_iter().find(|step| *step >= raw * 0.999);
        let step = step.unwrap_or(raw);
        let (first, last) = ((self.low / step - 1e-9).ceil() as i64, (self.high / step + 1e-9).floor() as i64);
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// A number as it stands at an axis.
fn label(value: f64) -> String {
    let text = format!("{value:.5}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// A frame on the page with two axes.
#[derive(Clone, Copy)]
pub struct Panel {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    pub x: Axis,
    pub y: Axis,
}

impl Panel {
    /// Where a point stands on the page.
    pub fn place(&self, (x, y): Point) -> Point {
        (self.left + self.width * self.x.at(x), self.top + self.height * (1.0 - self.y.at(y)))
    }

    /// Grid lines, numbers, a title above and the names of the axes.
    pub fn axes(&self, svg: &mut Svg, title: &str, x_name: &str, y_name: &str) {
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        for tick in self.y.ticks() {
            let (_, at) = self.place((self.x.low, tick));
            svg.push(&format!("<path d=\"M{:.1} {at:.1}H{right:.1}\" stroke=\"#ddd\"/>", self.left));
            svg.words((self.left - 6.0, at + 4.0), "text-anchor=\"end\"", &label(tick));
        }
        for tick in self.x.ticks() {
            let (at, _) = self.place((tick, self.y.low));
            svg.push(&format!("<path d=\"M{at:.1} {:.1}V{bottom:.1}\" stroke=\"#eee\"/>", self.top));
            svg.words((at, bottom + 16.0), "text-anchor=\"middle\"", &label(tick));
        }
        svg.push(&format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"none\" stroke=\"#bbb\"/>",
            self.left, self.top, self.width, self.height
        ));
        self.title(svg, title);
        svg.words((self.left + self.width / 2.0, bottom + 34.0), "text-anchor=\"middle\"", x_name);
        let (x, y) = (self.left - 42.0, self.top + self.height / 2.0);
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 {x:.1} {y:.1})\"");
        svg.words((x, y), &turned, y_name);
    }

    pub fn title(&self, svg: &mut Svg, title: &str) {
        svg.words((self.left, self.top - 9.0), "font-weight=\"bold\"", title);
    }

    /// A line through points; it breaks where a number is not finite or outside the panel.
    pub fn line(&self, svg: &mut Svg, points: &[Point], style: &str) {
        let is_inside = |axis: Axis, value: f64| value.is_finite() && (-0.001..=1.001).contains(&axis.at(value));
        for run in points.split(|(x, y)| !is_inside(self.x, *x) || !is_inside(self.y, *y)) {
            let places = run.iter().map(|point| self.place(*point)).map(|(x, y)| format!("{x:.1},{y:.1}"));
            let places: Vec<String> = places.collect();
            if places.len() > 1 {
                svg.push(&format!("<polyline points=\"{}\" fill=\"none\" {style}/>", places.join(" ")));
            }
        }
    }

    /// A dot of radius `r`.
    pub fn dot(&self, svg: &mut Svg, point: Point, r: f64, style: &str) {
        let (x, y) = self.place(point);
        let style = if style.is_empty() { String::new() } else { format!(" {style}") };
        svg.push(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\"{style}/>"));
    }

    /// Dots of one radius and style.
    pub fn dots(&self, svg: &mut Svg, points: &[Point], r: f64, style: &str) {
        svg.push(&format!("<g {style}>"));
        points.iter().for_each(|point| self.dot(svg, *point, r, ""));
        svg.push("</g>");
    }

    /// A map over the panel: `columns` cells in each of as many rows as there are, the lowest first, coloured by
    /// `colors[level]`. Cells of one colour that touch in a row are one shape; white ones are left out.
    pub fn map(&self, svg: &mut Svg, levels: &[usize], columns: usize, colors: &[String]) {
        let rows = levels.len() / columns;
        let (w, h) = (self.width / columns as f64, self.height / rows as f64);
        svg.push(&format!(
            "<g transform=\"translate({:.1} {:.1}) scale({w:.3} {h:.3})\" shape-rendering=\"crispEdges\">",
            self.left, self.top
        ));
        let mut paths = vec![String::new(); colors.len()];
        for (row, levels) in levels.chunks(columns).rev().enumerate() {
            let mut column = 0;
            for run in levels.chunk_by(|a, b| a == b) {
                let length = run.len();
                let _ = write!(paths[run[0]], "M{column} {row}h{length}v1h-{length}z");
                column += length;
            }
        }
        for (path, color) in paths.iter().zip(colors).filter(|(path, color)| !path.is_empty() && *color != "#ffffff") {
            svg.push(&format!("<path d=\"{path}\" fill=\"{color}\"/>"));
        }
        svg.push("</g>");
    }
}

/// How a line is drawn.
pub fn stroke(color: &str, is_dashed: bool) -> String {
    let dash = if is_dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    format!("stroke=\"{color}\" stroke-width=\"2\"{dash}")
}

/// Names of lines, one below the other, from `(x, y)` on.
pub fn legend(svg: &mut Svg, (x, y): Point, entries: &[(&str, String)]) {
    for (index, (name, style)) in entries.iter().enumerate() {
        let at = y + 18.0 * index as f64;
        svg.push(&format!("<path d=\"M{x:.1} {at:.1}h22\" fill=\"none\" {style}/>"));
        svg.words((x + 28.0, at + 4.0), "", name);
    }
}

/// `count` colours from `low` over white to `high`, each as red, green and blue.
pub fn ramp(low: [f64; 3], high: [f64; 3], count: usize) -> Vec<String> {
    let color = |index: usize| {
        let at = 2.0 * index as f64 / (count - 1) as f64 - 1.0;
        let end = if at < 0.0 { low } else { high };
        let [r, g, b] = end.map(|end| (255.0 + (end - 255.0) * at.abs()).round() as u8);
        format!("#{r:02x}{g:02x}{b:02x}")
    };
    (0..count).map(color).collect()
}
