//! Where events come from, and which of them count.

use crate::output;
use clap::Args;
use footlight::Result;
use footlight_apps::recommend::serve::stored;
use footlight_apps::recommend::{self, Columns, Filter, Interactions, Reading};
use std::path::PathBuf;

/// Events, as all commands that learn from them take them.
#[derive(Args)]
pub struct Input {
    /// A MovieLens folder or archive, a folder of RecBole's atomic files, or a .csv, .tsv or .jsonl file of events; also the
    /// name of a folder in FOOTLIGHT_DATA [default: the embedded catalogue with users who are made up]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Add the events of a store of feedback, which no server may hold at the time
    #[arg(long, value_name = "FILE")]
    feedback: Option<PathBuf>,
    /// Pass over ratings below this
    #[arg(long, value_name = "RATING", allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Leave out users and items with fewer events, until there are none
    #[arg(long, value_name = "N", default_value_t = 0)]
    k_core: usize,
    /// Count each event of a user with one item [default: the last]
    #[arg(long)]
    keep_duplicates: bool,
    #[command(flatten)]
    columns: ColumnNames,
}

/// The names of columns, where they are not the usual ones.
#[derive(Args)]
pub struct ColumnNames {
    /// The column of users [default: user, user_id, userId]
    #[arg(long, value_name = "NAME")]
    user_column: Option<String>,
    /// The column of items [default: item, item_id, itemId, movieId]
    #[arg(long, value_name = "NAME")]
    item_column: Option<String>,
    /// The column of values [default: value, rating]
    #[arg(long, value_name = "NAME")]
    value_column: Option<String>,
    /// The column of times: seconds or milliseconds since 1970, 2026-11-26, 2026-11-26T12:00:00Z [default: time, timestamp]
    #[arg(long, value_name = "NAME")]
    time_column: Option<String>,
    /// The column of kinds (impression, click, play, complete, like, dislike, skip, rating) [default: kind, event,
    /// event_type]
    #[arg(long, value_name = "NAME")]
    kind_column: Option<String>,
}

impl ColumnNames {
    pub fn columns(self) -> Columns {
        let ColumnNames {
            user_column: user,
            item_column: item,
            value_column: value,
            time_column: time,
            kind_column: kind,
        } = self;
        Columns { user, item, value, time, kind }
    }
}

impl Input {
    /// The events, and what they are called.
    pub fn read(self) -> Result<(Interactions, String)> {
        let filter = Filter { threshold: self.threshold, k_core: self.k_core, keep_duplicates: self.keep_duplicates };
        let (mut all, mut name) = match self.data {
            None => (recommend::embedded(0), "the embedded catalogue, with users who are made up".to_string()),
            Some(path) => {
                let (all, reading) = recommend::open(&found(path.clone()), &self.columns.columns())?;
                tell(&reading);
                (all, path.display().to_string())
            }
        };
        if let Some(store) = self.feedback {
            let events = stored(&store)?;
            name += &format!(", and {} events of {}", events.len(), store.display());
            all = all.with_named(&events);
        }
        Ok((filter.apply(&all), name))
    }
}

/// The path itself, or that in the data folder.
fn found(path: PathBuf) -> PathBuf {
    let in_folder = std::env::var_os("FOOTLIGHT_DATA").map(|folder| PathBuf::from(folder).join(&path));
    match in_folder {
        Some(other) if !path.exists() && other.exists() => other,
        _ => path,
    }
}

/// Shows what was passed over.
pub fn tell(reading: &Reading) {
    if reading.malformed > 0 {
        output::note(format!("{reading}").trim_start());
    }
}
