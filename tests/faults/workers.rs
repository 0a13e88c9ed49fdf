//! Several labs at a time, each used for case after case as long as the hosts are as they were.

use std::any::Any;
use std::cell::RefCell;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use crate::bench::Fleet;
use crate::case::Bench;
use crate::case::Came;
use crate::lab;
use crate::matrix::Case;
use crate::reference::Reference;
use crate::table;
use crate::table::Ending;
use crate::table::Row;
use crate::table::Rows;

thread_local! {
    /// Where this thread's last panic was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// How our threads are called.
const NAME: &str = "faults";

/// Carries out all cases, and writes down what came of each.
pub fn run(test: &str, reference: &Reference, cases: &[Case], rows: &Rows) {
    quietly();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..lab::at_once() {
            let (next, done) = (&next, &done);
            let work = move || {
                let mut bench: Option<Bench> = None;
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = one(&format!("{test}-{number}"), reference, &mut bench, case);
                    rows.add(&row);
                    table::tell(&row, 1 + done.fetch_add(1, Ordering::Relaxed), cases.len());
                }
            };
            thread::Builder::new().name(NAME.into()).spawn_scoped(scope, work).expect("a thread");
        }
    });
}

fn one(name: &str, reference: &Reference, bench: &mut Option<Bench>, case: &Case) -> Row {
    let begin = Instant::now();
    let carried_out = panic::catch_unwind(AssertUnwindSafe(|| {
        let bench = bench.get_or_insert_with(|| Bench::new(Fleet::lab(name).expect("the first lab could be raised")));
        bench.run(reference, case)
    }));
    let came = carried_out.unwrap_or_else(|panic| Came {
        ending: Ending::Failed,
        exits: Vec::new(),
        outcome: String::new(),
        note: format!("{}\n(at {})", message(panic.as_ref()), PLACE.with(|place| place.borrow().clone())),
        clean: false,
    });
    if !came.clean {
        *bench = None;
    }
    Row {
        step: case.step().number,
        steps: case.steps.len(),
        phase: case.step().phase.clone(),
        title: case.step().title.clone(),
        fault: case.fault.to_string(),
        then: case.then.to_string(),
        ending: came.ending,
        exits: came.exits,
        outcome: came.outcome,
        seconds: begin.elapsed().as_secs_f64(),
        note: came.note,
    }
}

/// A broken promise is a row of the table, not a page on the terminal.
fn quietly() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some(NAME) {
            PLACE.with(|place| *place.borrow_mut() = info.location().map(ToString::to_string).unwrap_or_default());
        } else {
            usual(info);
        }
    }));
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "a panic".to_owned())
}
