//! Sizes as zfs reads and prints them.

/// `20.1M`, `9.76K`, `624B`: at most five characters (zfs_nicebytes).
pub fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let units = ["K", "M", "G", "T", "P", "E"];
    let mut unit = 0;
    let mut scale = 1024u64;
    while unit + 1 < units.len() && bytes / scale >= 1024 {
        scale *= 1024;
        unit += 1;
    }
    if bytes.is_multiple_of(scale) {
        return format!("{}{}", bytes / scale, units[unit]);
    }
    let value = bytes as f64 / scale as f64;
    (0..=2)
        .rev()
        .map(|digits| format!("{value:.digits$}{}", units[unit]))
        .find(|text| text.len() <= 5)
        .unwrap_or_else(|| format!("{value:.0}{}", units[unit]))
}

/// `10m`, `1G`, `512`, `none`.
pub fn parse(text: &str) -> Option<u64> {
    if text == "none" {
        return Some(0);
    }
    let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let unit = text[digits.len()..].to_ascii_uppercase();
    let shift = match unit.trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        _ => return None,
    };
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    digits.parse::<f64>().ok().map(|value| (value * (1u64 << shift) as f64) as u64)
}
