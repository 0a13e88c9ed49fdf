//! fleet.yml and playbooks: taken, or refused with a finding; nothing that is shown holds a control character.
#![no_main]

use jailferry::playbook::Look;
use jailferry::playbook::read_fleet;
use jailferry::playbook::read_playbook;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let fleet = read_fleet("fleet.yml", bytes);
    assert_eq!(fleet.value.is_some(), fleet.report.errors() == 0);
    let playbook = read_playbook("playbook.yml", bytes, fleet.value.as_ref());
    assert_eq!(playbook.value.is_some(), playbook.report.errors() == 0);
    for report in [&fleet.report, &playbook.report] {
        assert!(report.render(Look::default()).chars().all(|c| c == '\n' || !c.is_control()));
    }
});
