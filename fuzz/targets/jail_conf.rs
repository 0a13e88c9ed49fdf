//! A jail's configuration and fstab: read or refused; what is rewritten is read again.
#![no_main]

use jailferry::configuration::fstab;
use jailferry::configuration::jail_conf;
use jailferry::model::InterfaceName;
use jailferry::model::JailName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (Ok(jail), Ok(epair)) = (JailName::new("web"), InterfaceName::new("epair7a")) else { return };
    let wanted = jail_conf::Rewrite { epair: Some((7, 8)), fib: Some((0, 1)), ..jail_conf::Rewrite::default() };
    if let Ok(rewritten) = jail_conf::rewrite(text, &jail, &wanted) {
        assert!(jail_conf::rewrite(&rewritten.text, &jail, &wanted).is_ok());
    }
    let _ = (jail_conf::extract(text, &jail).is_ok(), jail_conf::add_fib(text, &jail, Some(7), &epair, 1).is_ok());
    let _ = (jail_conf::parse_list(text), fstab::mounts(text).is_ok());
});
