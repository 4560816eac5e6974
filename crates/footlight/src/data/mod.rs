//! Data sets: columns of samples, where they come from, and digits made on the spot when they come from nowhere.
//!
//! [`load`] is the one door. A set is held in memory in its stored type; sets larger than memory are not for here.

mod arrays;
mod columns;
mod dataset;
pub mod digits;
#[cfg(feature = "download")]
mod download;
mod folder;
mod glyphs;
mod grid;
mod known;
mod picture;
mod samples;
mod source;
mod table;
mod text;

pub use columns::SamplesList;
pub(crate) use columns::{Columns, Feeds, feed};
pub use dataset::{Dataset, Origin};
pub use grid::write_grid;
pub use picture::Picture;
pub(crate) use samples::shuffle;
pub use samples::{Samples, shuffled};
pub use source::{LoadOptions, default_cache_folder, load, mnist};
pub use table::Table;
pub use text::{End, Split, Standardize, TextVectorization};
