//! The summary of a model, in the look of Keras.

use crate::{Architecture, Compile};

/// Inner widths of the three columns, margins included.
const WIDTHS: [usize; 3] = [33, 24, 15];

impl Architecture {
    /// Keras' table of layers, output shapes and parameters, and the totals.
    ///
    /// # Differences
    /// `Total params` counts the model's parameters; Keras adds the optimizer's state to it, which here has a line of its
    /// own.
    pub fn summary(&self, compile: Option<&Compile>) -> String {
        let rows = self.rows();
        let mut widths = WIDTHS;
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count() + 2);
            }
        }
        let rule = |left: &str, fill: &str, middle: &str, right: &str| {
            let cells: Vec<String> = widths.iter().map(|w| fill.repeat(*w)).collect();
            format!("{left}{}{right}\n", cells.join(middle))
        };
        let line = |cells: &[String; 3], bar: &str| {
            let [a, b, c] = [widths[0] - 2, widths[1] - 2, widths[2] - 2];
            format!("{bar} {:<a$} {bar} {:<b$} {bar} {:>c$} {bar}\n", cells[0], cells[1], cells[2])
        };
        let mut text = format!("Model: \"{}\"\n", self.name());
        text += &rule("┏", "━", "┳", "┓");
        text += &line(&["Layer (type)", "Output Shape", "Param #"].map(String::from), "┃");
        text += &rule("┡", "━", "╇", "┩");
        for (i, row) in rows.iter().enumerate() {
            if i > 0 {
                text += &rule("├", "─", "┼", "┤");
            }
            text += &line(row, "│");
        }
        text += &rule("└", "─", "┴", "┘");
        text += &self.totals(compile);
        text
    }

    fn rows(&self) -> Vec<[String; 3]> {
        let named = self.layers().iter().zip(self.layer_names()).enumerate();
        named
            .filter(|(_, (layer, _))| layer.class_name() != "InputLayer")
            .map(|(index, (layer, name))| {
                let first = format!("{name} ({})", layer.class_name());
                let Some(shape) = self.output_shapes().get(index) else {
                    return [first, "?".into(), "0 (unbuilt)".into()];
                };
                let extents: Vec<String> = shape.iter().map(|d| format!(", {d}")).collect();
                let count: usize = self
                    .weights()
                    .iter()
                    .filter(|w| w.layer == index)
                    .map(|w| w.spec.shape.iter().product::<usize>())
                    .sum();
                [
                    first,
                    format!("(None{}{})", extents.concat(), if shape.is_empty() { "," } else { "" }),
                    grouped(count),
                ]
            })
            .collect()
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
    use crate::*;

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
