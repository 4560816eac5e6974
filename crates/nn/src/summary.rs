//! The summary of a model, in the look of Keras.

use crate::{Architecture, Compile, Extents, Kind, Port};

/// Titles and widths of the columns, without margins, of a list of layers.
const LIST: &[(&str, usize)] = &[("Layer (type)", 31), ("Output Shape", 22), ("Param #", 13)];
/// Those of a graph of calls.
const GRAPH: &[(&str, usize)] = &[("Layer (type)", 27), ("Output Shape", 20), ("Param #", 11), ("Connected to", 24)];
/// Which column holds numbers.
const COUNTS: usize = 2;

impl Architecture {
    /// Keras' table of layers, output shapes and parameters, and the totals.
    ///
    /// What is longer than its column goes on below; a single word that is longer is cut and ends in `…`.
    ///
    /// # Differences
    /// `Total params` counts the model's parameters; Keras adds the optimizer's state to it, which here has a line of its
    /// own.
    pub fn summary(&self, compile: Option<&Compile>) -> String {
        let mut text = format!("Model: \"{}\"\n", self.name());
        let columns = if self.kind() == Kind::Functional { GRAPH } else { LIST };
        text += &rule(columns, "┏", "━", "┳", "┓");
        text += &line(columns, &columns.iter().map(|(title, _)| title.to_string()).collect::<Vec<_>>(), "┃");
        text += &rule(columns, "┡", "━", "╇", "┩");
        let rows: Vec<String> = self.rows().iter().map(|row| wrapped(columns, row)).collect();
        text += &rows.join(&rule(columns, "├", "─", "┼", "┤"));
        text += &rule(columns, "└", "─", "┴", "┘");
        text += &self.totals(compile);
        text
    }

    fn rows(&self) -> Vec<[String; 4]> {
        let named = self.layers().iter().zip(self.layer_names()).enumerate();
        named
            .filter(|(_, (layer, _))| self.kind() == Kind::Functional || layer.class_name() != "InputLayer")
            .map(|(index, (layer, name))| {
                let first = format!("{name} ({})", layer.class_name());
                let Some(extents) = self.layer_extents(index) else {
                    return [first, "?".into(), "0 (unbuilt)".into(), self.sources(index)];
                };
                let count: usize = self.weights_of(index).map(|w| w.spec.shape.iter().product::<usize>()).sum();
                [first, batched(extents), grouped(count), self.sources(index)]
            })
            .collect()
    }

    /// What the calls of a layer read: layer, number of the call, number of the output.
    fn sources(&self, layer: usize) -> String {
        let calls = self.calls().iter().filter(|call| call.layer == layer);
        let ports = calls.flat_map(|call| call.inputs.iter().chain(call.named.iter().flat_map(|(_, ports)| ports)));
        let names: Vec<String> = ports
            .filter_map(|port| match *port {
                Port::Output(call, output) => {
                    let source = self.calls()[call].layer;
                    let number = self.calls()[..call].iter().filter(|before| before.layer == source).count();
                    Some(format!("{}[{number}][{output}]", self.layer_names()[source]))
                }
                Port::Input(_) => None,
            })
            .collect();
        if names.is_empty() { "-".into() } else { names.join(", ") }
    }

    fn totals(&self, compile: Option<&Compile>) -> String {
        let count = |trainable: bool| -> usize {
            let of_kind = self.weights().iter().filter(|w| w.spec.trainable == trainable);
            of_kind.map(|w| w.spec.shape.iter().product::<usize>()).sum()
        };
        let (trained, fixed) = (count(true), count(false));
        let mut text = String::new();
        for (what, count) in [("Total", trained + fixed), ("Trainable", trained), ("Non-trainable", fixed)] {
            text += &format!(" {what} params: {} ({})\n", grouped(count), readable_size(4 * count));
        }
        if let Some(compile) = compile {
            let count: usize = compile.optimizer_states(self).iter().map(|(_, ty)| ty.len()).sum();
            text += &format!(" Optimizer params: {} ({})\n", grouped(count), readable_size(4 * count));
        }
        text
    }
}

/// Extents as Keras tells them, after that of the batch.
pub(crate) fn batched(extents: &Extents) -> String {
    let told = extents.0.iter().map(|extent| extent.map_or(", None".into(), |known| format!(", {known}")));
    format!("(None{}{})", told.collect::<String>(), if extents.0.is_empty() { "," } else { "" })
}

type Columns = [(&'static str, usize)];

fn rule(columns: &Columns, left: &str, fill: &str, middle: &str, right: &str) -> String {
    let cells: Vec<String> = columns.iter().map(|(_, width)| fill.repeat(width + 2)).collect();
    format!("{left}{}{right}\n", cells.join(middle))
}

fn line(columns: &Columns, cells: &[String], bar: &str) -> String {
    let padded = columns.iter().zip(cells).enumerate().map(|(column, ((_, width), cell))| match column {
        COUNTS => format!(" {cell:>width$} "),
        _ => format!(" {cell:<width$} "),
    });
    format!("{bar}{}{bar}\n", padded.collect::<Vec<_>>().join(bar))
}

/// A row of the table, as many lines as its longest cell.
fn wrapped(columns: &Columns, row: &[String; 4]) -> String {
    let cells: Vec<Vec<String>> = columns.iter().zip(row).map(|((_, width), cell)| wrap(cell, *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    let at = |index: usize| cells.iter().map(|cell| cell.get(index).cloned().unwrap_or_default()).collect::<Vec<_>>();
    (0..height).map(|index| line(columns, &at(index), "│")).collect()
}

/// The lines that `text` takes at `width`, broken between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let length = |text: &str| text.chars().count();
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| length(line) + 1 + length(word) <= width) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.into()),
        }
    }
    lines.into_iter().map(|line| if length(&line) > width { cut(&line, width) } else { line }).collect()
}

/// The beginning of a line that is too long.
fn cut(line: &str, width: usize) -> String {
    line.chars().take(width - 1).chain(['…']).collect()
}

/// A number with commas between thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as Keras writes them: in steps of 1024, two decimals.
pub fn readable_size(bytes: usize) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if size < 1024.0 {
            return format!("{size:.2} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.2} TB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, Dense, Dropout, Flatten, Loss, layers};

    #[test]
    fn words_wrap_and_one_that_is_too_long_is_cut() {
        assert_eq!(wrap("dense (Dense)", 13), ["dense (Dense)"]);
        assert_eq!(wrap("dense_1 (Dense)", 13), ["dense_1", "(Dense)"]);
        assert_eq!(wrap("(None, 28, 28, 3)", 9), ["(None,", "28, 28,", "3)"]);
        assert_eq!(wrap("a naïve_description", 8), ["a", "naïve_d…"]);
    }

    #[test]
    fn the_table_is_that_of_keras() {
        let model = Architecture::sequential(layers![
            Flatten::new().input_shape([28, 28]),
            Dense::new(128).activation("relu"),
            Dropout::new(0.2),
            Dense::new(10).activation("softmax"),
        ])
        .unwrap();
        let adam = Compile::new(Box::new(Adam::new()), Loss::from("mse"), vec![]).unwrap();
        let want = "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ flatten (Flatten)               │ (None, 784)            │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 128)            │       100,480 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dropout (Dropout)               │ (None, 128)            │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                 │ (None, 10)             │         1,290 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 101,770 (397.54 KB)
 Trainable params: 101,770 (397.54 KB)
 Non-trainable params: 0 (0.00 B)
 Optimizer params: 203,542 (795.09 KB)
";
        assert_eq!(model.summary(Some(&adam)), want);
    }
}
