//! The turn to cut over: one at a time for a hub, in a window, not after a deadline; with a plan that knows what the others
//! have changed meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use futures_util::future::BoxFuture;
use jiff::Zoned;
use jiff::tz::TimeZone;
use tokio::sync::OwnedRwLockWriteGuard;
use tokio::sync::RwLock;

use crate::batch::drain;
use crate::batch::queue::Queue;
use crate::cli::network_turn;
use crate::cli::replan::Replan;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::playbook::window;
use crate::playbook::window::Window;
use crate::saga::interrupt::Interrupts;
use crate::saga::turn::NoTurn;
use crate::saga::turn::Turn;
use crate::ui::event::Event;

/// How often what may end the waiting is looked at.
const TICK: Duration = Duration::from_millis(200);

/// What all moves of a batch wait for together.
#[derive(Debug)]
pub(super) struct Gate {
    /// Held for reading while somebody plans, for writing while somebody cuts over; counts the cut-overs.
    pub(super) cut_overs: Arc<RwLock<u64>>,
    /// The moves.
    pub(super) queue: Mutex<Queue>,
    /// Ctrl-C.
    pub(super) interrupts: Interrupts,
    /// No cut-over begins after it.
    pub(super) deadline: Option<Instant>,
    /// When cut-overs may begin.
    pub(super) windows: Vec<Window>,
    /// Whose hours they are.
    pub(super) zone: TimeZone,
    /// Bytes that moves under way still bring to each node.
    pub(super) promised: Mutex<BTreeMap<NodeName, u64>>,
}

impl Gate {
    /// Why nothing more may begin.
    pub(super) fn closed(&self) -> Option<String> {
        if self.interrupts.asked() {
            return Some("interrupted as asked".to_owned());
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Some("the deadline has passed".to_owned());
        }
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).stopped().map(|why| format!("stopped: {why}"))
    }

    /// Room for a copy on a node, beside what others have been promised there. `None`: it has to wait for one of them;
    /// alone, the preflight has decided.
    pub(super) fn promise(&self, node: &NodeName, bytes: u64, free: u64) -> Option<Promise<'_>> {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let others = promised.entry(node.clone()).or_default();
        if *others > 0 && free < others.saturating_add(drain::needed(bytes)) {
            return None;
        }
        *others = others.saturating_add(bytes);
        Some(Promise { gate: self, node: node.clone(), bytes })
    }

    /// Minutes until a window opens.
    fn opens_in(&self) -> Option<u32> {
        let now = Zoned::now().with_time_zone(self.zone.clone());
        let weekday = usize::try_from(now.weekday().to_monday_zero_offset()).unwrap_or(0);
        let minute = u16::try_from(i16::from(now.hour()) * 60 + i16::from(now.minute())).unwrap_or(0);
        window::opens_in(&self.windows, weekday, minute)
    }

    /// Waits until a window is open. Did it have to?
    async fn window(&self, tell: &(dyn Fn(String) + Sync)) -> Result<bool, String> {
        let mut told = false;
        loop {
            match self.opens_in() {
                Some(0) => return Ok(told),
                Some(minutes) if !told => {
                    tell(format!("copied; its cut-over waits for the next window, in {minutes} min"))
                }
                Some(_) => {}
                None => return Err("no window ever opens".to_owned()),
            }
            told = true;
            if let Some(why) = self.closed() {
                return Err(why);
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Waits until nobody else cuts over.
    async fn alone(&self, tell: &(dyn Fn(String) + Sync)) -> Result<OwnedRwLockWriteGuard<u64>, String> {
        let turn = self.cut_overs.clone().write_owned();
        tokio::pin!(turn);
        let mut told = false;
        loop {
            tokio::select! {
                got = &mut turn => return Ok(got),
                () = tokio::time::sleep(TICK) => {}
            }
            if !told {
                told = true;
                tell("copied; its cut-over waits for another to end".to_owned());
            }
            if let Some(why) = self.closed() {
                return Err(why);
            }
        }
    }
}

/// Room that a copy was promised; given back when it has arrived, and the host's figures tell of it, or is taken back.
#[derive(Debug)]
pub(super) struct Promise<'a> {
    gate: &'a Gate,
    node: NodeName,
    bytes: u64,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        let mut promised = self.gate.promised.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(others) = promised.get_mut(&self.node) {
            *others = others.saturating_sub(self.bytes);
        }
    }
}

/// One move's turn.
pub(super) struct Waiting<'a> {
    pub(super) gate: &'a Gate,
    /// The plan it began with, and how another one is made.
    pub(super) replan: Replan<'a>,
    /// How many had cut over when those facts were read.
    pub(super) seen: u64,
    /// When they were read.
    pub(super) asked: Instant,
    /// The plan it goes on with.
    pub(super) fresh: OnceLock<Plan>,
    /// Its room at the target, until the copy is there.
    pub(super) room: Mutex<Option<Promise<'a>>>,
    /// The turn, kept until this is dropped.
    pub(super) held: Mutex<Option<OwnedRwLockWriteGuard<u64>>>,
}

impl Waiting<'_> {
    async fn wait(&self) -> Result<(), NoTurn> {
        let Replan { renderer, hosts, plan, .. } = self.replan;
        let tell = |text: String| renderer.event(&Event::Note { text });
        drop(self.room.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut waited = false;
        let mut turn = loop {
            waited |= self.gate.window(&tell).await?;
            let turn = self.gate.alone(&tell).await?;
            // Both at once: the window may have closed while another cut over.
            if self.gate.opens_in() == Some(0) {
                break turn;
            }
        };
        if let Some(why) = self.gate.closed() {
            return Err(why.into());
        }
        // This machine's moves wait for each other here, those of other machines at the hub.
        let changed = network_turn::take(plan, hosts, &tell).await?;
        if waited || changed || *turn != self.seen || self.asked.elapsed() > network_turn::OLD {
            let plan = self.replan.again().await?;
            let _ = self.fresh.set(plan);
        }
        *turn += 1;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
        Ok(())
    }
}

impl Turn for Waiting<'_> {
    fn come(&self) -> BoxFuture<'_, Result<(), NoTurn>> {
        Box::pin(self.wait())
    }

    fn plan(&self) -> Option<&Plan> {
        self.fresh.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_is_promised_twice_and_it_comes_back() {
        let gate = Gate {
            cut_overs: Arc::new(RwLock::new(0)),
            queue: Mutex::new(Queue::new(vec![], Default::default(), None)),
            interrupts: Interrupts::default(),
            deadline: None,
            windows: vec![],
            zone: TimeZone::UTC,
            promised: Mutex::default(),
        };
        let big = NodeName::new("big").unwrap();
        const GIB: u64 = 1 << 30;
        let first = gate.promise(&big, 6 * GIB, 8 * GIB).unwrap();
        assert!(gate.promise(&big, 6 * GIB, 8 * GIB).is_none());
        assert!(gate.promise(&NodeName::new("other").unwrap(), 6 * GIB, 8 * GIB).is_some());
        drop(first);
        // What the preflight found to fit is not judged again when nobody else is under way.
        assert!(gate.promise(&big, 6 * GIB, 0).is_some());
        assert_eq!(gate.closed(), None);
        gate.interrupts.ask();
        assert_eq!(gate.closed().as_deref(), Some("interrupted as asked"));
    }
}
