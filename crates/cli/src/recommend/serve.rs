//! `footlight recommend serve`: recommendations over HTTP.

use super::train::threads;
use crate::{models, output};
use clap::Parser;
use footlight::{Error, ErrorKind, Result};
use footlight_apps::recommend::Recommender;
use footlight_apps::recommend::serve::Serving;
use std::path::{Path, PathBuf};

/// The variable that holds the token, which no other user of the machine sees there.
const TOKEN: &str = "FOOTLIGHT_TOKEN";

/// Serve recommendations over HTTP, with a page
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight recommend train && footlight recommend serve
  footlight recommend serve films.npz --address 0.0.0.0:8080 --token-file token
  curl -X POST 127.0.0.1:8080/api/feedback -d '[{\"FeedbackType\": \"like\", \"UserId\": \"you\", \"ItemId\": \"5\"}]'
  curl '127.0.0.1:8080/api/recommend/you?n=3&because=true'

The page is at /, the routes are described at /api/docs. Feedback is on disk before it is acknowledged and counts in the \
next answer; FILE stays as it is. The token may also stand in the variable FOOTLIGHT_TOKEN. Ctrl-C stops when all answers \
are given.")]
pub struct Serve {
    /// The recommender
    #[arg(value_name = "FILE", default_value = "recommender.npz")]
    file: PathBuf,
    /// Where to listen; port 0 is any that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    address: String,
    /// Where feedback is kept [default: FILE with the ending .feedback]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// A file with the token that requests have to carry
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The most threads that compute answers [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
}

impl Serve {
    pub fn run(self) -> Result<()> {
        let recommender = Recommender::load(&self.file)?;
        let store = self.store.unwrap_or_else(|| self.file.with_extension("feedback"));
        let mut serving = Serving::default().threads(threads(self.threads));
        if let Some(token) = token(self.token_file.as_deref())? {
            serving = serving.token(token);
        }
        let (kind, data) = (recommender.model().kind().name(), recommender.data());
        let told = format!("{kind}, {} items, {} users", data.items.len(), data.users.len());
        let server = serving.bind(recommender, &store, &self.address)?;
        let replayed = server.replayed();
        let unknown: usize = replayed.unknown_items.iter().map(|(_, count)| count).sum();
        if unknown > 0 {
            output::note(&format!(
                "{unknown} events in `{}` are of items that the model does not know",
                store.display()
            ));
        }
        let stopper = server.stopper();
        // A second handler cannot be set, and there is no first.
        let _ = ctrlc::set_handler(move || stopper.stop());
        output::print(&format!(
            "Recommender: {}: {told}\nFeedback: {}: {} events\nListening: http://{}\n",
            self.file.display(),
            store.display(),
            replayed.added + unknown,
            server.address()
        ))?;
        let requests = server.run()?;
        output::print(&format!("Stopped after {requests} requests\n"))
    }
}

/// The token of the file, or of the variable.
fn token(file: Option<&Path>) -> Result<Option<String>> {
    let Some(file) = file else { return Ok(std::env::var(TOKEN).ok()) };
    let unreadable = |error| Error::new(ErrorKind::File, format!("`{}`: cannot read it: {error}", file.display()));
    Ok(Some(std::fs::read_to_string(file).map_err(unreadable)?.trim().to_string()))
}
