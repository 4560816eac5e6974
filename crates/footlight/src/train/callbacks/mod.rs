//! Callbacks with the rules of Keras.

mod csv_logger;
mod early_stopping;
mod learning_rate_scheduler;
mod model_checkpoint;
mod monitor;
mod reduce_lr_on_plateau;
mod tensor_board;
mod terminate_on_nan;

pub use csv_logger::CSVLogger;
pub use early_stopping::EarlyStopping;
pub use learning_rate_scheduler::LearningRateScheduler;
pub use model_checkpoint::ModelCheckpoint;
pub use monitor::Direction;
pub use reduce_lr_on_plateau::ReduceLROnPlateau;
pub use tensor_board::TensorBoard;
pub use terminate_on_nan::TerminateOnNaN;

use footlight_nn::config::{self, Config, Key, Reader};
use footlight_nn::{Error, suggest};

use super::Callback;

macro_rules! catalogue {
    ($($class:literal => $callback:ident),* $(,)?) => {
        /// Keras' class names of the callbacks that can be made from a configuration.
        pub const CLASSES: &[&str] = &[$($class),*];

        fn read(class: &str, read: &mut Reader<'_>) -> Result<Box<dyn Callback>, Error> {
            match class {
                $($class => Ok(Box::new($callback::from_config(read)?)),)*
                other => Err(suggest::unknown("callback", other, CLASSES)),
            }
        }
    };
}

catalogue! {
    "EarlyStopping" => EarlyStopping,
    "ModelCheckpoint" => ModelCheckpoint,
    "ReduceLROnPlateau" => ReduceLROnPlateau,
    "CSVLogger" => CSVLogger,
    "TensorBoard" => TensorBoard,
    "TerminateOnNaN" => TerminateOnNaN,
}

/// A callback from its class and Keras' arguments.
///
/// # Errors
/// A class or key that is not known, or a value out of range.
pub fn from_config(value: &serde_json::Value) -> Result<Box<dyn Callback>, Error> {
    let (class, config) = config::open(value)?;
    let is_known = CLASSES.contains(&class.as_str());
    let place = |e: Error| if is_known { e.at(format!("callback `{class}`")) } else { e };
    let mut reader = Reader::new(&config);
    let callback = read(&class, &mut reader).map_err(place)?;
    reader.finish().map_err(place)?;
    Ok(callback)
}

/// The keys of a class of callbacks.
pub fn keys(class: &str) -> Vec<Key> {
    config::keys_of(|reader| read(class, reader).map(|_| Config::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_class_is_made_of_what_it_demands() {
        for class in CLASSES {
            let demanded: Config =
                keys(class).into_iter().filter(|key| key.is_required).map(|key| (key.name, "a.keras".into())).collect();
            let made = from_config(&json!({ "class_name": class, "config": demanded }));
            assert!(made.is_ok(), "{class}: {:?}", made.err());
        }
    }

    #[test]
    fn faults_name_the_callback_and_the_key() {
        for (class, config, key, told) in [
            ("EarlyStopping", json!({ "patient": 3 }), "patient", "did you mean `patience`?"),
            ("EarlyStopping", json!({ "mode": "up" }), "mode", "callback `EarlyStopping`: unknown mode `up`"),
            ("ReduceLROnPlateau", json!({ "factor": 2 }), "factor", "factor = 2 must be in [0, 1)"),
            ("ModelCheckpoint", json!({}), "filepath", "`filepath` is missing"),
            ("ModelCheckpoint", json!({ "filepath": "a.h5" }), "filepath", "has to end in `.keras`"),
            ("CSVLogger", json!({ "filename": "a", "separator": "--" }), "separator", "expected one character"),
        ] {
            let error = from_config(&json!({ "class_name": class, "config": config })).err().unwrap();
            assert_eq!(error.key(), Some(key), "{error}");
            assert!(error.to_string().contains(told), "{error}");
        }
        let error = from_config(&json!({ "class_name": "EarlyStoping", "config": {} })).err().unwrap();
        assert!(error.message().starts_with("unknown callback `EarlyStoping`"), "{error}");
    }
}
