//! Recurrent layers: one loop over the steps of a sequence for each cell.

mod cell;
mod gru;
mod lstm;
mod sequence;
mod settings;
mod simple_rnn;

pub use gru::{GRU, GRUCell};
pub use lstm::{LSTM, LSTMCell};
pub use simple_rnn::{SimpleRNN, SimpleRNNCell};
