//! A table of comma-separated values, whose column `y` holds the labels.
#![no_main]

use footlight::data::Table;
use footlight_fuzz as _;
use libfuzzer_sys::fuzz_target;

/// No fault is told at greater length, whatever the table holds.
const TOLD_BYTES: usize = 64 << 10;

fuzz_target!(|bytes: &[u8]| {
    let unlabelled = Table::read(bytes, None).expect_err("which column is the label was not said");
    assert!(unlabelled.to_string().len() < TOLD_BYTES);
    let table = match Table::read(bytes, Some("y")) {
        Ok(table) => table,
        Err(error) => return assert!(error.to_string().len() < TOLD_BYTES),
    };
    let again = Table::read(written(&table).as_bytes(), Some("y")).expect("what is written can be read");
    // Whole numbers may come back as such, having been rounded to them.
    assert_eq!(again.y.to_tensor().to_f32(), table.y.to_tensor().to_f32());
    assert_eq!((again.x.to_tensor(), again.classes), (table.x.to_tensor(), table.classes));
});

fn written(table: &Table) -> String {
    let width = table.x.sample_len();
    let names = (0..width).map(|index| format!("{index},"));
    let (x, y) = (table.x.to_tensor().to_f32(), table.y.to_tensor());
    let rows = x.chunks(width).zip(y.to_f64()).map(|(cells, label)| {
        let cells: String = cells.iter().map(|cell| format!("{cell},")).collect();
        let label = match table.classes.get(label as usize) {
            Some(class) => format!("\"{}\"", class.replace('"', "\"\"")),
            None => label.to_string(),
        };
        format!("{cells}{label}\n")
    });
    format!("{}y\n{}", names.collect::<String>(), rows.collect::<String>())
}
