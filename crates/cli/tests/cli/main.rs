//! The command as a person meets it: arguments in; standard output, standard error, files and exit codes out.

mod descriptions;
mod errors;
mod helping;
mod models;
mod recommending;
mod resuming;
mod serving;
mod support;
mod tables;
mod texts;
mod training;
