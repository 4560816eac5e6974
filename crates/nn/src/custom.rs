//! Classes of one's own, to be found again in files.

use crate::config::{self, Config, Reader};
use crate::{Error, Layer, Loss, Metric, Optimizer, losses, metrics};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

type Read<T> = Arc<dyn Fn(&mut Reader<'_>) -> Result<T, Error> + Send + Sync>;
type Classes<T> = Vec<(String, Read<T>)>;

/// The classes of one's own that a file may name: layers, losses, metrics and optimizers.
///
/// A file holds names and numbers, never code; a class that is neither built in nor listed here is refused. A class listed
/// under the name of a built-in takes its place. Keras knows these classes by `@keras.saving.register_keras_serializable()`.
///
/// # Examples
/// ```
/// use footlight_nn::{Call, Common, Custom, Layer, Masked, layers};
/// #[derive(Clone, Debug, Default)]
/// struct Square {
///     common: Common,
/// }
/// impl Layer for Square {
///     fn common(&self) -> &Common {
///         &self.common
///     }
///     fn common_mut(&mut self) -> &mut Common {
///         &mut self.common
///     }
///     fn call(&self, cx: &mut Call<'_>, x: Masked) -> Masked {
///         x.with(cx.graph.mul(x.value, x.value))
///     }
/// }
/// let custom = Custom::new().layer("Square", |_| Ok(Square::default()));
/// let written = layers::to_config(&Square::default(), "square", None);
/// assert_eq!(written["registered_name"], "Custom>Square");
/// assert!(layers::from_config(&written).is_err());
/// assert_eq!(layers::from_config_with(&written, &custom)?.class_name(), "Square");
/// # Ok::<(), footlight_nn::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Custom {
    layers: Classes<Box<dyn Layer>>,
    losses: Classes<Loss>,
    metrics: Classes<Metric>,
    optimizers: Classes<Box<dyn Optimizer>>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $list:ident: $bound:path => $made:ty, $into:expr) => {
        $(#[$doc])*
        pub fn $name<C: $bound + 'static>(
            mut self,
            class_name: &str,
            read: impl Fn(&mut Reader<'_>) -> Result<C, Error> + Send + Sync + 'static,
        ) -> Custom {
            let into: fn(C) -> $made = $into;
            self.$list.push((class_name.into(), Arc::new(move |reader| read(reader).map(into))));
            self
        }
    };
}

impl Custom {
    /// No classes.
    pub fn new() -> Custom {
        Custom::default()
    }

    kind! {
        /// With a layer, made of the keys that [`Layer::config`] writes; name, `trainable` and the like are seen to.
        layer, layers: Layer => Box<dyn Layer>, |layer| Box::new(layer)
    }

    kind! {
        /// With a loss, made of the keys that [`losses::Rule::settings`] writes.
        loss, losses: losses::Rule => Loss, Loss::from
    }

    kind! {
        /// With a metric, made of the keys that [`metrics::Rule::settings`] writes; its name is seen to.
        metric, metrics: metrics::Rule => Metric, Metric::from
    }

    kind! {
        /// With an optimizer, made of the keys that [`Optimizer::config`] writes; the common ones are seen to.
        optimizer, optimizers: Optimizer => Box<dyn Optimizer>, |optimizer| Box::new(optimizer)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.layers.iter().map(|(name, _)| name).chain(self.losses.iter().map(|(name, _)| name));
        let names = names.chain(self.metrics.iter().map(|(name, _)| name));
        names.chain(self.optimizers.iter().map(|(name, _)| name)).map(String::as_str)
    }

    pub(crate) fn find_layer(&self, value: &Value) -> Option<Found<Box<dyn Layer>>> {
        find(&self.layers, value)
    }

    pub(crate) fn find_loss(&self, value: &Value) -> Option<Found<Loss>> {
        find(&self.losses, value)
    }

    pub(crate) fn find_metric(&self, value: &Value) -> Option<Found<Metric>> {
        find(&self.metrics, value)
    }

    pub(crate) fn find_optimizer(&self, value: &Value) -> Option<Found<Box<dyn Optimizer>>> {
        find(&self.optimizers, value)
    }
}

/// A class of one's own that a file names: how to read it, its name and its keys.
pub(crate) struct Found<T> {
    read: Read<T>,
    class_name: String,
    config: Config,
}

impl<T> Found<T> {
    /// What `make` reads of the keys, none of which may be left; faults name the class.
    pub fn made(
        self,
        make: impl FnOnce(&dyn Fn(&mut Reader<'_>) -> Result<T, Error>, &mut Reader<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut reader = Reader::new(&self.config);
        let made = make(self.read.as_ref(), &mut reader).and_then(|made| reader.finish().map(|()| made));
        made.map_err(|error| error.at(format!("`{}`", self.class_name)))
    }
}

fn find<T>(classes: &Classes<T>, value: &Value) -> Option<Found<T>> {
    let (class_name, config) = match value.as_str() {
        Some(name) => (name.to_string(), Config::new()),
        None => config::parts(value).ok()?,
    };
    let (_, read) = classes.iter().find(|(known, _)| *known == class_name)?;
    Some(Found { read: read.clone(), class_name, config })
}
