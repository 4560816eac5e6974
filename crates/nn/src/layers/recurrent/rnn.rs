//! The recurrent layer of any cells.

use super::cell::Rule;
use super::sequence::{INITIAL_STATE, Placed, Recurrent, Sequence, recurrent_basics, sequence_methods};
use super::{GRUCell, LSTMCell, SimpleRNNCell};
use crate::config::{self, Config, KeyKind, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics, one_or_all};
use crate::layers::basics;
use crate::{Error, naming, suggest};
use serde_json::Value as Json;

macro_rules! cells {
    ($($class:literal => $cell:ident),* $(,)?) => {
        /// A cell of a recurrent layer.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Cell {
            $(#[doc = concat!("A `", $class, "`.")] $cell($cell)),*
        }

        /// Keras' class names of all cells.
        const CELLS: &[&str] = &[$($class),*];

        impl Cell {
            fn rule(&self) -> &dyn Rule {
                match self {
                    $(Cell::$cell(cell) => cell),*
                }
            }

            fn of_class(class: &str, read: &mut Reader<'_>) -> Result<Cell, Error> {
                match class {
                    $($class => {
                        let name = read.string("name")?;
                        let cell = $cell::from_config(read)?;
                        Ok(name.iter().fold(cell, |cell, name| cell.name(name)).into())
                    })*
                    other => Err(suggest::unknown("cell", other, CELLS)),
                }
            }
        }

        $(
            impl From<$cell> for Cell {
                fn from(cell: $cell) -> Cell {
                    Cell::$cell(cell)
                }
            }

            impl From<$cell> for Cells {
                fn from(cell: $cell) -> Cells {
                    Cells::One(cell.into())
                }
            }
        )*
    };
}

cells! {
    "SimpleRNNCell" => SimpleRNNCell,
    "LSTMCell" => LSTMCell,
    "GRUCell" => GRUCell,
}

/// The class of several cells.
const STACK: &str = "StackedRNNCells";

impl Cell {
    fn from_config(value: &Json) -> Result<Cell, Error> {
        let (class, config) = config::open(value)?;
        let mut read = Reader::new(&config);
        read.dtype()?;
        read.only("trainable", true)?;
        let cell = Cell::of_class(&class, &mut read)?;
        read.finish()?;
        Ok(cell)
    }

    fn to_config(&self, name: &str) -> Json {
        let mut config = basics(name, true);
        config.extend(self.rule().config());
        config.insert("seed".into(), Json::Null);
        config::object("keras.layers", self.rule().class_name(), config)
    }
}

/// Cells one after another, each on the outputs of the one before, for [`RNN`].
#[derive(Clone, Debug, PartialEq)]
pub struct StackedRNNCells {
    name: Option<String>,
    cells: Vec<Cell>,
}

impl StackedRNNCells {
    /// Cells one after another: `StackedRNNCells::new([LSTMCell::new(8).into(), GRUCell::new(4).into()])`.
    pub fn new(cells: impl Into<Vec<Cell>>) -> StackedRNNCells {
        StackedRNNCells { name: None, cells: cells.into() }
    }

    /// Names the stack; `stacked_rnn_cells` unless given.
    pub fn name(mut self, name: &str) -> StackedRNNCells {
        self.name = Some(name.into());
        self
    }

    fn told_name(&self) -> &str {
        self.name.as_deref().unwrap_or("stacked_rnn_cells")
    }

    /// The name of each cell: its own, or its class in snake case with `_1`, `_2` where that is taken.
    fn names(&self) -> Vec<String> {
        let classes = self.cells.iter().map(|cell| cell.rule().class_name());
        let keys = naming::container_keys(classes);
        self.cells.iter().zip(keys).map(|(cell, key)| cell.rule().given_name().map_or(key, String::from)).collect()
    }

    fn from_config(config: &Config) -> Result<StackedRNNCells, Error> {
        let mut read = Reader::new(config);
        read.dtype()?;
        read.only("trainable", true)?;
        let name = read.string("name")?;
        let cells = match read.get("cells") {
            Some(Json::Array(list)) => list.iter().map(Cell::from_config).collect::<Result<Vec<Cell>, Error>>()?,
            _ => return Err(config::missing("cells")),
        };
        read.finish()?;
        Ok(StackedRNNCells { name, cells })
    }
}

/// What a recurrent layer goes through its steps with.
#[allow(clippy::large_enum_variant, reason = "a model has few of them")]
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// One cell.
    One(Cell),
    /// Several, each on the outputs of the one before.
    Stacked(StackedRNNCells),
}

impl From<StackedRNNCells> for Cells {
    fn from(cells: StackedRNNCells) -> Cells {
        Cells::Stacked(cells)
    }
}

impl Cells {
    fn from_config(value: &Json) -> Result<Cells, Error> {
        match config::open(value)? {
            (class, config) if class == STACK => StackedRNNCells::from_config(&config).map(Cells::Stacked),
            _ => Cell::from_config(value).map(Cells::One),
        }
    }

    fn to_config(&self) -> Json {
        match self {
            Cells::One(cell) => cell.to_config(&cell_name(cell)),
            Cells::Stacked(stack) => {
                let cells: Vec<Json> = stack.cells.iter().zip(stack.names()).map(|(c, n)| c.to_config(&n)).collect();
                let mut config = basics(stack.told_name(), true);
                config.extend(config! { "cells": cells });
                config::object("keras.layers", STACK, config)
            }
        }
    }

    fn all(&self) -> &[Cell] {
        match self {
            Cells::One(cell) => std::slice::from_ref(cell),
            Cells::Stacked(stack) => &stack.cells,
        }
    }
}

/// The name of a cell that is alone.
fn cell_name(cell: &Cell) -> String {
    cell.rule().given_name().map_or_else(|| naming::to_snake_case(cell.rule().class_name()), String::from)
}

/// A recurrent layer of a cell, or of several one after another.
///
/// # Shapes
/// Input `[N, T, F]`; output `[N, U]`, that of the last step, or `[N, T, U]` with `return_sequences`, with the units `U` of
/// the last cell. With `return_state` the last states of all cells follow, `[N, U_i]` each. First states, zeros unless given,
/// are further inputs or given as `initial_state`.
///
/// # Arguments
/// The cell, or a [`StackedRNNCells`]. Defaults as in Keras: the last output alone, forwards.
///
/// # Numerics
/// Cells one after another go through time one after another, which is the same.
///
/// # Differences
/// Keras has cells of one's own. A masked step repeats the output before it; Keras takes a state of the first cell for that
/// where cells of one state are stacked.
///
/// # Examples
/// ```
/// use footlight_nn::{GRUCell, LSTMCell, Layer, RNN, StackedRNNCells};
/// let cells = StackedRNNCells::new([LSTMCell::new(8).into(), GRUCell::new(4).into()]);
/// let layer = RNN::new(cells).return_state(true);
/// assert_eq!(layer.output_shapes(&[vec![80, 3]]).unwrap(), [[4], [8], [8], [4]]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RNN {
    common: Common,
    cell: Cells,
    sequence: Sequence,
}

common_methods!(RNN);
sequence_methods!(RNN);

impl RNN {
    /// A layer of a cell, or of several.
    pub fn new(cell: impl Into<Cells>) -> RNN {
        RNN { common: Common::default(), cell: cell.into(), sequence: Sequence::default() }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<RNN, Error> {
        let cell = read.object_of("cell", KeyKind::Cell, Cells::from_config)?;
        let cell = cell.ok_or_else(|| config::missing("cell"))?;
        Ok(RNN { common: Common::default(), cell, sequence: Sequence::from_config(read)? })
    }
}

impl Recurrent for RNN {
    fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    fn sequence_mut(&mut self) -> &mut Sequence {
        &mut self.sequence
    }

    fn cells(&self) -> Vec<Placed<'_>> {
        match &self.cell {
            Cells::One(cell) => vec![Placed { rule: cell.rule(), scope: cell_name(cell), part: "cell".into() }],
            Cells::Stacked(stack) => {
                let keys = naming::container_keys(stack.cells.iter().map(|cell| cell.rule().class_name()));
                let placed = |((cell, name), key): ((_, String), String)| {
                    let scope = format!("{}/{name}", stack.told_name());
                    Placed { rule: Cell::rule(cell), scope, part: format!("cell/cells/{key}") }
                };
                stack.cells.iter().zip(stack.names()).zip(keys).map(placed).collect()
            }
        }
    }
}

impl Layer for RNN {
    layer_basics!("RNN");
    recurrent_basics!();

    fn config(&self) -> Config {
        let mut config = self.sequence.config();
        config.insert("cell".into(), self.cell.to_config());
        config
    }

    fn check(&self) -> Result<(), Error> {
        if self.cell.all().is_empty() {
            return Err(Error::config("needs at least one cell")
                .in_key("cell")
                .help("add one, such as LSTMCell::new(8)"));
        }
        if let Cells::Stacked(stack) = &self.cell {
            let mut names = stack.names();
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                let message = format!("two cells are called `{}`", pair[0]);
                return Err(Error::config(message).in_key("cell").help("give each cell its own name"));
            }
        }
        self.cell.all().iter().try_for_each(|cell| cell.rule().check())
    }
}
