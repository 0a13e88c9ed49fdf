//! A schedule for people who have cron(8), periodic(8) or systemd start things: texts to put into a file.
//!
//! crontab and timer only wake `jailferry schedule --once`, which decides as the scheduler does; periodic(8) knows no
//! time but its own, so there the playbook is simply run.

use crate::schedule::cron::Cron;
use crate::schedule::cron::Field;
use crate::schedule::rules::CatchUp;
use crate::schedule::rules::Schedule;

/// What a printed text needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The playbook's name, as file names may hold it.
    pub name: &'a str,
    /// Its file, absolute.
    pub playbook: &'a str,
    /// Our own program, absolute.
    pub program: &'a str,
    /// Its fleet's file, absolute: what starts it has another current folder.
    pub fleet: &'a str,
    /// The ssh_config that was named, absolute.
    pub ssh_config: Option<&'a str>,
    /// Who prints it: the user whose keys and journals are meant. `None` when that is not known.
    pub user: Option<&'a str>,
    /// When.
    pub schedule: &'a Schedule,
}

/// A word for /bin/sh.
fn shell(word: &str) -> String {
    // Only a text with a NUL cannot be quoted, and no path has one.
    shlex::try_quote(word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}

impl Job<'_> {
    /// The words behind `program`, quoted: verb and options, playbook, and where the fleet is.
    fn words(&self, verb: &str, quote: fn(&str) -> String) -> String {
        let config = self.ssh_config.map(|c| format!(" --ssh-config {}", quote(c))).unwrap_or_default();
        format!("{verb} {} --fleet {}{config}", quote(self.playbook), quote(self.fleet))
    }
}

/// Lines of a user's crontab(5).
#[must_use]
pub fn crontab(job: Job<'_>) -> String {
    let cron = &job.schedule.cron;
    // `%` is a line end in a crontab.
    let command = format!("{} {}", shell(job.program), job.words("schedule --once --quiet", shell)).replace('%', "\\%");
    let (why, fields) = match &job.schedule.time_zone {
        None => ("cron(8) wakes it at the playbook's times.".to_owned(), expanded(cron)),
        // The clocks of another zone differ by whole and broken hours, which change with the seasons.
        Some(zone) => (
            format!(
                "The playbook means the clocks of {zone}, cron(8) those of this machine: it is woken often, and decides by itself."
            ),
            "*/15 * * * *".to_owned(),
        ),
    };
    let fields = if job.schedule.time_zone.is_some() && !is_quarterly(cron) { "* * * * *".to_owned() } else { fields };
    format!(
        "# {}: {why}\n# Windows, jitter, overlaps and missed runs are decided by `schedule --once`, as the scheduler does.\n{fields} {command}\n",
        job.name
    )
}

/// Are all its minutes quarters of an hour? Every time zone of today is at a quarter.
fn is_quarterly(cron: &Cron) -> bool {
    cron.minutes.values().all(|m| m % 15 == 0)
}

/// The five fields, without the names like `@daily` that not every cron knows.
fn expanded(cron: &Cron) -> String {
    match cron.text() {
        "@hourly" => "0 * * * *".into(),
        "@daily" | "@midnight" => "0 0 * * *".into(),
        "@weekly" => "0 0 * * 0".into(),
        "@monthly" => "0 0 1 * *".into(),
        "@yearly" | "@annually" => "0 0 1 1 *".into(),
        text => text.to_owned(),
    }
}

/// A script for periodic(8): daily, weekly or monthly.
///
/// # Errors
/// When the schedule is neither.
pub fn periodic(job: Job<'_>) -> Result<String, String> {
    let cron = &job.schedule.cron;
    let folder = match (cron.days.is_full(), cron.weekdays.is_full(), cron.months.is_full()) {
        _ if cron.hours.values().count() > 1 || cron.minutes.values().count() > 1 => None,
        (true, true, true) => Some("daily"),
        (true, false, true) if cron.weekdays.values().count() == 1 => Some("weekly"),
        (false, true, true) if cron.days.values().count() == 1 => Some("monthly"),
        _ => None,
    };
    let Some(folder) = folder else {
        return Err(format!(
            "periodic(8) knows daily, weekly and monthly; `{cron}` is none of them: take --print crontab"
        ));
    };
    // periodic(8): 0 nothing notable, 1 notable, 2 a warning, 3 errors. lockf(1): 75 when another holds the lock.
    Ok(format!(
        "#!/bin/sh\n\
         # /usr/local/etc/periodic/{folder}/500.jailferry-{name}, mode 755. On with, in /etc/periodic.conf:\n\
         #     {folder}_jailferry_{variable}_enable=\"YES\"\n\
         # periodic(8) says when (crontab(5) in /etc), as root: the playbook's own time, its time zone, its windows, jitter and\n\
         # catch_up do not count here, and nothing is finalized by itself. Two at a time are kept apart by lockf(1): the second is\n\
         # left out, whatever skip_if_running says.\n\
         if [ -r /etc/defaults/periodic.conf ]; then\n\
         \t. /etc/defaults/periodic.conf\n\
         \tsource_periodic_confs\n\
         fi\n\
         case \"${{{folder}_jailferry_{variable}_enable:-NO}}\" in\n\
         [Yy][Ee][Ss]) ;;\n\
         *) exit 0 ;;\n\
         esac\n\
         echo\n\
         echo {title}\n\
         lockf -s -t 0 /var/run/jailferry-{name}.lock {program} {words}\n\
         status=$?\n\
         case $status in\n\
         0) exit 1 ;;\n\
         75) echo 'the run before is still under way: left out'; exit 1 ;;\n\
         3 | 4) exit 2 ;;\n\
         *) exit 3 ;;\n\
         esac\n",
        name = job.name,
        variable = job.name.replace(['-', '.'], "_"),
        title = shell(&format!("jailferry runs {}:", job.playbook)),
        program = shell(job.program),
        words = job.words("run --yes", shell),
    ))
}

/// A service and its timer, as two files.
#[must_use]
pub fn systemd(job: Job<'_>) -> String {
    let zone = job.schedule.time_zone.as_ref().map(|z| format!(" {z}")).unwrap_or_default();
    let times: String = calendar(&job.schedule.cron).iter().map(|t| format!("OnCalendar={t}{zone}\n")).collect();
    let persistent = if job.schedule.catch_up == CatchUp::Once { "Persistent=true\n" } else { "" };
    format!(
        "# /etc/systemd/system/jailferry-{name}.service\n\
         [Unit]\n\
         Description=jailferry: {name}\n\
         Wants=network-online.target\n\
         After=network-online.target\n\n\
         [Service]\n\
         Type=oneshot\n\
         # Its keys, its ~/.ssh and its journals; systemd sets HOME only with it.\n\
         User={user}\n\
         ExecStart={program} {words}\n\
         # A run that is asked to stop turns round first; only the scheduler is asked, it asks the run.\n\
         KillMode=mixed\n\
         TimeoutStopSec=1h\n\n\
         # /etc/systemd/system/jailferry-{name}.timer\n\
         [Unit]\n\
         Description=jailferry: when {name} is due\n\n\
         [Timer]\n\
         # Windows, jitter, overlaps and missed runs are decided by `schedule --once`, as the scheduler does.\n\
         {times}AccuracySec=1s\n\
         {persistent}\n\
         [Install]\n\
         WantedBy=timers.target\n",
        name = job.name,
        program = unit_word(job.program),
        user = job.user.unwrap_or("root"),
        words = job.words("schedule --once", unit_word),
    )
}

/// A word of ExecStart= (systemd.service(5), "COMMAND LINES").
fn unit_word(word: &str) -> String {
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '%' => out.push_str("%%"),
            '$' => out.push_str("$$"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// systemd.time(7): both kinds of days at once must hold there, either in crontab(5), so that such a schedule is two.
fn calendar(cron: &Cron) -> Vec<String> {
    let list = |field: Field| {
        if field.is_full() {
            return "*".to_owned();
        }
        field.values().map(|v| format!("{v:02}")).collect::<Vec<_>>().join(",")
    };
    let names = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let weekdays: Vec<&str> = cron.weekdays.values().filter_map(|d| names.get(d as usize).copied()).collect();
    let weekdays = if cron.weekdays.is_full() { String::new() } else { format!("{} ", weekdays.join(",")) };
    let time = format!("{}:{}:00", list(cron.hours), list(cron.minutes));
    let (month, days) = (list(cron.months), list(cron.days));
    if !cron.days.is_star() && !cron.weekdays.is_star() {
        return vec![format!("*-{month}-{days} {time}"), format!("{weekdays}*-{month}-* {time}")];
    }
    vec![format!("{weekdays}*-{month}-{days} {time}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::rules::tests::every;

    fn job(schedule: &Schedule) -> Job<'_> {
        Job {
            name: "nightly",
            playbook: "/etc/jailferry/100% sure.yml",
            program: "/usr/local/bin/jailferry",
            fleet: "/etc/jailferry/fleet.yml",
            ssh_config: Some("/etc/jailferry/ssh config"),
            user: Some("operator"),
            schedule,
        }
    }

    #[test]
    fn for_cron() {
        insta::assert_snapshot!(crontab(job(&every("30 2 * * mon-fri"))), @r"
        # nightly: cron(8) wakes it at the playbook's times.
        # Windows, jitter, overlaps and missed runs are decided by `schedule --once`, as the scheduler does.
        30 2 * * mon-fri /usr/local/bin/jailferry schedule --once --quiet '/etc/jailferry/100\% sure.yml' --fleet /etc/jailferry/fleet.yml --ssh-config '/etc/jailferry/ssh config'
        ");
        let zoned = |cron: &str| Schedule { time_zone: Some("Europe/Rome".parse().unwrap()), ..every(cron) };
        insta::assert_snapshot!(crontab(job(&zoned("30 2 * * *"))), @r"
        # nightly: The playbook means the clocks of Europe/Rome, cron(8) those of this machine: it is woken often, and decides by itself.
        # Windows, jitter, overlaps and missed runs are decided by `schedule --once`, as the scheduler does.
        */15 * * * * /usr/local/bin/jailferry schedule --once --quiet '/etc/jailferry/100\% sure.yml' --fleet /etc/jailferry/fleet.yml --ssh-config '/etc/jailferry/ssh config'
        ");
        assert!(
            crontab(job(&zoned("7 2 * * *"))).contains("\n* * * * * /usr/local/bin/jailferry schedule --once --quiet ")
        );
        assert!(crontab(job(&every("@weekly"))).contains("\n0 0 * * 0 "));
    }

    #[test]
    fn for_systemd() {
        let schedule = Schedule {
            time_zone: Some("Europe/Rome".parse().unwrap()),
            catch_up: CatchUp::Once,
            ..every("*/20 2,3 1 * fri")
        };
        insta::assert_snapshot!(systemd(job(&schedule)), @r#"
        # /etc/systemd/system/jailferry-nightly.service
        [Unit]
        Description=jailferry: nightly
        Wants=network-online.target
        After=network-online.target

        [Service]
        Type=oneshot
        # Its keys, its ~/.ssh and its journals; systemd sets HOME only with it.
        User=operator
        ExecStart="/usr/local/bin/jailferry" schedule --once "/etc/jailferry/100%% sure.yml" --fleet "/etc/jailferry/fleet.yml" --ssh-config "/etc/jailferry/ssh config"
        # A run that is asked to stop turns round first; only the scheduler is asked, it asks the run.
        KillMode=mixed
        TimeoutStopSec=1h

        # /etc/systemd/system/jailferry-nightly.timer
        [Unit]
        Description=jailferry: when nightly is due

        [Timer]
        # Windows, jitter, overlaps and missed runs are decided by `schedule --once`, as the scheduler does.
        OnCalendar=*-*-01 02,03:00,20,40:00 Europe/Rome
        OnCalendar=Fri *-*-* 02,03:00,20,40:00 Europe/Rome
        AccuracySec=1s
        Persistent=true

        [Install]
        WantedBy=timers.target
        "#);
        assert_eq!(calendar(&every("30 2 * * *").cron), ["*-*-* 02:30:00"]);
        assert_eq!(calendar(&every("0 0 */2 * mon").cron).len(), 1);
    }

    #[test]
    fn for_periodic() {
        insta::assert_snapshot!(periodic(job(&every("30 2 * * *"))).unwrap(), @r#"
        #!/bin/sh
        # /usr/local/etc/periodic/daily/500.jailferry-nightly, mode 755. On with, in /etc/periodic.conf:
        #     daily_jailferry_nightly_enable="YES"
        # periodic(8) says when (crontab(5) in /etc), as root: the playbook's own time, its time zone, its windows, jitter and
        # catch_up do not count here, and nothing is finalized by itself. Two at a time are kept apart by lockf(1): the second is
        # left out, whatever skip_if_running says.
        if [ -r /etc/defaults/periodic.conf ]; then
        	. /etc/defaults/periodic.conf
        	source_periodic_confs
        fi
        case "${daily_jailferry_nightly_enable:-NO}" in
        [Yy][Ee][Ss]) ;;
        *) exit 0 ;;
        esac
        echo
        echo 'jailferry runs /etc/jailferry/100% sure.yml:'
        lockf -s -t 0 /var/run/jailferry-nightly.lock /usr/local/bin/jailferry run --yes '/etc/jailferry/100% sure.yml' --fleet /etc/jailferry/fleet.yml --ssh-config '/etc/jailferry/ssh config'
        status=$?
        case $status in
        0) exit 1 ;;
        75) echo 'the run before is still under way: left out'; exit 1 ;;
        3 | 4) exit 2 ;;
        *) exit 3 ;;
        esac
        "#);
        assert!(periodic(job(&every("30 2 * * sun"))).unwrap().contains("/periodic/weekly/"));
        assert!(periodic(job(&every("@monthly"))).unwrap().contains("/periodic/monthly/"));
        for other in ["*/5 * * * *", "0 2 * * mon,fri", "0 2 1 1 *", "0 2 1 * mon"] {
            assert!(periodic(job(&every(other))).is_err(), "{other}");
        }
    }
}
