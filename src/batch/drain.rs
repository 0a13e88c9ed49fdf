//! Which nodes a jail that has to leave is tried on, best first. Pure.

use crate::model::JailName;
use crate::model::NodeName;

/// A node that may take jails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The node.
    pub node: NodeName,
    /// Bytes that can be written where its jails live.
    pub free: u64,
    /// Bytes that were given to it already.
    pub given: u64,
}

/// A jail that has to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// The jail.
    pub jail: JailName,
    /// What its datasets hold.
    pub bytes: u64,
}

impl Room {
    /// Is there room for so much more, with a fifth and 16 MiB to spare for each jail, as the preflight asks?
    #[must_use]
    pub fn fits(&self, bytes: u64) -> bool {
        self.left() >= needed(bytes)
    }

    /// Takes a jail in.
    pub fn give(&mut self, bytes: u64) {
        self.given = self.given.saturating_add(needed(bytes));
    }

    fn left(&self) -> u64 {
        self.free.saturating_sub(self.given)
    }
}

/// With what is to spare.
#[must_use]
pub fn needed(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 5).saturating_add(16 << 20)
}

/// The largest first, since it has the fewest places; names decide between equals, so that the answer is always the same.
pub fn order(leaving: &mut [Leaving]) {
    leaving.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.jail.cmp(&b.jail)));
}

/// Where a jail is tried: the nodes with room for it, the emptiest first, so that what comes is spread.
#[must_use]
pub fn places(rooms: &[Room], bytes: u64) -> Vec<NodeName> {
    let mut fitting: Vec<&Room> = rooms.iter().filter(|r| r.fits(bytes)).collect();
    fitting.sort_by(|a, b| b.left().cmp(&a.left()).then_with(|| a.node.cmp(&b.node)));
    fitting.into_iter().map(|r| r.node.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room(node: usize, free: u64) -> Room {
        Room { node: NodeName::new(format!("n{node}")).unwrap(), free, given: 0 }
    }

    #[test]
    fn what_comes_is_spread_and_what_does_not_fit_has_no_place() {
        const GIB: u64 = 1 << 30;
        let mut rooms = vec![room(1, 10 * GIB), room(2, 12 * GIB), room(3, GIB)];
        assert_eq!(places(&rooms, 2 * GIB), [rooms[1].node.clone(), rooms[0].node.clone()]);
        rooms[1].give(2 * GIB);
        assert_eq!(places(&rooms, 2 * GIB), [rooms[0].node.clone(), rooms[1].node.clone()]);
        assert_eq!(places(&rooms, 11 * GIB), []);
        // Two of 6 GiB where one fits: the second has no place.
        let mut one = vec![room(1, 8 * GIB)];
        one[0].give(6 * GIB);
        assert_eq!(places(&one, 6 * GIB), []);
    }

    proptest! {
        /// Nobody is promised more than there is.
        #[test]
        fn no_room_is_given_twice(frees in proptest::collection::vec(0..1_u64 << 40, 1..5), sizes in proptest::collection::vec(0..1_u64 << 38, 0..12)) {
            let mut rooms: Vec<Room> = frees.iter().enumerate().map(|(n, f)| room(n, *f)).collect();
            let mut leaving: Vec<Leaving> = sizes
                .iter()
                .enumerate()
                .map(|(n, bytes)| Leaving { jail: JailName::new(format!("j{n}")).unwrap(), bytes: *bytes })
                .collect();
            order(&mut leaving);
            prop_assert!(leaving.windows(2).all(|two| two[0].bytes >= two[1].bytes));
            for one in &leaving {
                let Some(place) = places(&rooms, one.bytes).into_iter().next() else {
                    prop_assert!(rooms.iter().all(|r| !r.fits(one.bytes)));
                    continue;
                };
                rooms.iter_mut().find(|r| r.node == place).unwrap().give(one.bytes);
            }
            prop_assert!(rooms.iter().all(|r| r.given <= r.free));
        }
    }
}
