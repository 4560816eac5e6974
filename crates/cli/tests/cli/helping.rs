//! Help, completions, and what a shell needs.

use crate::support::*;

const COMMANDS: [&str; 9] =
    ["train", "evaluate", "predict", "generate", "recommend", "summary", "schema", "bench", "completions"];

#[test]
fn every_command_has_help_with_an_example() {
    let folder = Folder::new();
    let all = folder.run("--help").done().out;
    for command in COMMANDS {
        assert!(all.contains(&format!("\n  {command} ")), "{all}");
        let help = folder.run(&format!("{command} --help")).done().out;
        assert!(help.contains("Example") && help.contains(&format!("  footlight {command}")), "{help}");
    }
}

#[test]
fn the_help_of_training_names_every_optimizer() {
    let help = Folder::new().run("train --help").done().out;
    let words: Vec<&str> = help.split(|c: char| !c.is_alphanumeric()).collect();
    assert!(footlight::nn::optimizers::NAMES.iter().all(|name| words.contains(name)), "{help}");
}

#[test]
fn every_shell_has_completions() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = folder.run(&format!("completions {shell}")).done().out;
        assert!(COMMANDS.iter().all(|command| text.contains(command)) && text.contains("validation-split"), "{shell}");
    }
}

#[test]
fn the_version_is_told_and_no_command_is_bad_use() {
    let folder = Folder::new();
    assert_eq!(folder.run("--version").done().out, format!("footlight {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(folder.run("").code, Some(2));
}
