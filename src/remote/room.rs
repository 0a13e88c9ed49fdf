//! Room for commands on one host: as many sessions as its sshd lets a connection have (MaxSessions, sshd_config(5)).
//!
//! How many that are is not asked: ten unless somebody has hardened it, and a `Match` may say otherwise. Where one is refused
//! although others run, there are fewer, and from then on no more are tried than fit.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// Commands at once on one host: with the shells that wait there ([`MOST`](crate::remote::ready::MOST)) what sshd lets a
/// connection have unless configured.
pub const CHANNELS: usize = 6;

/// Fewer are never counted on: one that is refused then waits for the other one's end.
const LEAST: usize = 2;

/// Seconds: a command that may take so long keeps its place for long. A chain of many short ones stays below.
const LONG: u32 = 24 * 3600;

/// Between two tries for a session that was refused.
const PAUSE: Duration = Duration::from_millis(200);

/// How often in a row one is refused that is alone before that counts: sshd may not have noticed yet that another has ended.
const ALONE: u32 = 5;

/// What somebody with a place has heard so far.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    any: bool,
    alone: u32,
}

/// How a command uses its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// For a moment.
    Short,
    /// For as long as data goes through, while somebody waits for it: a jail is down, or it is the network's turn.
    Urgent,
    /// For hours, perhaps.
    Long,
}

impl Use {
    /// Those that last long enough for others to wait in vain meanwhile.
    pub(crate) fn of(timeout: u32) -> Use {
        if timeout < LONG { Use::Short } else { Use::Long }
    }
}

/// The places on one host. Data that goes through keeps its place for long, and what others have to do meanwhile is short
/// and cannot wait: signs of life above all, without which the host goes back. So one place at least is never given to a
/// stream, and about half of them never to one that nobody waits for.
///
/// Whoever needs places on several hosts takes all of one sort before any of the next, each in the order of the hosts'
/// names: [`Room::lanes`], then [`Room::enter`]. So nobody waits in a circle.
#[derive(Debug)]
pub(crate) struct Room {
    all: Arc<Gate>,
    streams: Arc<Gate>,
    long: Arc<Gate>,
}

/// So many at once.
#[derive(Debug)]
struct Gate {
    free: Arc<Semaphore>,
    count: Mutex<Count>,
}

#[derive(Debug)]
struct Count {
    /// Places that there are.
    places: usize,
    /// Of those, how many are not to be given to anybody else when they become free.
    too_many: usize,
}

impl Count {
    fn left(&self) -> usize {
        self.places.saturating_sub(self.too_many)
    }
}

/// A command's place, or a copy's two within one host.
#[derive(Debug)]
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    gate: Arc<Gate>,
}

/// Of so many places, how many streams may have.
fn of_streams(places: usize) -> usize {
    places.saturating_sub(1).max(1)
}

/// Of so many places, how many streams may have for which nobody waits.
fn of_long(places: usize) -> usize {
    (places / 2).max(1)
}

impl Gate {
    fn new(places: usize) -> Arc<Gate> {
        let count = Count { places, too_many: 0 };
        Arc::new(Gate { free: Arc::new(Semaphore::new(places)), count: Mutex::new(count) })
    }

    async fn enter(self: &Arc<Gate>, places: u32) -> Option<Place> {
        let permit = self.free.clone().acquire_many_owned(places).await.ok()?;
        Some(Place { permit: Some(permit), gate: self.clone() })
    }

    /// From now on no more than so many, once those who are inside beyond that have left.
    fn shrink(&self, to: usize) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = count.left().saturating_sub(to);
        let at_once = self.free.forget_permits(spare);
        count.places -= at_once;
        count.too_many += spare - at_once;
    }
}

impl Room {
    pub(crate) fn new() -> Arc<Room> {
        let (streams, long) = (Gate::new(of_streams(CHANNELS)), Gate::new(of_long(CHANNELS)));
        Arc::new(Room { all: Gate::new(CHANNELS), streams, long })
    }

    /// Waits for so many places; none when the host is being let go.
    pub(crate) async fn enter(&self, places: u32) -> Option<Place> {
        self.all.enter(places).await
    }

    /// Waits for the place of a command.
    pub(crate) async fn enter_for(self: &Arc<Room>, r#use: Use) -> Option<(Vec<Place>, Place)> {
        let lanes = Room::lanes(&[self], r#use).await;
        Some((lanes, self.enter(1).await?))
    }

    /// What a stream that uses these hosts, in the order of their names, needs besides its places.
    pub(crate) async fn lanes(rooms: &[&Arc<Room>], r#use: Use) -> Vec<Place> {
        let mut taken = Vec::new();
        if r#use == Use::Long {
            for room in rooms {
                taken.extend(room.long.enter(1).await);
            }
        }
        if r#use != Use::Short {
            for room in rooms {
                taken.extend(room.streams.enter(1).await);
            }
        }
        taken
    }

    /// Somebody with a place was refused a session: is it worth another try? Waits a moment before it says so. Who is refused for
    /// the first time takes one place away for good, if there are others.
    pub(crate) async fn again(&self, refusals: &mut Refusals) -> bool {
        let (others, left) = {
            let mut count = self.all.count.lock().unwrap_or_else(PoisonError::into_inner);
            let used = count.places.saturating_sub(self.all.free.available_permits());
            if !refusals.any && used > LEAST && count.left() > LEAST {
                // One that nobody has goes at once.
                count.places -= self.all.free.forget_permits(usize::MAX);
                count.too_many += 1;
            }
            (used > 1, count.left())
        };
        self.streams.shrink(of_streams(left));
        self.long.shrink(of_long(left));
        refusals.any = true;
        refusals.alone = if others { 0 } else { refusals.alone + 1 };
        if refusals.alone > ALONE {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(mut permit) = self.permit.take() else { return };
        let mut count = self.gate.count.lock().unwrap_or_else(PoisonError::into_inner);
        while count.too_many > 0
            && let Some(one) = permit.split(1)
        {
            one.forget();
            count.too_many -= 1;
            count.places -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_are_tried_than_fit() {
        let room = Room::new();
        let mut inside = Vec::new();
        for _ in 0..5 {
            inside.push(room.enter(1).await.unwrap());
        }
        // Three run, two are refused.
        let (mut one, mut other) = (Refusals::default(), Refusals::default());
        assert!(room.again(&mut one).await && room.again(&mut other).await && room.again(&mut one).await);
        for _ in 0..5 {
            drop(inside.pop());
        }
        let mut fit = Vec::new();
        while room.all.free.available_permits() > 0 {
            fit.push(room.enter(1).await.unwrap());
        }
        assert_eq!(fit.len(), 3);
    }

    #[tokio::test]
    async fn who_is_alone_is_refused_in_the_end_and_leaves_room_for_two() {
        let room = Room::new();
        let one = room.enter(1).await.unwrap();
        let mut refusals = Refusals::default();
        for _ in 0..ALONE {
            assert!(room.again(&mut refusals).await);
        }
        assert!(!room.again(&mut refusals).await);
        // Within one host a copy has two.
        let other = room.enter(1).await.unwrap();
        for _ in 0..CHANNELS {
            // Others are waited for, however often.
            assert!(room.again(&mut refusals).await && room.again(&mut Refusals::default()).await);
        }
        drop((one, other));
        assert_eq!(room.enter(2).await.unwrap().permit.as_ref().map(OwnedSemaphorePermit::num_permits), Some(2));
    }

    /// A room with so many places, as refusals make it.
    async fn small(places: usize) -> Arc<Room> {
        let room = Room::new();
        for left in (places..CHANNELS).rev() {
            let mut inside = Vec::new();
            for _ in 0..=left {
                inside.push(room.enter(1).await.unwrap());
            }
            assert!(room.again(&mut Refusals::default()).await);
            drop(inside);
        }
        assert_eq!(room.all.free.available_permits(), places);
        room
    }

    #[tokio::test]
    async fn streams_never_fill_a_room() {
        for places in LEAST..=CHANNELS {
            let room = small(places).await;
            let (mut long, mut urgent) = (Vec::new(), Vec::new());
            let soon = Duration::from_millis(50);
            while let Ok(Some(inside)) = tokio::time::timeout(soon, room.enter_for(Use::Long)).await {
                long.push(inside);
            }
            assert_eq!(long.len(), of_long(places), "{places}");
            while let Ok(Some(inside)) = tokio::time::timeout(soon, room.enter_for(Use::Urgent)).await {
                urgent.push(inside);
            }
            assert_eq!(long.len() + urgent.len(), places - 1, "{places}");
            for _ in 0..3 {
                let command = tokio::time::timeout(soon, room.enter_for(Use::Short)).await;
                assert!(command.unwrap().is_some(), "{places}");
            }
        }
    }

    /// Copies both ways between hosts with rooms of any size, some refused meanwhile, and commands beside them: all end.
    #[tokio::test]
    async fn nobody_waits_in_a_circle() {
        for seed in 0..8_usize {
            let rooms = [small(LEAST).await, small(LEAST + seed % 4).await, Room::new()];
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..60 {
                let rooms = rooms.clone();
                let random = (number * 7919 + seed * 104_729) / 3;
                tasks.spawn(async move {
                    let (one, other) = (random % 3, random / 3 % 3);
                    let (first, second) = (one.min(other), one.max(other));
                    let r#use = [Use::Short, Use::Urgent, Use::Long][random / 9 % 3];
                    if r#use == Use::Short || first == second {
                        let inside = rooms[first].enter_for(r#use).await;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        drop(inside);
                        return;
                    }
                    let lanes = Room::lanes(&[&rooms[first], &rooms[second]], r#use).await;
                    let places = (rooms[first].enter(1).await, rooms[second].enter(1).await);
                    if random % 5 == 0 {
                        assert!(rooms[first].again(&mut Refusals::default()).await);
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    drop((lanes, places));
                });
            }
            let all = tokio::time::timeout(Duration::from_secs(60), tasks.join_all()).await;
            assert_eq!(all.map(|ended| ended.len()), Ok(60), "seed {seed}");
        }
    }
}
