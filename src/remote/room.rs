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

/// The places on one host.
#[derive(Debug)]
pub(crate) struct Room {
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

/// A command's place, or a copy's two within one host.
#[derive(Debug)]
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    room: Arc<Room>,
}

impl Room {
    pub(crate) fn new() -> Arc<Room> {
        let count = Count { places: CHANNELS, too_many: 0 };
        Arc::new(Room { free: Arc::new(Semaphore::new(CHANNELS)), count: Mutex::new(count) })
    }

    /// Waits for so many places; none when the host is being let go.
    pub(crate) async fn enter(self: &Arc<Room>, places: u32) -> Option<Place> {
        let permit = self.free.clone().acquire_many_owned(places).await.ok()?;
        Some(Place { permit: Some(permit), room: self.clone() })
    }

    /// Somebody with a place was refused a session: is it worth another try? Waits a moment before it says so. Who is refused for
    /// the first time takes one place away for good, if there are others.
    pub(crate) async fn again(&self, refusals: &mut Refusals) -> bool {
        let others = {
            let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
            let used = count.places.saturating_sub(self.free.available_permits());
            if !refusals.any && used > LEAST && count.places.saturating_sub(count.too_many) > LEAST {
                // One that nobody has goes at once.
                count.places -= self.free.forget_permits(usize::MAX);
                count.too_many += 1;
            }
            used > 1
        };
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
        let mut count = self.room.count.lock().unwrap_or_else(PoisonError::into_inner);
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
        while room.free.available_permits() > 0 {
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
}
