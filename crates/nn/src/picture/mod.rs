//! A model as a picture: a box for each call of a layer, arrows from what it reads, models within models as frames.

mod layout;

use crate::layer::Form;
use crate::summary::{batched, grouped};
use crate::svg::{self, FONT_SIZE, escaped, width_of};
use crate::{Architecture, Layer, LayerCall, Port};
use layout::{Extent, place};
use std::collections::HashSet;
use std::fmt::Write;

const LINE_HEIGHT: f64 = 17.0;
const PADDING: f64 = 11.0;
/// Around a picture, and around what a frame holds.
const MARGIN: f64 = 20.0;
/// The title above.
const TITLE: f64 = 30.0;
/// The length of an arrow's head.
const HEAD: f64 = 7.0;

impl Architecture {
    /// The model as an SVG picture: each call of a layer with name, class, shape of the output and parameters, arrows to
    /// what is called on it. A layer that is called again is marked, and a model within the model is a frame around its
    /// own picture at its first call. Colours are those of a light or a dark page.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Architecture, Dense, layers};
    /// let model = Architecture::sequential(layers![Dense::new(10).input_shape([4])])?;
    /// let svg = model.to_svg();
    /// assert!(svg.starts_with("<svg ") && svg.contains("(None, 10)") && svg.contains("50 params"));
    /// # Ok::<(), footlight_nn::Error>(())
    /// ```
    pub fn to_svg(&self) -> String {
        let scene = Scene::of(self, true);
        let count: usize = self.weights().iter().map(|w| w.spec.shape.iter().product::<usize>()).sum();
        let title = format!("{}: {} params", self.name(), grouped(count));
        let width = scene.width.max(width_of(&title, true)) + 2.0 * MARGIN;
        let mut svg = svg::begin(width, scene.height + 2.0 * MARGIN + TITLE);
        let at = MARGIN + FONT_SIZE;
        let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"{at}\" font-weight=\"bold\">{}</text>", escaped(&title));
        let left = (width - scene.width) / 2.0;
        let _ = writeln!(svg, "<g transform=\"translate({left:.1} {:.1})\">", MARGIN + TITLE);
        svg + &scene.drawn + "</g>\n</svg>\n"
    }
}

/// A picture with the ends of its arrows.
struct Scene {
    width: f64,
    height: f64,
    drawn: String,
    /// Where what is put in arrives, and what is put out leaves.
    inputs: Vec<(f64, f64)>,
    outputs: Vec<(f64, f64)>,
}

/// A box, or a frame.
struct Node {
    width: f64,
    height: f64,
    is_input: bool,
    /// How many values it makes.
    outputs: usize,
    shown: Shown,
}

enum Shown {
    /// Lines of text, of which the first is the title, and the colour at the side.
    Card(Vec<String>, &'static str),
    /// What stands beside the title of a frame, and what is in it.
    Frame(String, Scene),
}

/// An arrow from an output of a node to another.
struct Arrow {
    from: (usize, usize),
    to: usize,
    /// Which of the inputs it is.
    input: usize,
    label: String,
}

// Colours that people with any colour vision tell apart (Okabe and Ito 2008): of inputs and outputs, of layers with
// parameters, of others.
const INPUT: &str = "#009e73";
const WITH: &str = "#0072b2";
const WITHOUT: &str = "#e69f00";

impl Scene {
    /// The picture of a model; the outputs of one within another lead on, and are not marked.
    fn of(model: &Architecture, is_outermost: bool) -> Scene {
        let mut nodes: Vec<Node> = Vec::new();
        let mut arrows: Vec<Arrow> = Vec::new();
        // A list of layers may leave its input out.
        let mut of_inputs = vec![None; model.inputs().len()];
        let mut of_calls = Vec::new();
        let (mut totals, mut numbers) = (vec![0; model.layers().len()], vec![0; model.layers().len()]);
        model.calls().iter().for_each(|call| totals[call.layer] += 1);
        for call in model.calls() {
            let reads = call.inputs.iter().map(|port| (port, String::new()));
            let named = call.named.iter().flat_map(|(key, ports)| ports.iter().map(move |port| (port, key.clone())));
            let mut sources = Vec::new();
            for (port, label) in reads.chain(named) {
                match *port {
                    Port::Output(call, output) => sources.push(((of_calls[call], output), label)),
                    Port::Input(input) if model.layers()[call.layer].class_name() == "InputLayer" => {
                        of_inputs[input] = Some(nodes.len());
                    }
                    Port::Input(input) => {
                        let index = *of_inputs[input].get_or_insert_with(|| {
                            nodes.push(Node::of_input(model, input));
                            nodes.len() - 1
                        });
                        sources.push(((index, 0), label));
                    }
                }
            }
            let to = nodes.len();
            nodes.push(Node::of_call(model, call, numbers[call.layer], totals[call.layer]));
            numbers[call.layer] += 1;
            let arrow = |(input, (from, label))| Arrow { from, to, input, label };
            arrows.extend(sources.into_iter().enumerate().map(arrow));
            of_calls.push(to);
        }
        let ends = |port: &Port| match *port {
            Port::Output(call, output) => (of_calls[call], output),
            Port::Input(input) => (of_inputs[input].unwrap_or_default(), 0),
        };
        let outputs: Vec<(usize, usize)> = model.outputs().iter().map(ends).collect();
        if is_outermost {
            for (index, from) in outputs.iter().enumerate() {
                let text = if outputs.len() == 1 { "output".into() } else { format!("output {index}") };
                arrows.push(Arrow { from: *from, to: nodes.len(), input: 0, label: String::new() });
                nodes.push(Node::card(vec![text], INPUT, false));
            }
        }
        let inputs: Vec<usize> = of_inputs.into_iter().flatten().collect();
        draw(&nodes, &arrows, &inputs, &outputs)
    }
}

impl Node {
    fn card(lines: Vec<String>, color: &'static str, is_input: bool) -> Node {
        let widths = lines.iter().enumerate().map(|(index, line)| width_of(line, index == 0));
        let width = widths.fold(0.0, f64::max) + 2.0 * PADDING + 4.0;
        let height = LINE_HEIGHT * lines.len() as f64 + PADDING;
        Node { width, height, is_input, outputs: 1, shown: Shown::Card(lines, color) }
    }

    fn of_input(model: &Architecture, input: usize) -> Node {
        let known = &model.inputs()[input];
        let mut lines = vec![known.name.clone(), "InputLayer".into()];
        lines.extend(known.extents.as_ref().map(batched));
        Node::card(lines, INPUT, true)
    }

    /// The call of that number, from 0, among `total` of its layer.
    fn of_call(model: &Architecture, call: &LayerCall, number: usize, total: usize) -> Node {
        let (layer, name) = (model.layers()[call.layer].as_ref(), &model.layer_names()[call.layer]);
        let count: usize = model.weights_of(call.layer).map(|w| w.spec.shape.iter().product::<usize>()).sum();
        let again = format!("call {} of {total}", number + 1);
        let is_input = layer.class_name() == "InputLayer";
        let mut told = told_params(layer, count, number);
        if total > 1 {
            told.push(again);
        }
        // A model that is called again is drawn once, or pictures of pictures would have no end.
        if let Some(inner) = layer.model().filter(|_| number == 0) {
            let scene = Scene::of(inner, false);
            let title = [vec![format!("{name} ({})", layer.class_name())], told].concat().join(", ");
            let width = scene.width.max(width_of(&title, true)) + 2.0 * MARGIN;
            let height = scene.height + MARGIN + TITLE;
            return Node { width, height, is_input: false, outputs: 1, shown: Shown::Frame(title, scene) };
        }
        let mut lines = vec![name.clone(), layer.class_name().to_string()];
        if layer.form() == Form::Operator {
            lines[1] = format!("{} (operator)", lines[1]);
        }
        lines.extend(call.extents.iter().map(batched));
        lines.extend(told);
        let color = match count {
            _ if is_input => INPUT,
            0 => WITHOUT,
            _ => WITH,
        };
        Node { outputs: call.extents.len().max(1), ..Node::card(lines, color, is_input) }
    }
}

/// The parameters of a layer, told at its first call.
fn told_params(layer: &dyn Layer, count: usize, call: usize) -> Vec<String> {
    match count {
        0 => vec![],
        _ if call > 0 => vec!["the same params".into()],
        _ if !layer.common().trainable => vec![format!("{} params, frozen", grouped(count))],
        _ => vec![format!("{} params", grouped(count))],
    }
}

/// Places and draws all.
fn draw(nodes: &[Node], arrows: &[Arrow], inputs: &[usize], outputs: &[(usize, usize)]) -> Scene {
    let extent = |node: &Node| Extent { width: node.width, height: node.height, is_input: node.is_input };
    let lines: Vec<(usize, usize)> = arrows.iter().map(|arrow| (arrow.from.0, arrow.to)).collect();
    let layout = place(&nodes.iter().map(extent).collect::<Vec<_>>(), &lines);
    let leaving = |(index, output): (usize, usize)| {
        let (left, top) = layout.places[index];
        let node = &nodes[index];
        match &node.shown {
            Shown::Frame(_, scene) => {
                let (x, y) = scene.outputs.get(output).copied().unwrap_or_default();
                let (dx, dy) = node.offset(scene);
                (left + dx + x, top + dy + y)
            }
            Shown::Card(..) => (left + node.width * (output + 1) as f64 / (node.outputs + 1) as f64, top + node.height),
        }
    };
    let mut drawn = String::new();
    let ends = arrivals(nodes, arrows, &layout.places);
    let mut named = HashSet::new();
    for ((arrow, route), end) in arrows.iter().zip(&layout.routes).zip(ends) {
        // Several values of one name are named once.
        let label = if named.insert((arrow.to, &arrow.label)) { arrow.label.as_str() } else { "" };
        draw_arrow(&mut drawn, leaving(arrow.from), route, end, label);
        let (x, y) = leaving(arrow.from);
        if arrow.from.1 > 0 && matches!(nodes[arrow.from.0].shown, Shown::Card(..)) {
            let (x, y) = (x + 5.0, y + FONT_SIZE);
            let _ = writeln!(drawn, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"quiet over\">[{}]</text>", arrow.from.1);
        }
    }
    for (node, (left, top)) in nodes.iter().zip(&layout.places) {
        node.draw(&mut drawn, *left, *top);
    }
    let arriving = |index: &usize| {
        let (left, top) = layout.places[*index];
        (left + nodes[*index].width / 2.0, top)
    };
    Scene {
        width: layout.width,
        height: layout.height,
        drawn,
        inputs: inputs.iter().map(arriving).collect(),
        outputs: outputs.iter().map(|output| leaving(*output)).collect(),
    }
}

/// Where each arrow ends: at the top of its box, side by side in the order they come from, or at an input within a frame.
fn arrivals(nodes: &[Node], arrows: &[Arrow], places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let middle = |arrow: usize| places[arrows[arrow].from.0].0 + nodes[arrows[arrow].from.0].width / 2.0;
    let mut coming = vec![Vec::new(); nodes.len()];
    arrows.iter().enumerate().for_each(|(index, arrow)| coming[arrow.to].push(index));
    let mut ends = vec![(0.0, 0.0); arrows.len()];
    for ((node, (left, top)), mut all) in nodes.iter().zip(places).zip(coming) {
        all.sort_by(|a, b| middle(*a).total_cmp(&middle(*b)));
        for (place, arrow) in all.iter().enumerate() {
            let within = match &node.shown {
                Shown::Frame(_, scene) => scene.inputs.get(arrows[*arrow].input).map(|end| (end, node.offset(scene))),
                Shown::Card(..) => None,
            };
            ends[*arrow] = match within {
                Some(((x, y), (dx, dy))) => (left + dx + x, top + dy + y),
                None => (left + node.width * (place + 1) as f64 / (all.len() + 1) as f64, *top),
            };
        }
    }
    ends
}

impl Node {
    /// Where the picture within a frame begins.
    fn offset(&self, scene: &Scene) -> (f64, f64) {
        ((self.width - scene.width) / 2.0, TITLE)
    }

    fn draw(&self, svg: &mut String, left: f64, top: f64) {
        let (width, height) = (self.width, self.height);
        match &self.shown {
            Shown::Card(lines, color) => {
                let _ = writeln!(
                    svg,
                    "<rect class=\"card\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"4\"/>\
                     <rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"4\" height=\"{height:.1}\" rx=\"2\" fill=\"{color}\"/>"
                );
                for (index, line) in lines.iter().enumerate() {
                    let (x, y) = (left + PADDING + 4.0, top + PADDING / 2.0 + LINE_HEIGHT * (index + 1) as f64 - 4.0);
                    let style = if index == 0 { "font-weight=\"bold\"" } else { "class=\"quiet\"" };
                    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{}</text>", escaped(line));
                }
            }
            Shown::Frame(title, scene) => {
                let (x, y) = (left + PADDING, top + FONT_SIZE + 6.0);
                let _ = writeln!(
                    svg,
                    "<rect class=\"line\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"8\" \
                     stroke-dasharray=\"5 4\"/>\n<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"over\" font-weight=\"bold\">{}</text>",
                    escaped(title)
                );
                let (dx, dy) = self.offset(scene);
                let _ = writeln!(svg, "<g transform=\"translate({:.1} {:.1})\">", left + dx, top + dy);
                *svg += &scene.drawn;
                *svg += "</g>\n";
            }
        }
    }
}

/// A line down, straight through the layers it passes, with a head and the name of what it gives.
fn draw_arrow(svg: &mut String, begin: (f64, f64), route: &[(f64, f64, f64)], end: (f64, f64), label: &str) {
    let mut path = format!("M{:.1} {:.1}", begin.0, begin.1);
    let mut at = begin;
    let mut bend = |at: &mut (f64, f64), x: f64, y: f64| {
        let middle = (at.1 + y) / 2.0;
        let _ = write!(path, "C{:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}", at.0);
        *at = (x, y);
    };
    for (x, top, bottom) in route {
        bend(&mut at, *x, *top);
        bend(&mut at, *x, *bottom);
    }
    bend(&mut at, end.0, end.1 - HEAD);
    let (x, y) = end;
    let _ =
        writeln!(svg, "<path class=\"line\" d=\"{path}\"/><path class=\"head\" d=\"M{x:.1} {y:.1}l-3.5 -{HEAD}h7z\"/>");
    if !label.is_empty() {
        let (x, y) = (x + 6.0, y - 5.0);
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"quiet over\">{}</text>", escaped(label));
    }
}

#[cfg(test)]
mod tests {
    use crate::layers::Add;
    use crate::{Architecture, Dense, Input, LSTM, Nested, On, Shared, layers};

    #[test]
    fn every_call_has_a_box_every_argument_an_arrow_and_every_model_within_a_frame() {
        let inner = Architecture::sequential(layers![Dense::new(4).input_shape([6]), Dense::new(6)]).unwrap();
        let x = Input::new([5, 6]).name("a<b").symbol();
        let shared = Shared::new(LSTM::new(6).return_state(true));
        let first = shared.on(&x);
        let again = shared.on_with(&x, &[("initial_state", &first.output(1)), ("initial_state", &first.output(2))]);
        let inside = Nested::new(inner).name("inner").on(&again);
        let y = Add::new().on([&first, &inside]);
        let svg = Architecture::of_symbols("m", [&x], [&y, &inside]).unwrap().to_svg();
        let count = |what: &str| svg.matches(what).count();
        // Input, two calls, two layers and the input within, sum, two outputs.
        assert_eq!(count("class=\"card\""), 9, "{svg}");
        assert_eq!(count("class=\"head\""), 1 + 3 + 1 + 2 + 2 + 2, "{svg}");
        assert_eq!((count("stroke-dasharray"), count(">inner (Sequential), 58 params<")), (1, 1));
        assert_eq!((count(">a&lt;b<"), count("a<b")), (1, 0));
        assert_eq!((count(">call 1 of 2<"), count(">call 2 of 2<"), count(">the same params<")), (1, 1, 1));
        assert_eq!((count(">initial_state<"), count(">[1]<"), count(">[2]<")), (1, 1, 1));
        assert_eq!((count(">output 0<"), count(">output 1<"), count("prefers-color-scheme: dark")), (1, 1, 1));
    }

    #[test]
    fn models_within_models_that_are_called_again_are_drawn_once() {
        let mut model = Architecture::sequential(layers![Dense::new(2).input_shape([2])]).unwrap();
        for depth in 0..7 {
            let twice = Shared::new(Nested::new(model).name("inner"));
            let x = Input::new([2]).symbol();
            let y = (0..8).fold(x.clone(), |y, _| twice.on(&y));
            model = Architecture::of_symbols(&format!("m{depth}"), [&x], [&y]).unwrap();
        }
        let svg = model.to_svg();
        // An input and seven further calls on each level, the one layer within and its input, the output.
        assert_eq!(svg.matches("class=\"card\"").count(), 7 * 8 + 2 + 1);
        assert_eq!(svg.matches("stroke-dasharray").count(), 7);
    }

    #[test]
    fn a_layer_that_reads_thousands_of_values_is_drawn_in_good_time() {
        let inputs: Vec<crate::Symbol> = (0..5_000).map(|_| Input::new([2]).symbol()).collect();
        let y = Add::new().on(&inputs[..]);
        let model = Architecture::of_symbols("m", &inputs[..], [&y]).unwrap();
        let begin = std::time::Instant::now();
        let svg = model.to_svg();
        assert!(begin.elapsed() < std::time::Duration::from_secs(1), "{:?}", begin.elapsed());
        assert_eq!(svg.matches("class=\"head\"").count(), 5_001);
    }

    #[test]
    fn models_that_are_not_built_are_drawn_without_shapes() {
        let svg = Architecture::sequential(layers![Dense::new(2), Dense::new(3)]).unwrap().to_svg();
        assert!(svg.matches("class=\"card\"").count() == 4 && !svg.contains("None"), "{svg}");
    }
}
