//! `footlight recommend for` and `similar`: what a recommender answers.

use crate::output;
use clap::Parser;
use footlight::Result;
use footlight_apps::recommend::{Query, Recommendation, Recommender};
use serde_json::json;
use std::path::PathBuf;

/// Reasons that are shown of one recommendation.
const REASONS: usize = 3;

/// Recommend items to a user
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight recommend for 42 films.npz
  footlight recommend for 42 films.npz -k 5 --because --category Comedy
  footlight recommend for new films.npz --history 1,260,1196

Contributions of reasons sum to the score; the base is what it is without any history.")]
pub struct For {
    /// The user; with a history it may be one who is not known
    #[arg(value_name = "USER")]
    user: String,
    /// The recommender
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The number of items
    #[arg(short, value_name = "N", default_value_t = 10)]
    k: usize,
    /// Items that the user has seen after all that is known
    #[arg(long, value_name = "ITEM,...", value_delimiter = ',')]
    history: Vec<String>,
    /// Items that are left out
    #[arg(long, value_name = "ITEM,...", value_delimiter = ',')]
    exclude: Vec<String>,
    /// Only items of this category
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Recommend what was seen, too
    #[arg(long)]
    with_seen: bool,
    /// Tell why
    #[arg(long)]
    because: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl For {
    pub fn run(self) -> Result<()> {
        let recommender = Recommender::load(&self.file)?;
        let texts = |names: &'_ [String]| names.to_vec();
        let (history, exclude) = (texts(&self.history), texts(&self.exclude));
        let mut query = Query::of_user(&self.user)
            .history(history.iter().map(String::as_str))
            .exclude(exclude.iter().map(String::as_str))
            .k(self.k)
            .filter_seen(!self.with_seen)
            .because(self.because);
        if let Some(category) = &self.category {
            query = query.category(category);
        }
        let items = recommender.recommend(&query)?;
        match self.json {
            true => output::print(&format!("{}\n", as_json(&recommender, &self.user, &items))),
            false => output::print(&as_table(&recommender, &items)),
        }
    }
}

fn as_json(recommender: &Recommender, user: &str, items: &[Recommendation]) -> serde_json::Value {
    let item = |recommendation: &Recommendation| {
        let because = recommendation.because.iter();
        let because = because.map(|reason| json!({ "item": reason.item, "contribution": reason.contribution }));
        json!({
            "item": recommendation.item,
            "title": recommender.title(&recommendation.item),
            "score": recommendation.score,
            "because": because.collect::<Vec<_>>(),
        })
    };
    json!({ "user": user, "items": items.iter().map(item).collect::<Vec<_>>() })
}

/// A line for each item, and beneath it its weightiest reasons.
pub fn as_table(recommender: &Recommender, items: &[Recommendation]) -> String {
    let mut text = String::new();
    for (index, recommendation) in items.iter().enumerate() {
        let Recommendation { item, score, because } = recommendation;
        text += &format!("{:>3}. {:>8.4}  {item:<6} {}\n", index + 1, score, title(recommender, item));
        for reason in because.iter().take(REASONS) {
            let from =
                reason.item.as_ref().map_or("base".into(), |item| format!("{item} {}", title(recommender, item)));
            text += &format!("       {:>+8.4}  {}\n", reason.contribution, from.trim_end());
        }
        if because.len() > REASONS {
            let rest: f32 = because[REASONS..].iter().map(|reason| reason.contribution).sum();
            text += &format!("       {rest:>+8.4}  {} more\n", because.len() - REASONS);
        }
    }
    text
}

/// The title, where one is known.
fn title<'a>(recommender: &'a Recommender, item: &'a str) -> &'a str {
    let title = recommender.title(item);
    if title == item { "" } else { title }
}

/// Items that are like one
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight recommend similar 260 films.npz
  footlight recommend similar 260 films.npz -k 3 --json")]
pub struct Similar {
    /// The item
    #[arg(value_name = "ITEM")]
    item: String,
    /// The recommender
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The number of items
    #[arg(short, value_name = "N", default_value_t = 10)]
    k: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Similar {
    pub fn run(self) -> Result<()> {
        let recommender = Recommender::load(&self.file)?;
        let items = recommender.similar(&self.item, self.k)?;
        let none = |similar: footlight_apps::recommend::Similar| Recommendation {
            item: similar.item,
            score: similar.score,
            because: Vec::new(),
        };
        let items: Vec<Recommendation> = items.into_iter().map(none).collect();
        if self.json {
            let item = |similar: &Recommendation| json!({ "item": similar.item, "title": recommender.title(&similar.item), "score": similar.score });
            let all = json!({ "item": self.item, "items": items.iter().map(item).collect::<Vec<_>>() });
            return output::print(&format!("{all}\n"));
        }
        output::print(&as_table(&recommender, &items))
    }
}
