//! Content recommendation: what a user might like next, from what all users did.
//!
//! ```
//! use footlight_apps::recommend::{self, Kind, Query, Recommender, Settings};
//! let films = recommend::embedded(0);
//! let recommender = Recommender::fit(films, Kind::Ease, &Settings::default(), 0, 1)?;
//! let best = recommender.recommend(&Query::of_user("7").k(3).because(true))?;
//! assert_eq!(best.len(), 3);
//! // Who was never seen is answered from a history.
//! let next = recommender.recommend(&Query::of_history(["1", "23"]).k(1))?;
//! assert_ne!(next[0].item, "23");
//! # Ok::<(), footlight::Error>(())
//! ```
//!
//! Data comes from MovieLens folders, RecBole's atomic files and tables ([`open`]); models are in the list [`Kind`]; how good
//! they are is measured by `evaluate`.

mod data;
pub mod evaluate;
mod file;
mod linear;
mod models;
mod parallel;
mod recommender;
pub mod serve;

pub use data::{
    Columns, Event, EventKind, Filter, Interactions, Item, Malformed, NamedEvent, Names, Reading, embedded, open,
    open_events,
};
pub use models::{Cost, Counts, Explanation, Fitted, Fitting, Kind, Model, Setting, Settings};
pub use recommender::{Query, Reason, Recommendation, Recommender, Similar, Update};
