//! Times as zfs prints them.

use std::mem::MaybeUninit;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Seconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|age| age.as_secs()).unwrap_or_default()
}

fn local(time: u64) -> libc::tm {
    let time = time as libc::time_t;
    let mut tm = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; an all-zero tm is a valid value should the conversion fail.
    unsafe {
        libc::localtime_r(&time, tm.as_mut_ptr());
        tm.assume_init()
    }
}

/// `Sun Nov 22 21:11 2026`, as `creation` and the time of a hold are shown.
pub fn date(time: u64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let tm = local(time);
    format!(
        "{} {} {:>2} {:>2}:{:02} {}",
        DAYS[tm.tm_wday.rem_euclid(7) as usize],
        MONTHS[tm.tm_mon.rem_euclid(12) as usize],
        tm.tm_mday,
        tm.tm_hour,
        tm.tm_min,
        tm.tm_year + 1900
    )
}

/// `21:14:01`, as in the progress of a send.
pub fn time_of_day(time: u64) -> String {
    let tm = local(time);
    format!("{:02}:{:02}:{:02}", tm.tm_hour, tm.tm_min, tm.tm_sec)
}
