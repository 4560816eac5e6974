//! Recurrent layers: one loop over the steps of a sequence for each cell.

mod bidirectional;
mod cell;
mod gru;
mod lstm;
mod rnn;
mod sequence;
mod settings;
mod simple_rnn;

pub use bidirectional::{Bidirectional, Direction, MergeMode};
pub use gru::{GRU, GRUCell};
pub use lstm::{LSTM, LSTMCell};
pub use rnn::{Cell, Cells, RNN, StackedRNNCells};
pub use simple_rnn::{SimpleRNN, SimpleRNNCell};
