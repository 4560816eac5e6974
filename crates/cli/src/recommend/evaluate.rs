//! `footlight recommend evaluate`: how good models are on events that they have not seen.

use super::input::Input;
use super::train::{described, setting, settings, threads};
use crate::{models, output};
use clap::Parser;
use footlight::Result;
use footlight_apps::recommend::evaluate::{Chosen, Evaluation, NAMES, Protocol, Report};
use footlight_apps::recommend::{Kind, Settings};
use serde_json::{Value as Json, json};

/// The protocols that are told where none is named.
const HEADLINES: [Protocol; 2] = [Protocol::PerUser, Protocol::LeaveOneOut];
/// The models that are told where none is named: those that are fitted in seconds.
const KINDS: [Kind; 6] = [Kind::Popularity, Kind::ItemKnn, Kind::Ease, Kind::Als, Kind::Bpr, Kind::Blend];

/// Evaluate models on events that they have not seen
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight recommend evaluate --data ml-100k
  footlight recommend evaluate --data ml-100k --protocol global-time --models popularity,ease,blend --json

Every item is ranked, what a user has seen is left out, and settings are chosen on a part of what is learned from. The \
interval holds the mean with 95 %, by the bootstrap over users.")]
pub struct Evaluate {
    #[command(flatten)]
    input: Input,
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', help = format!("{} [default: per-user,leave-one-out]", Protocol::NAMES.join(", ")))]
    protocol: Vec<String>,
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', help = format!("{} [default: {}]", Kind::NAMES.join(", "), KINDS.map(Kind::name).join(",")))]
    models: Vec<String>,
    /// How often a random protocol divides the events
    #[arg(long, value_name = "N", default_value_t = 5)]
    splits: usize,
    /// Fix a setting, which is not chosen then, such as epochs=20
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, f32)>,
    /// The most threads to use; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
    /// Print one line of JSON for each protocol and model
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub fn run(self) -> Result<()> {
        let protocols = match self.protocol.is_empty() {
            true => HEADLINES.to_vec(),
            false => self.protocol.iter().map(|name| Protocol::from_name(name)).collect::<Result<_>>()?,
        };
        let kinds = match self.models.is_empty() {
            true => KINDS.to_vec(),
            false => self.models.iter().map(|name| Kind::from_name(name)).collect::<Result<_>>()?,
        };
        let settings = settings(self.set);
        let (data, name) = self.input.read()?;
        if !self.json {
            let (users, items) = (data.users.len(), data.items.len());
            output::print(&format!("Data: {name}: {users} users, {items} items, {} events\n", data.num_events()))?;
        }
        for protocol in protocols {
            let evaluation = Evaluation {
                protocol,
                kinds: kinds.clone(),
                splits: self.splits,
                settings: settings.clone(),
                threads: threads(self.threads),
            };
            if !self.json {
                output::print(&headline(protocol))?;
            }
            evaluation.run(&data, &mut |report| {
                output::print(&if self.json { format!("{}\n", as_json(&report)) } else { as_rows(&report) })
            })?;
        }
        Ok(())
    }
}

fn headline(protocol: Protocol) -> String {
    let names: Vec<String> = NAMES.iter().map(|name| format!("{name:>12}")).collect();
    format!(
        "\n{}\n{:<11}{}{:>18}{:>9}{:>8}{:>7}{:>22}{:>8}\n",
        protocol.name(),
        "",
        names.concat(),
        "95 % of nDCG",
        "coverage",
        "novelty",
        "Gini",
        "recall by popularity",
        "time"
    )
}

fn as_rows(report: &Report) -> String {
    let numbers: Vec<String> = report.metrics.iter().map(|metric| format!("{:>12.4}", metric.mean)).collect();
    let (ndcg, spread) = (report.metrics[0], report.spread);
    let interval = format!("[{:.4}, {:.4}]", ndcg.low, ndcg.high);
    let [head, middle, tail] = spread.recall_by_popularity;
    let by_popularity = format!("{head:.3} {middle:.3} {tail:.3}");
    let mut text = format!(
        "{:<11}{}{interval:>18}{:>9.3}{:>8.2}{:>7.3}{by_popularity:>22}{:>6.1} s\n",
        report.kind.name(),
        numbers.concat(),
        spread.coverage,
        spread.novelty,
        spread.gini,
        report.time.as_secs_f64()
    );
    for (weight, member) in &report.chosen.members {
        text += &format!("{:>11} {}\n", weight, described(member.kind, &member.settings));
    }
    text
}

fn as_json(report: &Report) -> Json {
    let mut line = json!({
        "protocol": report.protocol.name(),
        "model": report.kind.name(),
        "splits": report.splits,
        "users": report.users,
    });
    for (name, metric) in NAMES.iter().zip(&report.metrics) {
        line[*name] = json!(metric.mean);
        line[format!("{name}_interval")] = json!([metric.low, metric.high]);
    }
    line["coverage@10"] = json!(report.spread.coverage);
    line["novelty@10"] = json!(report.spread.novelty);
    line["gini@10"] = json!(report.spread.gini);
    line["recall@10_by_popularity"] = json!(report.spread.recall_by_popularity);
    line["chosen"] = chosen(&report.chosen);
    line["seconds"] = json!(report.time.as_secs_f64());
    line
}

/// A number with the digits that it was written with.
fn number(value: f32) -> Json {
    value.to_string().parse::<f64>().map_or(Json::Null, Json::from)
}

/// What was chosen on validation.
fn chosen(chosen: &Chosen) -> Json {
    let settings = |settings: &Settings| {
        settings.entries().iter().map(|(name, value)| (name.clone(), number(*value))).collect::<serde_json::Map<_, _>>()
    };
    let member = |(weight, member): &(f32, Chosen)| json!({ "model": member.kind.name(), "weight": number(*weight), "settings": settings(&member.settings) });
    json!({
        "settings": settings(&chosen.settings),
        "members": chosen.members.iter().map(member).collect::<Vec<_>>(),
        "validation_ndcg@10": chosen.validation,
    })
}
