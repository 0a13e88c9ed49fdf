//! What the jail's datasets do not have of their own but from what is above them, and would have otherwise at the target.

use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;

/// A property with a value that takes something from a jail.
struct Taking {
    property: &'static str,
    value: &'static str,
    /// What the jail could not do any more.
    means: &'static str,
    /// Would it be of no use at all?
    forbids: bool,
}

/// zfsprops(7); as mount options: mount(8).
const TAKING: [Taking; 3] = [
    Taking { property: "readonly", value: "on", means: "it could not write anything", forbids: true },
    Taking { property: "exec", value: "off", means: "no program in it could be started", forbids: true },
    Taking {
        property: "setuid",
        value: "off",
        means: "su(1), passwd(1), ping(8) and their like would fail in it",
        forbids: false,
    },
];

/// A dataset's own value goes along, and those below it have it from there: the root alone tells.
pub(super) fn properties(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source, &s.situation.target);
    let (Some(root), Some(parent)) =
        (s.jail.datasets.iter().find(|d| d.name == source.dataset), target.dataset.parent())
    else {
        return;
    };
    for taking in &TAKING {
        let (Some(here), Some(there)) = (root.properties.get(taking.property), s.there.given.get(taking.property))
        else {
            continue;
        };
        if matches!(here.source.as_str(), "local" | "received") || here.value == *there {
            continue;
        }
        let (property, name) = (taking.property, &root.name);
        let what = format!(
            "{name} has {property}={} from what is above it on {}, and would have {property}={there} from {parent} on {}",
            here.value, source.node, target.node
        );
        let fix = Fix::new(format!(
            "let it have the same there, or give {name} a value of its own on {} (zfs set {property}={}), which goes along",
            source.node, here.value
        ))
        .run(format!("zfs set {property}={} {parent}", here.value));
        let code = format!("given-{property}");
        if there != taking.value {
            findings.warning(&code, &target.node, what, fix);
        } else if taking.forbids {
            findings.error(&code, &target.node, format!("{what}: {}", taking.means), fix);
        } else {
            findings.warning(&code, &target.node, format!("{what}: {}", taking.means), fix);
        }
    }
}
