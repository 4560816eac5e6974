//! Work shared out over threads, with results in order: they do not depend on the number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::linear::Matrix;

/// What `work` makes of `0..count`; each thread has a state of its own.
pub(crate) fn map<S, T: Send>(
    count: usize,
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let threads = threads.clamp(1, count.max(1));
    let (next, parts) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    let take = || {
        let (mut state, mut done) = (state(), Vec::new());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            done.push((index, work(&mut state, index)));
        }
        parts.lock().expect("no thread panics while it holds the results").append(&mut done);
    };
    thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(take)));
        take();
    });
    let mut parts = parts.into_inner().expect("all threads are done");
    parts.sort_unstable_by_key(|(index, _)| *index);
    parts.into_iter().map(|(_, value)| value).collect()
}

/// Lets `work` fill each row of a matrix.
pub(crate) fn each_row(matrix: &mut Matrix, threads: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let columns = matrix.columns.max(1);
    let rows = Mutex::new(matrix.data.chunks_mut(columns).enumerate());
    let take = || {
        loop {
            let row = rows.lock().expect("no thread panics while it takes a row").next();
            let Some((index, row)) = row else { break };
            work(index, row);
        }
    };
    thread::scope(|scope| {
        (1..threads.max(1)).for_each(|_| drop(scope.spawn(take)));
        take();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_order_for_any_number_of_threads() {
        for threads in [1, 2, 7] {
            assert_eq!(map(100, threads, || (), |(), i| i * i), (0..100).map(|i| i * i).collect::<Vec<_>>());
        }
        assert!(map(0, 3, || (), |(), i| i).is_empty());
    }
}
