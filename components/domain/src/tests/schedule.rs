//! Runs tasks interleaved, one store operation at a time, and interrupts some.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub(super) type Task<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What happens next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// This task (counted among those that still run) does its next operation.
    Run(usize),
    /// This task is dropped where it stands, as by a crash.
    Drop(usize),
}

/// Runs all tasks to their ends, in the order that `next` gives; a result is `None`
/// where the task was dropped. `next` is told how many tasks still run.
pub(super) fn interleave<T>(
    tasks: Vec<Task<'_, T>>,
    mut next: impl FnMut(usize) -> Step,
) -> Vec<Option<T>> {
    let mut results: Vec<Option<T>> = tasks.iter().map(|_| None).collect();
    let mut running: Vec<(usize, Task<'_, T>)> = tasks.into_iter().enumerate().collect();
    let mut context = Context::from_waker(Waker::noop());
    while !running.is_empty() {
        match next(running.len()) {
            Step::Drop(choice) => {
                let choice = choice % running.len();
                drop(running.swap_remove(choice));
            }
            Step::Run(choice) => {
                let choice = choice % running.len();
                let (index, task) = &mut running[choice];
                if let Poll::Ready(result) = task.as_mut().poll(&mut context) {
                    results[*index] = Some(result);
                    drop(running.swap_remove(choice));
                }
            }
        }
    }
    results
}
