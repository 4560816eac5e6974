//! The training loop: what is seen when, what callbacks may do, and going on after an end at any moment.

use footlight::prelude::*;
use footlight::train::{
    CSVLogger, Callback, Direction, EarlyStopping, LearningRateScheduler, Logs, ModelCheckpoint, ReduceLROnPlateau,
    TensorBoard, TerminateOnNaN, Training,
};
use footlight::{ErrorKind, Result};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("footlight-training-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// 50 samples of 3 classes.
fn data() -> (Samples, Samples) {
    let x = (0..200).map(|i| ((i * 37) % 101) as f32 / 101.0 + (i / 4 % 3) as f32).collect::<Vec<_>>();
    let y = (0..50).map(|i| (i % 3) as u8).collect::<Vec<_>>();
    (Samples::from(Tensor::new([50, 4], x).unwrap()), Samples::from(Tensor::new([50], y).unwrap()))
}

fn model() -> Model {
    let layers = layers![
        Dense::new(8).activation("relu").input_shape([4]),
        BatchNormalization::new(),
        Dropout::new(0.3),
        Dense::new(3).activation("softmax"),
    ];
    let mut model = Sequential::new(layers).unwrap().seed(5);
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
    model
}

fn quiet<'a>() -> Fit<'a> {
    Fit::new().batch_size(16).progress(Progress::None)
}

/// Everything a model is and has learned, as bytes.
fn bytes_of(model: &Model, folder: &Folder) -> Vec<u8> {
    let path = folder.0.join("bytes.keras");
    model.save(&path).unwrap();
    let archive = footlight::nn::file::Archive::open(&path).unwrap();
    footlight::nn::file::hdf5::write(&archive.weights).unwrap()
}

#[derive(Default)]
struct Recorder(Vec<String>);

impl Callback for Recorder {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.0.push(format!("train of {} steps", training.plan.steps));
        Ok(())
    }
    fn on_epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.0.push(format!("epoch {}", training.epoch));
        Ok(())
    }
    fn on_batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        assert!(training.batch_loss.is_finite());
        self.0.push(format!("step {}", training.step));
        Ok(())
    }
    fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
        let names: Vec<&str> = logs.iter().map(|(name, _)| name.as_str()).collect();
        self.0.push(format!("end {} {}", training.epoch, names.join(" ")));
        Ok(())
    }
    fn on_train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.0.push(format!("end after {}", training.history.epochs()));
        Ok(())
    }
}

#[test]
fn callbacks_are_called_in_the_order_of_keras() {
    let ((x, y), mut recorder) = (data(), Recorder::default());
    let fit = quiet().epochs(3).initial_epoch(1).batch_size(30).validation_split(0.2).validation_freq(2);
    model().fit(&x, &y, fit.callback(&mut recorder)).unwrap();
    let want = [
        "train of 2 steps",
        "epoch 1",
        "step 1",
        "step 2",
        "end 1 accuracy loss val_accuracy val_loss",
        "epoch 2",
        "step 1",
        "step 2",
        "end 2 accuracy loss",
        "end after 2",
    ];
    assert_eq!(recorder.0, want);
}

#[test]
fn steps_per_epoch_go_on_through_the_samples() {
    let ((x, y), folder) = (data(), Folder::new("steps"));
    let (mut whole, mut parts) = (model(), model());
    // 50 samples in batches of 16 are 4 steps: 2 passes are 8 steps, and so are 4 epochs of 2.
    whole.fit(&x, &y, quiet().epochs(2)).unwrap();
    parts.fit(&x, &y, quiet().epochs(4).steps_per_epoch(2)).unwrap();
    assert!(bytes_of(&whole, &folder) == bytes_of(&parts, &folder));
}

#[test]
fn early_stopping_waits_restores_and_tells_when() {
    /// Feeds a made-up metric.
    struct Script(Vec<f64>);
    impl Callback for Script {
        fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
            logs.push(("score".into(), self.0[training.epoch]));
            Ok(())
        }
    }
    let (x, y) = data();
    let mut weights = Vec::new();
    struct Keep<'a>(&'a mut Vec<Tensor>);
    impl Callback for Keep<'_> {
        fn on_epoch_end(&mut self, training: &mut Training<'_>, _: &mut Logs) -> Result<()> {
            self.0.push(training.model.state("dense/kernel").unwrap());
            Ok(())
        }
    }
    let mut script = Script(vec![1.0, 3.0, 2.0, 3.0, 2.9, 5.0]);
    let mut stop =
        EarlyStopping::new().monitor("score").direction(Direction::Max).patience(3).restore_best_weights(true);
    let mut keep = Keep(&mut weights);
    let mut model = model();
    let fit = quiet().epochs(6).callback(&mut script).callback(&mut keep).callback(&mut stop);
    let history = model.fit(&x, &y, fit).unwrap();
    assert_eq!((history.epochs(), stop.stopped_epoch(), stop.best_epoch()), (5, Some(4), 1));
    assert_eq!(model.state("dense/kernel").unwrap(), weights[1]);
}

#[test]
fn a_metric_that_is_not_told_is_an_error() {
    let ((x, y), mut stop) = (data(), EarlyStopping::new());
    let error = model().fit(&x, &y, quiet().callback(&mut stop)).unwrap_err();
    assert!(error.message().starts_with("unknown metric for EarlyStopping `val_loss`"), "{error}");
    assert!(error.help_text().unwrap().contains("validation_split"), "{error}");
}

#[test]
fn learning_rates_follow_schedules_and_plateaus() {
    let (x, y) = data();
    let mut halved = LearningRateScheduler::new(|epoch, rate| if epoch == 0 { rate } else { rate / 2.0 });
    let history = model().fit(&x, &y, quiet().epochs(3).callback(&mut halved)).unwrap();
    let rates: Vec<f32> = history.get("learning_rate").unwrap().iter().map(|rate| *rate as f32).collect();
    assert_eq!(rates, [0.001, 0.0005, 0.00025]);
    // A loss never beats the best by a million: each epoch after the first is a plateau.
    let mut plateau = ReduceLROnPlateau::new().monitor("loss").min_delta(1e6).patience(2).cooldown(1).min_lr(2e-5);
    let history = model().fit(&x, &y, quiet().epochs(9).callback(&mut plateau)).unwrap();
    let rates: Vec<f32> = history.get("learning_rate").unwrap().iter().map(|rate| *rate as f32).collect();
    let tenth = 1e-3 * 0.1;
    assert_eq!(rates, [1e-3, 1e-3, 1e-3, tenth, tenth, 2e-5, 2e-5, 2e-5, 2e-5]);
}

#[test]
fn models_are_kept_by_epoch_or_only_the_best() {
    let ((x, y), folder) = (data(), Folder::new("keep"));
    let pattern = folder.0.join("m-{epoch:02}-{loss:.1f}.keras").display().to_string();
    let mut every = ModelCheckpoint::new(&pattern);
    let best = folder.0.join("best.keras").display().to_string();
    let mut only_best = ModelCheckpoint::new(&best).monitor("loss").save_best_only(true);
    let mut model = model();
    let history = model.fit(&x, &y, quiet().epochs(3).callback(&mut every).callback(&mut only_best)).unwrap();
    let losses = history.get("loss").unwrap();
    let of_epoch = |epoch: usize| folder.0.join(format!("m-{:02}-{:.1}.keras", epoch + 1, losses[epoch]));
    let kernel = |path: PathBuf| Model::load(path).unwrap().state("dense/kernel").unwrap();
    assert_eq!(kernel(of_epoch(2)), model.state("dense/kernel").unwrap());
    let lowest = (0..3).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap();
    assert_eq!(kernel(best.into()), kernel(of_epoch(lowest)));
    let error = model.fit(&x, &y, quiet().callback(&mut ModelCheckpoint::new("model.bin"))).unwrap_err();
    assert!(error.message().contains("has to end in `.keras`"), "{error}");
}

#[test]
fn a_table_has_a_row_per_epoch_and_na_where_validation_was_left_out() {
    let ((x, y), folder) = (data(), Folder::new("csv"));
    let path = folder.0.join("log.csv");
    let mut log = CSVLogger::new(&path);
    let fit = quiet().epochs(2).validation_split(0.2).validation_freq(2).callback(&mut log);
    let history = model().fit(&x, &y, fit).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "epoch,accuracy,loss,val_accuracy,val_loss");
    let number = |name: &str, epoch: usize| history.get(name).unwrap()[epoch].to_string();
    assert_eq!(lines[1], format!("0,{},{},NA,NA", number("accuracy", 0), number("loss", 0)));
    assert!(lines[2].starts_with("1,") && lines[2].ends_with(&number("val_loss", 0)) && lines.len() == 3);
}

#[test]
fn event_files_lie_where_tensorboard_looks() {
    let ((x, y), folder) = (data(), Folder::new("events"));
    model().fit(&x, &y, quiet().epochs(2).validation_split(0.2).callback(&mut TensorBoard::new(&folder.0))).unwrap();
    for part in ["train", "validation"] {
        let entry = std::fs::read_dir(folder.0.join(part)).unwrap().next().unwrap().unwrap();
        assert!(entry.file_name().to_string_lossy().starts_with("events.out.tfevents."));
        let bytes = std::fs::read(entry.path()).unwrap();
        let contains = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(contains(b"brain.Event:2") && contains(b"epoch_loss") && contains(b"epoch_accuracy"));
        assert_eq!(contains(b"epoch_learning_rate"), part == "train");
    }
}

#[test]
fn a_loss_that_is_no_number_is_an_error_or_a_quiet_end() {
    let (x, y) = data();
    let diverging = || {
        let mut model = Sequential::new(layers![Dense::new(4), Dense::new(3).activation("softmax")]).unwrap();
        model.compile(SGD::new().learning_rate(1e30), "sparse_categorical_crossentropy", []).unwrap();
        model
    };
    let error = diverging().fit(&x, &y, quiet().epochs(3)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Numeric);
    let history = diverging().fit(&x, &y, quiet().epochs(3).callback(&mut TerminateOnNaN::new())).unwrap();
    assert_eq!(history.epochs(), 1);
}

/// Ends a training at a step, as if the process had died there.
struct Death {
    at: usize,
    steps: usize,
}

impl Callback for Death {
    fn on_batch_end(&mut self, _: &mut Training<'_>) -> Result<()> {
        self.steps += 1;
        if self.steps == self.at { Err(footlight::Error::new(ErrorKind::Invalid, "dead")) } else { Ok(()) }
    }
}

#[test]
fn a_training_that_died_anywhere_goes_on_as_if_it_had_not() {
    let ((x, y), folder) = (data(), Folder::new("resume"));
    let checkpoint = folder.0.join("training.npz");
    // The same callbacks as when it goes on; `Death` at 0 never comes.
    let train = |model: &mut Model, at: usize, csv: &str| {
        let mut death = Death { at, steps: 0 };
        let mut plateau = ReduceLROnPlateau::new().monitor("val_loss").patience(1).min_delta(0.01);
        let mut stop = EarlyStopping::new().monitor("val_accuracy").patience(4).restore_best_weights(true);
        let mut log = CSVLogger::new(folder.0.join(csv));
        let fit = quiet().epochs(8).validation_split(0.2).checkpoint(&checkpoint, Duration::ZERO).resume(true);
        let fit = fit.callback(&mut death).callback(&mut plateau).callback(&mut stop).callback(&mut log);
        model.fit(&x, &y, fit)
    };
    let mut straight = model();
    let history = train(&mut straight, 0, "straight.csv").unwrap();
    let bytes = bytes_of(&straight, &folder);
    assert!(history.epochs() >= 5, "the training is long enough to die in");
    for at in 1..=15 {
        let _ = std::fs::remove_file(&checkpoint);
        train(&mut model(), at, "resumed.csv").unwrap_err();
        let mut resumed = model();
        assert_eq!(train(&mut resumed, 0, "resumed.csv").unwrap(), history, "died at {at}");
        assert!(bytes_of(&resumed, &folder) == bytes, "died at {at}");
        let read = |name: &str| std::fs::read_to_string(folder.0.join(name)).unwrap();
        assert_eq!(read("resumed.csv"), read("straight.csv"), "died at {at}");
    }
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let ((x, y), folder) = (data(), Folder::new("another"));
    let checkpoint = folder.0.join("training.npz");
    let fit = || quiet().epochs(2).checkpoint(&checkpoint, Duration::ZERO).resume(true);
    model().fit(&x, &y, fit()).unwrap();
    let error = model().seed(6).fit(&x, &y, fit()).unwrap_err();
    assert!(error.message().contains("this is another training: seed was 5, is 6"), "{error}");
    let error = model().fit(&x, &y, fit().batch_size(8)).unwrap_err();
    assert!(error.message().contains("batch_size was 16, is 8"), "{error}");
    std::fs::write(&checkpoint, "no checkpoint").unwrap();
    let error = model().fit(&x, &y, fit()).unwrap_err();
    assert_eq!((error.kind(), error.help_text()), (ErrorKind::File, Some("remove the file to start anew")));
}

#[test]
fn a_checkpoint_that_was_tampered_with_is_refused() {
    use footlight::tensor::{Data, npz};
    type Arrays = Vec<(String, Tensor)>;
    let ((x, y), folder) = (data(), Folder::new("tampered"));
    let checkpoint = folder.0.join("training.npz");
    let train = || {
        let mut stop = EarlyStopping::new().monitor("loss").patience(3).restore_best_weights(true);
        let fit = quiet().epochs(2).checkpoint(&checkpoint, Duration::ZERO).resume(true);
        model().fit(&x, &y, fit.callback(&mut stop))
    };
    train().unwrap();
    let honest = npz::read(&std::fs::read(&checkpoint).unwrap()).unwrap();
    let text = |arrays: &mut Arrays, old: &str, new: &str| {
        let Data::U8(bytes) = arrays[0].1.data() else { panic!("the first array is text") };
        let changed = String::from_utf8(bytes.clone()).unwrap();
        assert!(changed.contains(old), "{changed}");
        let changed = changed.replace(old, new).into_bytes();
        arrays[0].1 = Tensor::new([changed.len()], changed).unwrap();
    };
    let array = |arrays: &mut Arrays, name: &str, value: Tensor| {
        arrays.iter_mut().find(|(array, _)| array == name).unwrap().1 = value;
    };
    let refusal = |change: &dyn Fn(&mut Arrays)| {
        let mut arrays = honest.clone();
        change(&mut arrays);
        let named = arrays.iter().map(|(name, tensor)| (name.as_str(), tensor));
        std::fs::write(&checkpoint, npz::write(named).unwrap()).unwrap();
        let error = train().unwrap_err();
        assert_eq!((error.kind(), error.help_text()), (ErrorKind::File, Some("remove the file to start anew")));
        error.message().to_string()
    };
    let message = refusal(&|arrays| text(arrays, "\"step\":0", "\"step\":99"));
    assert!(message.ends_with("it says that 99 steps of an epoch are done, which has fewer"), "{message}");
    let message = refusal(&|arrays| array(arrays, "state/dense/bias", Tensor::new([8], vec![0; 8]).unwrap()));
    assert!(message.contains("state `dense/bias` is missing or is no "), "{message}");
    let message = refusal(&|arrays| array(arrays, "callback/0/dense/bias", Tensor::scalar(1.0)));
    assert!(message.contains("the checkpoint keeps `dense/bias`, which the model does not have so"), "{message}");
    let message = refusal(&|arrays| text(arrays, "\"callbacks\":[", "\"callbacks\":[{},{},"));
    assert!(message.ends_with("it remembers 4 callbacks of 2"), "{message}");
    let spaces = " ".repeat(17 << 20);
    let message = refusal(&|arrays| text(arrays, "\"step\":0", &format!("\"step\":{spaces}0")));
    assert!(message.ends_with("it is no checkpoint of this version"), "{message}");
    // A count beyond all measure goes on from there.
    let mut arrays = honest.clone();
    text(&mut arrays, "\"epoch\":2", "\"epoch\":1");
    text(&mut arrays, "\"wait\":1", "\"wait\":18446744073709551615");
    let named = arrays.iter().map(|(name, tensor)| (name.as_str(), tensor));
    std::fs::write(&checkpoint, npz::write(named).unwrap()).unwrap();
    train().unwrap();
}

#[test]
fn a_training_that_stops_itself_within_an_epoch_ends_the_epoch_after_a_death_too() {
    struct StopAt(usize, usize);
    impl Callback for StopAt {
        fn on_batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
            if (training.epoch, training.step) == (self.0, self.1) {
                training.stop();
            }
            Ok(())
        }
    }
    /// Dies before the epoch is told to be over.
    struct DieAtEnd(bool);
    impl Callback for DieAtEnd {
        fn on_epoch_end(&mut self, training: &mut Training<'_>, _: &mut Logs) -> Result<()> {
            let dies = self.0 && training.epoch == 1;
            if dies { Err(footlight::Error::new(ErrorKind::Invalid, "dead")) } else { Ok(()) }
        }
    }
    let ((x, y), folder) = (data(), Folder::new("stops"));
    let checkpoint = folder.0.join("training.npz");
    let train = |model: &mut Model, dies: bool| {
        let (mut stop, mut death) = (StopAt(1, 2), DieAtEnd(dies));
        let fit = quiet().epochs(4).checkpoint(&checkpoint, Duration::ZERO).resume(true);
        model.fit(&x, &y, fit.callback(&mut stop).callback(&mut death))
    };
    let mut straight = model();
    let history = train(&mut straight, false).unwrap();
    assert_eq!(history.epochs(), 2);
    std::fs::remove_file(&checkpoint).unwrap();
    train(&mut model(), true).unwrap_err();
    let mut resumed = model();
    assert_eq!(train(&mut resumed, false).unwrap(), history);
    assert!(bytes_of(&resumed, &folder) == bytes_of(&straight, &folder));
}

#[test]
fn an_interrupted_training_leaves_a_checkpoint() {
    struct Raise<'a>(&'a AtomicBool);
    impl Callback for Raise<'_> {
        fn on_batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.0.store((training.epoch, training.step) == (1, 2), Ordering::Relaxed);
            Ok(())
        }
    }
    let ((x, y), folder, flag) = (data(), Folder::new("interrupt"), AtomicBool::new(false));
    let checkpoint = folder.0.join("training.npz");
    let mut raise = Raise(&flag);
    let fit = quiet().epochs(3).checkpoint(&checkpoint, Duration::from_secs(60)).interrupt(&flag);
    let error = model().fit(&x, &y, fit.callback(&mut raise)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(error.message().starts_with("interrupted in epoch 2 after step 2 of 4; the checkpoint is "), "{error}");
    assert!(checkpoint.is_file());
}
