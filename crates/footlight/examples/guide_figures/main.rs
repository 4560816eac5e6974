//! The figures of the guide: `cargo run --release --example guide_figures -p footlight`.
//!
//! Every figure is drawn from numbers that Footlight computes here, from fixed seeds, and written to
//! `docs/guide/figures`.

mod data;
mod learning;
mod networks;
mod plot;
mod steps;
mod texts;

use footlight::Result;
use std::path::Path;

/// A file's name and what draws it.
type Figure = (&'static str, fn() -> Result<String>);

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/figures");
    let figures: [Figure; 14] = [
        ("first_training", learning::first_training),
        ("activations", networks::activations),
        ("neuron", networks::neuron),
        ("losses", networks::losses),
        ("descent", steps::descent),
        ("backpropagation", steps::backpropagation),
        ("depth", networks::depth),
        ("choosing", learning::choosing),
        ("plateau", learning::plateau),
        ("remedies", learning::remedies),
        ("resumed", steps::resumed),
        ("answers", learning::answers),
        ("kernels", learning::kernels),
        ("temperatures", texts::temperatures),
    ];
    for (name, draw) in figures {
        let svg = draw()?;
        println!("{name}.svg: {:.1} kB", svg.len() as f64 / 1000.0);
        footlight::write_atomically(folder.join(format!("{name}.svg")), svg.as_bytes())?;
    }
    Ok(())
}
