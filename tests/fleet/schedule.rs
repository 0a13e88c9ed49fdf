//! Scheduled runs, with a clock that runs faster: three of them, a stop in the middle, and two machines at once.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use crate::bench::Fleet;
use crate::bench::wait_until;

/// A scheduler whose words go into a file.
struct Scheduler {
    child: Child,
    log: PathBuf,
}

impl Scheduler {
    fn start(fleet: &Fleet, state: &Path, name: &str, args: &[&str]) -> Scheduler {
        let log = fleet.state.path().join(format!("{name}.log"));
        let child = fleet.start_into(state, &log, args);
        Scheduler { child, log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("the log is text")
    }

    /// Waits for a line; as long as several runs may take.
    #[track_caller]
    fn says(&mut self, words: &str) {
        let end = Instant::now() + Duration::from_secs(600);
        while !self.said().contains(words) {
            let ended = self.child.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "it ended ({ended:?}) before it said {words:?}:\n{}", self.said());
            assert!(Instant::now() < end, "waited in vain for {words:?}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill(1) runs");
        assert!(status.success());
    }

    fn ends(mut self) -> String {
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{}", self.said());
        self.said()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn playbook(fleet: &Fleet, name: &str, minute: u32, more: &str, to: &str) -> String {
    let path = fleet.state.path().join(format!("{name}.yml"));
    let text = format!(
        "fleet: {}\nkeep: 7 days\nschedule:\n  cron: {minute} * * * *\n  time_zone: UTC\n  catch_up: once\n{more}moves:\n  - {{jail: web, to: {to}}}\n",
        fleet.file.display()
    );
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn scheduled_runs_and_a_stop_in_the_middle() {
    let Some(fleet) = Fleet::lab("scheduled_runs_and_a_stop_in_the_middle") else { return };
    let lab = fleet.in_lab();
    let state = fleet.state.path().to_owned();
    let there = playbook(&fleet, "there", 0, "", "big");
    // Whatever it moved is years old by the scheduler's clock, and may go.
    let home = playbook(&fleet, "home", 30, "  finalize: true\n", "spare");
    let metrics = state.join("jailferry.prom");
    let metrics_file = metrics.display().to_string();

    let args = ["schedule", &there, &home, "--metrics-file", &metrics_file, "--clock", "2030-01-01T02:59:00Z*120"];
    let mut scheduler = Scheduler::start(&fleet, &state, "first", &args);
    scheduler.says("there: run, due 2030-01-01 03:00:00Z");
    scheduler.says("there: the run ended");
    scheduler.says("home: the run ended");
    let said = scheduler.said();
    assert_eq!(said.matches("exit code 0: done").count(), 2, "{said}");
    // The copy that web left on big when it went home is destroyed, after it was said; its first run's is not touched.
    for part in ["is finalized, what that destroys follows", "home | done: destroy the parked copy"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!fleet.try_sh("big", "zfs list jfpool/jails/web").status.success(), "{said}");
    let journals = fleet.journals();
    let finalized = |path: &PathBuf| fs::read_to_string(path).expect("text").contains(r#""text":"finalized""#);
    assert_eq!(journals.iter().map(finalized).collect::<Vec<_>>(), [false, true], "{said}");

    // The third run is in its first copy when the service manager stops the scheduler.
    let fault = lab.fault("big", &["--match", "zfs receive -s -u", "--nth", "1"], "hang");
    wait_until("the third run copies", || lab.fired(&fault) > 0);
    scheduler.terminate();
    scheduler.says("the run of there is asked to turn round");
    lab.clear_faults("big");
    let said = scheduler.ends();
    assert!(said.contains("there: the run ended") && said.contains("exit code 4"), "{said}");
    assert!(said.trim_end().ends_with("scheduler: ended"), "{said}");
    assert_eq!(fleet.runs_on("web"), ["spare"], "{said}");
    let text = fs::read_to_string(&metrics).expect("metrics are kept");
    for part in [
        "jailferry_schedule_runs_total{playbook=\"there\",outcome=\"done\"} 1",
        "jailferry_schedule_runs_total{playbook=\"there\",outcome=\"rolled-back\"} 1",
        "jailferry_schedule_runs_total{playbook=\"home\",outcome=\"done\"} 1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // Begun anew, it does not do again what it has decided, and goes on with the next.
    let args = ["schedule", &there, "--clock", "2030-01-01T23:59:00Z*120"];
    let mut scheduler = Scheduler::start(&fleet, &state, "second", &args);
    scheduler.says("exit code 0: done");
    scheduler.terminate();
    let said = scheduler.ends();
    assert_eq!(fleet.runs_on("web"), ["big"], "{said}");
    let status = fleet.jailferry(&["schedule", "--status", &there]).says("done 2, rolled-back 1");
    assert!(status.stdout.contains("none; the last one looked"), "{}", status.all);
}

#[test]
fn two_schedulers_on_two_machines() {
    let Some(fleet) = Fleet::lab("two_schedulers_on_two_machines") else { return };
    let lab = fleet.in_lab();
    let (here, elsewhere) = (fleet.state.path().to_owned(), fleet.state.path().join("elsewhere"));
    let there = playbook(&fleet, "there", 0, "", "big");
    let fault = lab.fault("big", &["--match", "zfs receive -s -u", "--nth", "1"], "hang");
    let args = ["schedule", &there, "--clock", "2030-01-01T02:59:00Z*60"];
    let mut first = Scheduler::start(&fleet, &here, "first", &args);
    wait_until("the first one copies", || lab.fired(&fault) > 0);
    // A second scheduler of this machine is refused before it does anything.
    fleet.jailferry(&args).exits(3).says("another `jailferry schedule` of this machine looks after");
    let mut second = Scheduler::start(&fleet, &elsewhere, "second", &args);
    second.says("exit code 3: refused");
    let said = second.said();
    assert!(said.contains("jail web is being moved by run web-") && said.contains(" since 20"), "{said}");
    second.terminate();
    second.ends();
    lab.clear_faults("big");
    first.says("exit code 0: done");
    first.terminate();
    first.ends();
    assert_eq!(fleet.runs_on("web"), ["big"]);
    assert_eq!(fleet.journals().len(), 1);
}

/// A scheduler that is killed leaves its run alone, and the next one knows that it is under way.
#[test]
fn a_killed_scheduler_leaves_its_run_alone() {
    let Some(fleet) = Fleet::lab("a_killed_scheduler_leaves_its_run_alone") else { return };
    let lab = fleet.in_lab();
    let state = fleet.state.path().to_owned();
    let there = playbook(&fleet, "there", 0, "", "big");
    let fault = lab.fault("big", &["--match", "zfs receive -s -u", "--nth", "1"], "hang");
    let args = ["schedule", &there, "--clock", "2030-01-01T02:59:00Z*60"];
    let scheduler = Scheduler::start(&fleet, &state, "first", &args);
    wait_until("it copies", || lab.fired(&fault) > 0);
    drop(scheduler);
    let args = ["schedule", &there, "--clock", "2030-01-01T03:59:30Z*60"];
    let mut next = Scheduler::start(&fleet, &state, "second", &args);
    next.says("left out, due 2030-01-01 04:00:00Z: the run before is under way");
    lab.clear_faults("big");
    next.says("the run that an earlier scheduler began ended while no scheduler looked");
    next.terminate();
    next.ends();
    assert_eq!(fleet.runs_on("web"), ["big"], "the run went on without its scheduler");
}
