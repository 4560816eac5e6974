//! How far predicted and true regions overlap.

use super::{Observed, Rule, weigh};
use crate::Error;
use crate::config::{self, Config, Reader, Setting, config};
use crate::losses::FUZZ;
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Type, Value};
use footlight_tensor::DType;

/// What all of this family share: a confusion matrix and the classes of interest.
#[derive(Clone, Debug)]
struct Overlap {
    num_classes: usize,
    /// The classes whose overlap is averaged; `None` for all.
    target_class_ids: Option<Vec<usize>>,
    ignore_class: Option<i32>,
    /// Whether targets are classes rather than one-hot.
    sparse_y_true: bool,
    /// Whether predictions are classes rather than one number per class.
    sparse_y_pred: bool,
    /// For two classes: a prediction from here on is of class 1.
    threshold: Option<f32>,
}

impl Overlap {
    fn of(num_classes: usize, target_class_ids: Option<Vec<usize>>) -> Overlap {
        Overlap {
            num_classes,
            target_class_ids,
            ignore_class: None,
            sparse_y_true: true,
            sparse_y_pred: true,
            threshold: None,
        }
    }

    fn target_type(&self, shape: &[usize]) -> Type {
        match (self.sparse_y_true, self.sparse_y_pred) {
            (true, false) => Type::i32(&shape[..shape.len().saturating_sub(1)]),
            (false, true) => Type::f32([shape, &[self.num_classes]].concat()),
            _ => Type::f32(shape),
        }
    }

    /// The weight of each pair of true class (row) and predicted class (column), `[K, K]`.
    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Value {
        let y = if self.sparse_y_true { g.cast(batch.y, DType::I32) } else { g.argmax(batch.y) };
        let p = match (self.threshold, self.sparse_y_pred) {
            (Some(threshold), _) => {
                let threshold = g.constant(threshold);
                let positive = g.binary(Binary::GreaterEqual, batch.p.value, threshold);
                g.cast(positive, DType::I32)
            }
            (None, true) => g.cast(batch.p.value, DType::I32),
            (None, false) => g.argmax(batch.p.value),
        };
        // Classes outside of the matrix are rows of zeros, which count nowhere.
        let [y_rows, p] = [y, p].map(|classes| g.one_hot(classes, self.num_classes));
        let mut truth = weigh(g, y_rows, batch.weight);
        if let Some(class) = self.ignore_class {
            let (y, class) = (g.cast(y, DType::F32), g.constant(class as f32));
            let ignored = g.binary(Binary::Equal, y, class);
            let counted = g.scalar_sub(1.0, ignored);
            let shape = [g.shape(y), vec![1]].concat();
            let counted = g.reshape(counted, shape);
            truth = g.mul(truth, counted);
        }
        let rows: usize = g.shape(y).iter().product();
        let [truth, p] = [truth, p].map(|x| g.reshape(x, [rows, self.num_classes]));
        g.matmul_with(truth, p, true, false)
    }

    fn result(&self, matrix: &[f64]) -> f64 {
        let k = self.num_classes;
        let union = |class: usize| {
            let row: f64 = matrix[class * k..][..k].iter().sum();
            let column: f64 = matrix.iter().skip(class).step_by(k).sum();
            row + column - matrix[class * k + class]
        };
        let classes = self.target_class_ids.clone().unwrap_or((0..k).collect());
        let seen: Vec<usize> = classes.into_iter().filter(|class| union(*class) > 1e-9).collect();
        let epsilon = f64::from(FUZZ);
        let overlap = |class: &usize| matrix[class * k + class] / (union(*class) + epsilon);
        seen.iter().map(overlap).sum::<f64>() / (seen.len() as f64 + epsilon)
    }

    fn check(&self) -> Result<(), Error> {
        if self.num_classes == 0 {
            return Err(Error::config("num_classes = 0, at least 1 is needed"));
        }
        match self.target_class_ids.iter().flatten().find(|class| **class >= self.num_classes) {
            Some(class) => Err(Error::config(format!("target_class_ids: {class} must be in 0..{}", self.num_classes))),
            None => Ok(()),
        }
    }

    /// The keys that `keys` names.
    fn read(read: &mut Reader<'_>, keys: &[&'static str]) -> Result<Overlap, Error> {
        let has = |key: &str| keys.contains(&key);
        let mut made = Overlap::of(read.required_usize("num_classes")?, None);
        if has("target_class_ids") {
            made.target_class_ids = Some(class_ids(read)?.ok_or_else(|| config::missing("target_class_ids"))?);
        }
        made.ignore_class = Setting::read(read, "ignore_class")?.flatten();
        made.sparse_y_true = has("sparse_y_true") && read.bool("sparse_y_true", true)?;
        made.sparse_y_pred = read.bool("sparse_y_pred", has("sparse_y_true"))?;
        read.only("axis", -1)?;
        Ok(made)
    }

    fn write(&self, keys: &[&str]) -> Config {
        let all = config! {
            "num_classes": self.num_classes, "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class, "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred, "axis": -1,
        };
        all.into_iter().filter(|(key, _)| keys.contains(&key.as_str()) || key == "axis").collect()
    }
}

fn class_ids(read: &mut Reader<'_>) -> Result<Option<Vec<usize>>, Error> {
    let class = |id: i64| {
        usize::try_from(id).map_err(|_| {
            Error::config(format!("target_class_ids: {id} is negative, classes begin at 0")).in_key("target_class_ids")
        })
    };
    read.i64s("target_class_ids")?.map(|ids| ids.into_iter().map(class).collect()).transpose()
}

/// Metrics of this family, each with the keys it has in Keras.
macro_rules! overlaps {
    ($($(#[$doc:meta])* $class:ident [$($key:literal),*];)*) => {$(
        $(#[$doc])*
        ///
        /// # Numerics
        /// A class that is neither true nor predicted is left out of the mean. Classes outside of `0..num_classes` count
        /// nowhere.
        ///
        /// # Differences
        /// Keras counts in whole numbers and cuts fractions of weights off; here they count.
        #[derive(Clone, Debug)]
        pub struct $class(Overlap);

        impl $class {
            /// The metric told by this name.
            pub fn name(self, name: &str) -> crate::Metric {
                crate::Metric::from(self).named(name)
            }
        }

        impl Rule for $class {
            fn class_name(&self) -> &'static str {
                stringify!($class)
            }
            fn states(&self) -> &'static [&'static str] {
                &["total_confusion_matrix"]
            }
            fn target_type(&self, shape: &[usize]) -> Type {
                self.0.target_type(shape)
            }
            fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
                vec![self.0.lower(g, batch)]
            }
            fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
                vec![self.0.result(&sums[0])]
            }
            fn settings(&self) -> Config {
                if let Some(threshold) = self.0.threshold {
                    return config! { "target_class_ids": self.0.target_class_ids, "threshold": threshold };
                }
                self.0.write(&[$($key),*])
            }
            fn check(&self) -> Result<(), Error> {
                self.0.check()
            }
        }
    )*};
}

overlaps! {
    /// The mean over `target_class_ids` of intersection over union, `TP / (TP + FP + FN)`.
    ///
    /// # Shapes
    /// Targets and predictions `[N, ...]`, both classes; see [`IoU::sparse_y_true`] and [`IoU::sparse_y_pred`].
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::metrics::{IoU, Rule};
    /// let half = IoU::new(2, [0]).result(&[vec![1.0, 1.0, 0.0, 2.0]]);
    /// assert!((half[0] - 0.5).abs() < 1e-6);
    /// ```
    IoU ["num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred"];

    /// [`IoU`] of two classes, of which predictions from `threshold` on are the second.
    ///
    /// # Shapes
    /// Targets (0 and 1) and predictions `[N, ...]`.
    ///
    /// # Arguments
    /// `target_class_ids`: `[0, 1]`, and `threshold`: 0.5, both as in Keras.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::BinaryIoU};
    /// assert!(Metric::from(BinaryIoU::new().target_class_ids([2])).check().is_err());
    /// ```
    BinaryIoU [];

    /// The mean of intersection over union of all classes, `TP / (TP + FP + FN)`.
    ///
    /// # Shapes
    /// Targets and predictions `[N, ...]`, both classes; see [`MeanIoU::sparse_y_true`] and [`MeanIoU::sparse_y_pred`].
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::MeanIoU};
    /// assert_eq!(Metric::from(MeanIoU::new(3)).name(), "mean_io_u");
    /// ```
    MeanIoU ["num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred"];

    /// [`IoU`] of targets that are one-hot.
    ///
    /// # Shapes
    /// Targets (one-hot) and predictions `[N, ..., K]`; with `sparse_y_pred`, predictions (classes) `[N, ...]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::metrics::{OneHotIoU, Rule};
    /// assert_eq!(OneHotIoU::new(3, [0, 2]).target_type(&[8, 3]).shape, [8, 3]);
    /// ```
    OneHotIoU ["num_classes", "target_class_ids", "ignore_class", "sparse_y_pred"];

    /// [`MeanIoU`] of targets that are one-hot.
    ///
    /// # Shapes
    /// Targets (one-hot) and predictions `[N, ..., K]`; with `sparse_y_pred`, predictions (classes) `[N, ...]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::OneHotMeanIoU};
    /// assert_eq!(Metric::from(OneHotMeanIoU::new(3)).name(), "one_hot_mean_io_u");
    /// ```
    OneHotMeanIoU ["num_classes", "ignore_class", "sparse_y_pred"];
}

/// Settings of those that have them.
macro_rules! setters {
    ($($class:ident),*) => {$(
        impl $class {
            /// A true class that counts nowhere; default none.
            pub fn ignore_class(mut self, class: i32) -> Self {
                self.0.ignore_class = Some(class);
                self
            }

            /// Whether predictions are classes rather than one number per class.
            pub fn sparse_y_pred(mut self, is_sparse: bool) -> Self {
                self.0.sparse_y_pred = is_sparse;
                self
            }
        }
    )*};
}

setters!(IoU, MeanIoU, OneHotIoU, OneHotMeanIoU);

impl IoU {
    /// The overlap of these of `num_classes` classes.
    pub fn new(num_classes: usize, target_class_ids: impl Into<Vec<usize>>) -> Self {
        IoU(Overlap::of(num_classes, Some(target_class_ids.into())))
    }

    /// Whether targets are classes (default) rather than one-hot.
    pub fn sparse_y_true(mut self, is_sparse: bool) -> Self {
        self.0.sparse_y_true = is_sparse;
        self
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        Overlap::read(read, &["target_class_ids", "sparse_y_true"]).map(IoU)
    }
}

impl MeanIoU {
    /// The overlap of `num_classes` classes.
    pub fn new(num_classes: usize) -> Self {
        MeanIoU(Overlap::of(num_classes, None))
    }

    /// Whether targets are classes (default) rather than one-hot.
    pub fn sparse_y_true(mut self, is_sparse: bool) -> Self {
        self.0.sparse_y_true = is_sparse;
        self
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        Overlap::read(read, &["sparse_y_true"]).map(MeanIoU)
    }
}

impl OneHotIoU {
    /// The overlap of these of `num_classes` classes.
    pub fn new(num_classes: usize, target_class_ids: impl Into<Vec<usize>>) -> Self {
        let shared = Overlap::of(num_classes, Some(target_class_ids.into()));
        OneHotIoU(Overlap { sparse_y_true: false, sparse_y_pred: false, ..shared })
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        Overlap::read(read, &["target_class_ids"]).map(OneHotIoU)
    }
}

impl OneHotMeanIoU {
    /// The overlap of `num_classes` classes.
    pub fn new(num_classes: usize) -> Self {
        OneHotMeanIoU(Overlap { sparse_y_true: false, sparse_y_pred: false, ..Overlap::of(num_classes, None) })
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        Overlap::read(read, &[]).map(OneHotMeanIoU)
    }
}

impl Default for BinaryIoU {
    fn default() -> Self {
        BinaryIoU(Overlap { threshold: Some(0.5), ..Overlap::of(2, Some(vec![0, 1])) })
    }
}

impl BinaryIoU {
    /// The metric with Keras' defaults.
    pub fn new() -> Self {
        BinaryIoU::default()
    }

    /// The classes whose overlap is averaged; default both.
    pub fn target_class_ids(mut self, ids: impl Into<Vec<usize>>) -> Self {
        self.0.target_class_ids = Some(ids.into());
        self
    }

    /// A prediction from here on is of class 1; default 0.5.
    pub fn threshold(mut self, threshold: f32) -> Self {
        self.0.threshold = Some(threshold);
        self
    }

    pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
        let mut made = BinaryIoU::new().threshold(read.f32("threshold", 0.5)?);
        if let Some(ids) = class_ids(read)? {
            made = made.target_class_ids(ids);
        }
        Ok(made)
    }
}
