//! How schedules stand, in Prometheus' text format: for the textfile collector of node_exporter, and `/metrics`.

use std::fmt::Write;

use jiff::Timestamp;

use crate::schedule::standing::Outcome;
use crate::schedule::standing::Standing;

/// All metrics, one family after the other.
#[must_use]
pub fn text(all: &[&Standing]) -> String {
    let mut out = String::new();
    let seconds = |at: Timestamp| at.as_second().to_string();
    family(&mut out, all, "seen_timestamp_seconds", "gauge", "When the scheduler looked last.", |s| {
        vec![(String::new(), seconds(s.seen))]
    });
    family(&mut out, all, "next_timestamp_seconds", "gauge", "When the next run is due, without jitter.", |s| {
        s.next.iter().map(|at| (String::new(), seconds(*at))).collect()
    });
    family(&mut out, all, "running", "gauge", "1 while a run is under way.", |s| {
        vec![(String::new(), u8::from(s.current.is_some()).to_string())]
    });
    family(&mut out, all, "last_run_timestamp_seconds", "gauge", "When the last run ended.", |s| {
        s.last.iter().map(|l| (String::new(), seconds(l.ended))).collect()
    });
    family(&mut out, all, "last_run_duration_seconds", "gauge", "How long the last run took.", |s| {
        s.last.iter().map(|l| (String::new(), l.ended.duration_since(l.since).as_secs().max(0).to_string())).collect()
    });
    family(&mut out, all, "last_run_exit_code", "gauge", "Exit code of the last run; none when it has none.", |s| {
        s.last.iter().filter_map(|l| l.exit).map(|code| (String::new(), code.to_string())).collect()
    });
    family(&mut out, all, "last_success_timestamp_seconds", "gauge", "When a run ended with exit code 0 last.", |s| {
        s.last_success.iter().map(|at| (String::new(), seconds(*at))).collect()
    });
    family(
        &mut out,
        all,
        "needs_person",
        "gauge",
        "1 when the last run left something that a person must see to.",
        |s| {
            let problem = s.last.as_ref().is_some_and(|l| Outcome::is_a_problem(l.outcome));
            vec![(String::new(), u8::from(problem).to_string())]
        },
    );
    family(&mut out, all, "runs_total", "counter", "Runs by outcome.", |s| {
        s.runs.iter().map(|(word, n)| (format!(",outcome=\"{}\"", escaped(word)), n.to_string())).collect()
    });
    family(&mut out, all, "skipped_total", "counter", "Runs left out, by reason.", |s| {
        s.skipped.iter().map(|(word, n)| (format!(",reason=\"{}\"", escaped(word)), n.to_string())).collect()
    });
    family(&mut out, all, "clock_jumps_total", "counter", "How often the clock jumped.", |s| {
        vec![(String::new(), s.clock_jumps.to_string())]
    });
    out
}

fn family(
    out: &mut String,
    all: &[&Standing],
    name: &str,
    kind: &str,
    help: &str,
    samples: impl Fn(&Standing) -> Vec<(String, String)>,
) {
    let _ = writeln!(out, "# HELP jailferry_schedule_{name} {help}\n# TYPE jailferry_schedule_{name} {kind}");
    for standing in all {
        for (labels, value) in samples(standing) {
            let playbook = escaped(&standing.name);
            let _ = writeln!(out, "jailferry_schedule_{name}{{playbook=\"{playbook}\"{labels}}} {value}");
        }
    }
}

/// As the text format wants label values.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::standing::Current;

    #[test]
    fn every_line_is_a_sample_or_a_comment() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut one = Standing::new("nigh\"t\\ly", "/p", at("2026-11-27T02:00:00Z"));
        one.current = Some(Current { due: at("2026-11-27T02:30:00Z"), since: at("2026-11-27T02:30:00Z") });
        one.ended(at("2026-11-27T02:31:00Z"), Some(4), Outcome::RolledBack);
        let two = Standing::new("weekly", "/q", at("2026-11-27T02:00:00Z"));
        let text = text(&[&one, &two]);
        insta::assert_snapshot!(text, @r#"
        # HELP jailferry_schedule_seen_timestamp_seconds When the scheduler looked last.
        # TYPE jailferry_schedule_seen_timestamp_seconds gauge
        jailferry_schedule_seen_timestamp_seconds{playbook="nigh\"t\\ly"} 1795744800
        jailferry_schedule_seen_timestamp_seconds{playbook="weekly"} 1795744800
        # HELP jailferry_schedule_next_timestamp_seconds When the next run is due, without jitter.
        # TYPE jailferry_schedule_next_timestamp_seconds gauge
        # HELP jailferry_schedule_running 1 while a run is under way.
        # TYPE jailferry_schedule_running gauge
        jailferry_schedule_running{playbook="nigh\"t\\ly"} 0
        jailferry_schedule_running{playbook="weekly"} 0
        # HELP jailferry_schedule_last_run_timestamp_seconds When the last run ended.
        # TYPE jailferry_schedule_last_run_timestamp_seconds gauge
        jailferry_schedule_last_run_timestamp_seconds{playbook="nigh\"t\\ly"} 1795746660
        # HELP jailferry_schedule_last_run_duration_seconds How long the last run took.
        # TYPE jailferry_schedule_last_run_duration_seconds gauge
        jailferry_schedule_last_run_duration_seconds{playbook="nigh\"t\\ly"} 60
        # HELP jailferry_schedule_last_run_exit_code Exit code of the last run; none when it has none.
        # TYPE jailferry_schedule_last_run_exit_code gauge
        jailferry_schedule_last_run_exit_code{playbook="nigh\"t\\ly"} 4
        # HELP jailferry_schedule_last_success_timestamp_seconds When a run ended with exit code 0 last.
        # TYPE jailferry_schedule_last_success_timestamp_seconds gauge
        # HELP jailferry_schedule_needs_person 1 when the last run left something that a person must see to.
        # TYPE jailferry_schedule_needs_person gauge
        jailferry_schedule_needs_person{playbook="nigh\"t\\ly"} 0
        jailferry_schedule_needs_person{playbook="weekly"} 0
        # HELP jailferry_schedule_runs_total Runs by outcome.
        # TYPE jailferry_schedule_runs_total counter
        jailferry_schedule_runs_total{playbook="nigh\"t\\ly",outcome="rolled-back"} 1
        # HELP jailferry_schedule_skipped_total Runs left out, by reason.
        # TYPE jailferry_schedule_skipped_total counter
        # HELP jailferry_schedule_clock_jumps_total How often the clock jumped.
        # TYPE jailferry_schedule_clock_jumps_total counter
        jailferry_schedule_clock_jumps_total{playbook="nigh\"t\\ly"} 0
        jailferry_schedule_clock_jumps_total{playbook="weekly"} 0
        "#);
        let mut types = std::collections::BTreeSet::new();
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(rest) => assert!(types.insert(rest.split(' ').next().unwrap().to_owned()), "{line} twice"),
                None if line.starts_with("# HELP ") => {}
                None => {
                    let (name, rest) = line.split_once('{').unwrap();
                    assert!(types.contains(name), "{line} before its type");
                    assert!(rest.rsplit_once("} ").unwrap().1.parse::<f64>().is_ok(), "{line}");
                }
            }
        }
    }
}
