//! What hosts answer, with the line before the first frame in place so that the frames are reached.
#![no_main]

use jailferry::facts::parse;
use jailferry::facts::questions::JailQuestions;
use jailferry::facts::questions::TargetQuestions;
use jailferry::model::DatasetName;
use jailferry::model::JailName;
use jailferry::model::RemotePath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (Ok(jail), Ok(dataset), Ok(path)) =
        (JailName::new("web"), DatasetName::new("zroot/web"), RemotePath::new("/etc/jail.conf"))
    else {
        return;
    };
    let answer = [b"jailferry facts 1\n".as_slice(), bytes].concat();
    let asked = JailQuestions {
        configuration_file: path.clone(),
        fstab: Some(path.clone()),
        root: path.clone(),
        dataset: dataset.clone(),
        jail: jail.clone(),
        landmarks: vec![],
    };
    let there = TargetQuestions {
        paths: vec![path.clone()],
        files: vec![path],
        rulesets: vec![4],
        parameters: vec!["vnet".into()],
        dataset,
        origins: vec![],
    };
    let mut errors = parse::parse_host(&answer).err().unwrap_or_default();
    errors.extend(parse::parse_jail(&jail, &asked, &answer).err().unwrap_or_default());
    errors.extend(parse::parse_target(&there, &answer).err().unwrap_or_default());
    errors.extend(parse::parse_leftovers(&answer).err());
    errors.extend(parse::parse_loads(&answer).err());
    assert!(errors.iter().all(|e| !e.to_string().contains(char::is_control)));
});
