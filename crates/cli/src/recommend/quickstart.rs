//! `footlight recommend quickstart`: all of it on the embedded catalogue.

use super::ask::as_table;
use crate::output;
use clap::Parser;
use footlight::Result;
use footlight_apps::recommend::{self, EventKind, Kind, NamedEvent, Query, Recommender, Settings};

/// See it work: train, ask, explain and update on the embedded catalogue
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight recommend quickstart")]
pub struct Quickstart {}

impl Quickstart {
    pub fn run(self) -> Result<()> {
        let films = recommend::embedded(0);
        output::print(&format!(
            "{} films and the {} events of {} users who are made up\n",
            films.items.len(),
            films.num_events(),
            films.users.len()
        ))?;
        let mut recommender = Recommender::fit(films, Kind::Ease, &Settings::default(), 0, 1)?;
        let show = |recommender: &Recommender, what: &str, query: &Query| {
            output::print(&format!("\n{what}\n{}", as_table(recommender, &recommender.recommend(query)?)))
        };
        show(&recommender, "For user 7, and why:", &Query::of_user("7").k(3).because(true))?;
        show(&recommender, "For somebody new who saw Nosferatu and Dracula:", &Query::of_history(["6", "40"]).k(3))?;
        let seen = |item: &str| NamedEvent {
            user: "you".into(),
            item: item.into(),
            kind: EventKind::Like,
            value: 5.0,
            time: 0,
        };
        recommender.update(&[seen("5"), seen("37")]);
        show(&recommender, "For you, who liked The Kid and City Lights a moment ago:", &Query::of_user("you").k(3))?;
        output::print("\nNext: footlight recommend train --data FOLDER, or footlight recommend --help\n")
    }
}
