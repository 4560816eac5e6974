//! Pooling over one, two or three spatial axes: maxima and means of windows, one implementation for all.

mod adaptive;
mod global;
mod local;

pub use adaptive::{
    AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D, AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D, AdaptiveMaxPooling3D, AdaptivePooling,
};
pub use global::{
    GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D, GlobalMaxPooling1D, GlobalMaxPooling2D,
    GlobalMaxPooling3D, GlobalPooling,
};
pub use local::{
    AveragePooling1D, AveragePooling2D, AveragePooling3D, MaxPooling1D, MaxPooling2D, MaxPooling3D, Pooling,
};

use footlight_graph::ops::Windows;
use footlight_graph::{Builder, Value};
use std::fmt::Debug;

/// The class names of a pooling by axes: of windows, of the whole image, and adaptive.
pub struct Names {
    local: [&'static str; 3],
    global: [&'static str; 3],
    adaptive: [&'static str; 3],
}

/// What a pooling makes of a window: [`Max`] or [`Average`].
pub trait Pool: Clone + Debug + PartialEq + Send + Sync + 'static {
    /// Keras' class names.
    const NAMES: Names;

    /// Whether it is a mean, which a mask can weigh.
    const IS_MEAN: bool;

    /// Of each window of `x`, whose channels are last.
    fn windows(g: &mut Builder, x: Value, windows: &[Windows]) -> Value;

    /// Along whole axes.
    fn whole(g: &mut Builder, x: Value, axes: &[usize], keepdims: bool) -> Value;
}

/// The maximum; of equal ones the first takes the gradient of a window, all share that of a whole image. NaN wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Max;

/// The mean of the positions that lie inside the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Average;

impl Pool for Max {
    const NAMES: Names = Names {
        local: ["MaxPooling1D", "MaxPooling2D", "MaxPooling3D"],
        global: ["GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"],
        adaptive: ["AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D"],
    };
    const IS_MEAN: bool = false;

    fn windows(g: &mut Builder, x: Value, windows: &[Windows]) -> Value {
        g.max_pool(x, windows).0
    }

    fn whole(g: &mut Builder, x: Value, axes: &[usize], keepdims: bool) -> Value {
        g.reduce_max(x, axes, keepdims)
    }
}

impl Pool for Average {
    const NAMES: Names = Names {
        local: ["AveragePooling1D", "AveragePooling2D", "AveragePooling3D"],
        global: ["GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"],
        adaptive: ["AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D"],
    };
    const IS_MEAN: bool = true;

    fn windows(g: &mut Builder, x: Value, windows: &[Windows]) -> Value {
        g.average_pool(x, windows)
    }

    fn whole(g: &mut Builder, x: Value, axes: &[usize], keepdims: bool) -> Value {
        g.reduce_mean(x, axes, keepdims)
    }
}
