//! Model files as Keras 3 reads and writes them: the `.keras` archive, the HDF5 tree of weights inside it, and the rule
//! that says which layer's variables lie where. Whole models in HDF5 alone, as Keras 1 and 2 wrote them, are read too.
//!
//! The layers of a file, each ignorant of the one above:
//! [`Group`] is a tree of named tensors; [`hdf5`] is that tree as bytes; [`Archive`] is the zip around it;
//! [`weights_tree`] and [`read_vars`] map a model's variables to paths; [`SavedModel`] is the whole model, of whichever
//! kind its file is;
//! [`write_atomically`] puts bytes on a disk. What is read is read where it lies (`bytes`), so that memory holds little but
//! the tensors.
//!
//! Files come from strangers. Nothing in them is run, no length is believed before the bytes are there, and every
//! fault is an error that names the member, the path or the byte.

mod archive;
mod bytes;
pub mod hdf5;
mod legacy;
mod model;
mod older;
mod save;
mod saved;
mod scope;
mod tree;

pub use archive::{Archive, KERAS_VERSION};
pub use model::{LayerShapes, LayerVars, ModelShapes, ModelVars, OptimizerVars, VarShape, read_vars, weights_tree};
pub use save::{write_atomically, write_atomically_with};
pub use saved::{SavedModel, States, to_archive};
pub use scope::Scope;
pub use tree::{Entry, Group};
