//! Models on disk, as Keras 3 reads and writes them.

use std::path::Path;
use std::time::SystemTime;

use footlight_nn::Custom;
use footlight_nn::file::{Archive, SavedModel, Scope, to_archive, write_atomically};

use crate::model::Model;
use crate::reading::Reading;
use crate::{Error, Result};

impl Model {
    /// Writes the model as a `.keras` file: layers, weights, what it is trained by and the optimizer's state, the vocabulary
    /// and the names of classes.
    ///
    /// The file is there whole or not at all; an older one stays until the new one is on the disk. Keras 3 opens it.
    ///
    /// # Errors
    /// `ErrorKind::File` with the path when it cannot be written.
    ///
    /// # Examples
    /// ```
    /// use footlight::prelude::*;
    /// let path = std::env::temp_dir().join(format!("footlight-doc-{}.keras", std::process::id()));
    /// let mut model = Sequential::new(layers![Dense::new(3).input_shape([4])])?;
    /// model.save(&path)?;
    /// let x = Samples::from(Tensor::new([2, 4], vec![0.5f32; 8])?);
    /// assert_eq!(Model::load(&path)?.predict(&x)?, model.predict(&x)?);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = self.to_bytes().map_err(|error| error.at(format!("`{}`", path.display())))?;
        Ok(write_atomically(path, &bytes)?)
    }

    /// The bytes of the `.keras` file that [`Model::save`] writes.
    ///
    /// # Errors
    /// `ErrorKind::File` for a vocabulary that is too large to be read again.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let compile = self.compile.as_ref().ok();
        let mut archive = to_archive(&self.architecture, compile, &|name| self.state(name), SystemTime::now());
        archive.footlight = self.reading.to_json();
        Ok(archive.write()?)
    }

    /// Opens a `.keras` file that Footlight or Keras saved, or a `.h5` file with a whole model of Keras 1, 2 or 3; nothing
    /// in it is executed.
    ///
    /// Seeds are not part of the file: the model has seed 0. Training settings that are not known here are told when they
    /// are asked for, by `fit` or `evaluate`; the model answers without them. An optimizer goes on where it was, except
    /// from `.h5` files that order its variables in another way, see [`SavedModel::from_hdf5`].
    ///
    /// # Errors
    /// `ErrorKind::File` with the path: a file that cannot be read, is damaged, or holds layers or settings that are not
    /// known; variables that are missing, unexpected or of another shape are told together.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        Model::load_with(path, &Custom::new())
    }

    /// As [`Model::load`], with layers, losses, metrics and optimizers of one's own.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(path: impl AsRef<Path>, custom: &Custom) -> Result<Model> {
        Model::open(path.as_ref(), Scope::Whole, custom)
    }

    /// As [`Model::load`], as if the model had never been compiled, which is all that answers need: optimizer, loss and
    /// metrics are passed over, and so are the optimizer's states, which can be twice as much as the weights.
    ///
    /// A model that is saved again is saved without them; `fit` and `evaluate` want `compile` first. Keras says
    /// `load_model(path, compile=False)`.
    ///
    /// # Errors
    /// As [`Model::load`].
    ///
    /// # Examples
    /// ```
    /// use footlight::prelude::*;
    /// let path = std::env::temp_dir().join(format!("footlight-doc-uncompiled-{}.keras", std::process::id()));
    /// let mut model = Sequential::new(layers![Dense::new(3).input_shape([4])])?;
    /// model.compile("adam", "mse", [])?;
    /// model.save(&path)?;
    /// let again = Model::load_uncompiled(&path)?;
    /// assert_eq!(again.state("dense/kernel"), model.state("dense/kernel"));
    /// assert!(!again.is_compiled());
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn load_uncompiled(path: impl AsRef<Path>) -> Result<Model> {
        Model::open(path.as_ref(), Scope::Uncompiled, &Custom::new())
    }

    fn open(path: &Path, scope: Scope, custom: &Custom) -> Result<Model> {
        let place = |error: Error| error.at(format!("`{}`", path.display()));
        Model::of_saved(SavedModel::open(path, scope, custom)?, place)
    }

    /// Reads the bytes of a file as [`Model::load`] does.
    ///
    /// # Errors
    /// As [`Model::load`], without a path.
    ///
    /// # Examples
    /// ```
    /// use footlight::prelude::*;
    /// let model = Sequential::new(layers![Dense::new(3).input_shape([4])])?;
    /// let again = Model::from_bytes(model.to_bytes()?)?;
    /// assert_eq!(again.state("dense/kernel"), model.state("dense/kernel"));
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Model> {
        Model::of_saved(SavedModel::read(bytes, &Custom::new())?, |error| error)
    }

    /// The model that a file holds; `place` says which.
    fn of_saved(saved: SavedModel, place: impl Fn(Error) -> Error) -> Result<Model> {
        let mut model = Model::bare(saved.architecture);
        let read = Reading::from_json(&saved.footlight);
        model.reading = read.map_err(|error| place(error.at(format!("`{}`", Archive::FOOTLIGHT))))?;
        model.has_weights = model.architecture.is_built();
        match saved.compile {
            Some(Ok(compile)) => model.set_compile(compile),
            Some(Err(error)) => model.compile = Err(place(error.into())),
            None => {}
        }
        for (name, role, value) in saved.states {
            model.engine.store_mut().set(&name, role, &value).expect("shapes were checked against the description");
        }
        Ok(model)
    }
}
