//! The report of a real run: what it says, and how a browser shows it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::bench::Fleet;

#[test]
fn the_report_of_a_move() {
    let Some(fleet) = Fleet::any("the_report_of_a_move") else { return };
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    let page = fleet.state.path().join("report.html");
    let file = page.display().to_string();
    fleet.jailferry(&["report", "last", "--html", &file]).exits(0).says("wrote ");
    let report = fleet.jailferry(&["report", "last", "--json"]).exits(0).json();
    assert_eq!((report["outcome"].as_str(), report["exit"].as_u64()), (Some("moved"), Some(0)), "{}", told.all);
    assert!(report["blackout_milliseconds"].as_u64() > Some(0), "{report}");
    let away = &report["cut_over"];
    assert!(away["from"].as_u64() < away["to"].as_u64() && away["to"].as_u64() < report["length"].as_u64(), "{away}");
    // Every step that ran has what ran for it.
    for step in report["steps"].as_array().expect("a list") {
        let commands = step["commands"].as_array().expect("a list");
        // The one step that only says something.
        let speaks = step["title"].as_str().is_some_and(|t| t.starts_with("keep the way back open"));
        assert!(step["state"] != "done" || !commands.is_empty() || speaks, "{step}");
    }
    let text = fs::read_to_string(&page).expect("the page is text");
    assert!(text.contains("<title>web-") && !text.contains("<script"), "{}", &text[..400]);
    in_a_browser(&page, &text);
    // Real hosts get their jail back.
    fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
}

/// No error on the console; nothing cut off in a wide and a narrow window; readable in both colour schemes. With every
/// part of the page unfolded.
pub fn in_a_browser(page: &Path, text: &str) {
    let Some(browser) = browser() else {
        let line = "SKIPPED the_report_of_a_move, in part: no chromium on this machine (Debian: apt-get install chromium), so HOW A BROWSER SHOWS THE REPORT IS NOT TESTED";
        // Not eprintln, which shows nothing when the test passes; and for the end of `make test`.
        let _ = writeln!(std::io::stderr(), "{line}");
        if let Some(list) = std::env::var_os("JAILFERRY_SKIPPED")
            && let Ok(mut file) = fs::OpenOptions::new().append(true).open(list)
        {
            let _ = writeln!(file, "{line}");
        }
        return;
    };
    for width in [1280, 400] {
        for scheme in [("0", "dark"), ("1", "light")] {
            // The page as it is, in a frame of that width: its own rules keep scripts out of it, the frame's page looks.
            let frame = page.with_file_name(format!("frame-{width}-{}.html", scheme.1));
            let inner = text.replace('&', "&amp;").replace('"', "&quot;");
            fs::write(&frame, FRAME.replace("WIDTH", &width.to_string()).replace("PAGE", &inner)).expect("written");
            let output = Command::new(&browser)
                .args([
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--enable-logging=stderr",
                    "--virtual-time-budget=20000",
                ])
                .arg(format!("--user-data-dir={}", page.with_file_name("profile").display()))
                .arg(format!("--blink-settings=preferredColorScheme={}", scheme.0))
                .args(["--window-size=1400,900", "--dump-dom"])
                .arg(format!("file://{}", frame.display()))
                .output()
                .expect("the browser runs");
            let (seen, errors) = (
                String::from_utf8_lossy(&output.stdout).into_owned(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            );
            let console: Vec<&str> = errors.lines().filter(|l| l.contains("CONSOLE")).collect();
            assert_eq!(console, Vec::<&str>::new(), "at {width} px, {}", scheme.1);
            let verdict = seen.split("id=\"verdict\">").nth(1).and_then(|v| v.split('<').next());
            assert_eq!(verdict, Some(format!("fine {}", scheme.1).as_str()), "at {width} px\n{errors}");
        }
    }
}

const FRAME: &str = r#"<!DOCTYPE html><html><body><p id="verdict">nothing yet</p>
<iframe id="f" width="WIDTH" height="800" style="border:0" srcdoc="PAGE"></iframe>
<script>
document.getElementById('f').onload = function () {
  var w = this.contentWindow, d = this.contentDocument, bad = [];
  d.querySelectorAll('details').forEach(function (e) { e.open = true; });
  var width = d.documentElement.clientWidth;
  if (d.documentElement.scrollWidth > width) bad.push('the page scrolls sideways');
  d.body.querySelectorAll('*').forEach(function (e) {
    var r = e.getBoundingClientRect();
    if (r.width > 0 && (r.right > width + 1 || r.left < -1)) bad.push(e.tagName + ' ' + e.className + ' sticks out');
    if (!e.classList.contains('track') && e.tagName !== 'HTML' && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 &&
        w.getComputedStyle(e).overflowX !== 'visible') bad.push(e.tagName + ' ' + e.className + ' is cut off');
  });
  var numbers = function (c) { return c.match(/[0-9.]+/g).slice(0, 3).reduce(function (a, b) { return a + Number(b); }, 0) / 3; };
  var style = w.getComputedStyle(d.body), back = numbers(style.backgroundColor), ink = numbers(style.color);
  if (Math.abs(back - ink) < 120) bad.push('text and background are too alike');
  var scheme = back < 128 ? 'dark' : 'light';
  document.getElementById('verdict').textContent = bad.length ? bad.slice(0, 5).join('; ') : 'fine ' + scheme;
};
</script></body></html>"#;

fn browser() -> Option<String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = |name: &&&str| Command::new(**name).arg("--version").output().is_ok_and(|o| o.status.success());
    names.iter().find(found).map(|name| (*name).to_owned())
}
