//! Carries out many moves: a queue without rounds, copies side by side, one cut-over at a time.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::tz::TimeZone;
use tokio::sync::RwLock;

use crate::batch::queue::End;
use crate::batch::queue::Job;
use crate::batch::queue::Queue;
use crate::batch::queue::Standing;
use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::execute;
use crate::cli::gather;
use crate::cli::input;
use crate::cli::input::FleetFile;
use crate::cli::migrate::Consent;
use crate::cli::notify;
use crate::cli::output;
use crate::cli::plan;
use crate::cli::prepare;
use crate::cli::prepare::Drawn;
use crate::cli::prepare::Undrawn;
use crate::cli::replan::Replan;
use crate::cli::replan::reasons;
use crate::cli::waiting::Gate;
use crate::cli::waiting::Waiting;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RunId;
use crate::plan::hooks;
use crate::playbook::Batch;
use crate::playbook::Options;
use crate::playbook::batch::Occasion;
use crate::remote::Hosts;
use crate::saga::interrupt::Interrupts;
use crate::saga::record::NoteRecord;
use crate::ui::event::Event;
use crate::ui::paint::Paint;
use crate::ui::plan_view;
use crate::ui::renderer::Renderer;
use crate::ui::sanitize;

/// How soon a host is asked again whether there is room now.
const AGAIN: Duration = Duration::from_secs(5);

/// How often deadline and Ctrl-C are looked at.
const TICK: Duration = Duration::from_millis(200);

/// One move to make.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) jail: JailName,
    /// Where it is, when that is known already.
    pub(super) from: Option<NodeName>,
    pub(super) to: NodeName,
    pub(super) after: Vec<JailName>,
    pub(super) options: Options,
}

/// All of them, and how.
#[derive(Debug)]
pub(super) struct Orders<'a> {
    /// What it is called: the playbook's name, or `drain of spare`.
    pub(super) title: String,
    pub(super) moves: Vec<Order>,
    pub(super) batch: &'a Batch,
    pub(super) deadline: Option<Instant>,
    /// What goes into the journal of each.
    pub(super) note: Option<NoteRecord>,
}

/// How one of them ended.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Done {
    pub(super) jail: JailName,
    pub(super) from: Option<NodeName>,
    pub(super) to: NodeName,
    /// `moved`, `already-there`, `rolled-back`, `refused`, `needs-human`, `failed`, `not-tried`.
    pub(super) outcome: String,
    pub(super) run: Option<RunId>,
    pub(super) blackout_milliseconds: Option<u64>,
    /// What it means for the jail.
    pub(super) summary: String,
    #[serde(skip)]
    pub(super) exit: Exit,
}

/// What the moves have in common while they run.
struct Together<'a> {
    global: &'a Global,
    fleet: &'a FleetFile,
    hosts: &'a Hosts,
    orders: &'a Orders<'a>,
    gate: &'a Gate,
}

/// Carries all moves out, or shows their plans. Gives how each ended, in the order of the playbook; on a dry run nothing.
///
/// # Errors
/// The exit code, when none was begun.
pub(super) async fn carry_out(
    global: &Global,
    fleet: &FleetFile,
    hosts: &Hosts,
    orders: &Orders<'_>,
    consent: Consent,
) -> Result<Vec<Done>, Exit> {
    carry_out_after(global, fleet, hosts, orders, consent, &|| Ok(())).await
}

/// As [`carry_out`], with something that is done once it was agreed to, before the first move.
///
/// # Errors
/// As [`carry_out`].
pub(super) async fn carry_out_after(
    global: &Global,
    fleet: &FleetFile,
    hosts: &Hosts,
    orders: &Orders<'_>,
    consent: Consent,
    first: &(dyn Fn() -> Result<(), Exit> + Sync),
) -> Result<Vec<Done>, Exit> {
    if consent.dry_run {
        return match show(global, fleet, hosts, orders).await {
            Exit::Done => Ok(Vec::new()),
            exit => Err(exit),
        };
    }
    let zone = time_zone(orders.batch)?;
    let interrupts = Interrupts::listen().map_err(|error| {
        output::complain(&format!("signals cannot be handled: {error}; nothing was changed"));
        Exit::Internal
    })?;
    let places = whereabouts(fleet, hosts, orders).await?;
    if !consent.yes && !agreed(global, orders, &places) {
        return Err(Exit::Refused);
    }
    first()?;
    let jobs = orders.moves.iter().map(|order| Job {
        jail: order.jail.clone(),
        from: order.from.clone().or_else(|| places.get(&order.jail).cloned()),
        to: order.to.clone(),
        after: order.after.clone(),
    });
    let queue = Queue::new(jobs.collect(), orders.batch.parallel, orders.batch.stop_after);
    let gate = Gate {
        cut_overs: Arc::new(RwLock::new(0)),
        queue: Mutex::new(queue),
        interrupts,
        deadline: orders.deadline,
        promised: Mutex::default(),
        windows: orders.batch.windows.clone(),
        zone,
    };
    let together = Together { global, fleet, hosts, orders, gate: &gate };
    let all = together.all().await;
    together.tell(&all).await;
    Ok(all)
}

/// The exit code of the whole: the worst of its moves.
pub(super) fn worst(all: &[Done]) -> Exit {
    let rank = |exit: &Exit| match exit {
        Exit::Done => 0,
        Exit::BadInput => 1,
        Exit::Refused => 2,
        Exit::RolledBack => 3,
        Exit::Internal => 4,
        Exit::NeedsHuman => 5,
    };
    all.iter().map(|d| d.exit).max_by_key(rank).unwrap_or(Exit::Done)
}

fn time_zone(batch: &Batch) -> Result<TimeZone, Exit> {
    let Some(name) = &batch.time_zone else { return Ok(TimeZone::system()) };
    input::zone(name).map_err(|error| {
        output::complain(&format!("{error}; nothing was changed"));
        Exit::BadInput
    })
}

/// The node of each jail, which the limits count; asked only where they can matter.
async fn whereabouts(
    fleet: &FleetFile,
    hosts: &Hosts,
    orders: &Orders<'_>,
) -> Result<BTreeMap<JailName, NodeName>, Exit> {
    let known = orders.moves.iter().all(|o| o.from.is_some());
    if known || orders.moves.len() < 2 || orders.batch.parallel.moves < 2 {
        return Ok(BTreeMap::new());
    }
    let facts = gather::facts_of_all(hosts, &fleet.fleet, &|_| ()).await.map_err(|error| {
        output::complain(&format!("the fleet cannot be asked; nothing was changed\n{error}"));
        Exit::Refused
    })?;
    let runs = |jail: &JailName| facts.iter().find(|(_, f)| f.jail(jail).is_some()).map(|(node, _)| node.clone());
    Ok(orders.moves.iter().filter_map(|o| Some((o.jail.clone(), runs(&o.jail)?))).collect())
}

fn agreed(global: &Global, orders: &Orders<'_>, places: &BTreeMap<JailName, NodeName>) -> bool {
    if global.json || !std::io::stdin().is_terminal() {
        output::complain("nobody is here to answer: add --yes to go ahead, or --dry-run to see the plans");
        return false;
    }
    for order in &orders.moves {
        let from = order.from.as_ref().or_else(|| places.get(&order.jail));
        let from = from.map(|f| format!(" from {f}")).unwrap_or_default();
        output::say(&format!("  jail {}{from} to {}", order.jail, order.to));
    }
    output::say(&format!("Make these {} moves now? Type yes: ", orders.moves.len()));
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer).is_err() || answer.trim() != "yes" {
        output::say("Nothing was changed.");
        return false;
    }
    true
}

/// The plan of each move as the hosts are now, with its hooks.
async fn show(global: &Global, fleet: &FleetFile, hosts: &Hosts, orders: &Orders<'_>) -> Exit {
    let mut all = Vec::new();
    for order in &orders.moves {
        let there = (&order.jail, &order.to);
        let renderer = Renderer::quiet();
        let events = |event: Event| renderer.event(&event);
        let drawn = prepare::draw(global, fleet, hosts, there, &order.options, &events, &|_, _| ()).await;
        let exit = match drawn {
            Ok(mut drawn) => {
                drawn.plan.hooks = hooks::calls(&drawn.plan, &orders.batch.hooks);
                plan::show(global, &drawn.plan)
            }
            Err(exit) => exit,
        };
        all.push(done(order, "planned", exit, String::new()));
    }
    worst(&all)
}

fn done(order: &Order, outcome: &str, exit: Exit, summary: String) -> Done {
    Done {
        jail: order.jail.clone(),
        from: order.from.clone(),
        to: order.to.clone(),
        outcome: outcome.to_owned(),
        run: None,
        blackout_milliseconds: None,
        summary,
        exit,
    }
}

/// What becomes of a move that cannot be planned.
fn undrawn_as(order: &Order, undrawn: Undrawn, events: &dyn Fn(Event)) -> Done {
    match undrawn {
        Undrawn::NotAsked(error) => done(order, "refused", Exit::Refused, error),
        Undrawn::Findings(findings) if findings.iter().any(|f| f.code == "already-there") => {
            let summary = format!("jail {} runs on {} already.", order.jail, order.to);
            events(Event::Note { text: summary.clone() });
            done(order, "already-there", Exit::Done, summary)
        }
        Undrawn::Findings(findings) => {
            events(Event::Note { text: plan_view::findings(&findings, Paint::new(false)) });
            done(order, "refused", Exit::Refused, reasons(&findings))
        }
        Undrawn::Failed(exit) => done(order, "failed", exit, "this machine failed".into()),
    }
}

/// Bytes that can be written where the jail goes.
fn free(drawn: &Drawn) -> u64 {
    let target = &drawn.situation.target;
    let facts = drawn.evidence.hosts.get(&target.node);
    let found = target.dataset.parent().and_then(|parent| facts?.dataset(&parent));
    found.map_or(u64::MAX, |d| d.available)
}

impl Together<'_> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.gate.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins whatever may begin, whenever something has ended.
    async fn all(&self) -> Vec<Done> {
        let mut ended: BTreeMap<usize, Done> = BTreeMap::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            if let Some(why) = self.gate.closed() {
                self.queue().stop(&why);
            }
            loop {
                let next = self.queue().begin();
                let Some(index) = next else { break };
                if let Some(order) = self.orders.moves.get(index) {
                    under_way.push(async move { (index, self.one(order).await) });
                }
            }
            if under_way.is_empty() {
                break;
            }
            tokio::select! {
                Some((index, one)) = under_way.next() => {
                    let there = matches!(one.outcome.as_str(), "moved" | "already-there");
                    self.queue().end(index, if there { End::There } else { End::Failed });
                    ended.insert(index, one);
                }
                () = tokio::time::sleep(TICK) => {}
            }
        }
        let queue = self.queue();
        for (index, (standing, order)) in queue.standing().iter().zip(&self.orders.moves).enumerate() {
            if let Standing::Over(End::NotTried(why)) = standing {
                ended.insert(index, done(order, "not-tried", Exit::Refused, why.clone()));
            }
        }
        ended.into_values().collect()
    }

    /// One move, from asking the hosts to its outcome.
    async fn one(&self, order: &Order) -> Done {
        let many = self.orders.moves.len() > 1;
        let colour = output::colour(std::io::stdout().is_terminal());
        let renderer = if many && (self.global.json || self.orders.batch.parallel.moves > 1) {
            Renderer::of_many(self.global.json, colour, order.jail.as_str())
        } else {
            Renderer::choose(self.global.json, colour)
        };
        let one = self.shown(order, &renderer).await;
        renderer.finish();
        let occasion = if one.exit == Exit::Done { Occasion::Moved } else { Occasion::Failed };
        let mut said = serde_json::json!(one);
        if let Some(fields) = said.as_object_mut() {
            fields.insert("event".into(), if one.exit == Exit::Done { "moved" } else { "failed" }.into());
            fields.insert("title".into(), self.orders.title.as_str().into());
        }
        notify::tell(&self.orders.batch.notify, occasion, &said).await;
        one
    }

    async fn shown(&self, order: &Order, renderer: &Renderer) -> Done {
        let hosts = self.hosts.beside();
        let events = |event: Event| renderer.event(&event);
        let there = (&order.jail, &order.to);
        let mut told = false;
        let (mut drawn, generation, room) = loop {
            // While another cuts over, what the hosts say holds for a moment only.
            let seen = self.gate.cut_overs.read().await;
            if let Some(why) = self.gate.closed() {
                return done(order, "refused", Exit::Refused, why);
            }
            let drawn = prepare::try_draw(self.fleet, &hosts, there, &order.options, &events, &|_, _| ()).await;
            let generation = *seen;
            drop(seen);
            let drawn = match drawn {
                Ok(drawn) => drawn,
                Err(undrawn) => return undrawn_as(order, undrawn, &events),
            };
            if let Some(room) = self.gate.promise(&order.to, drawn.plan.bytes, free(&drawn)) {
                break (drawn, generation, room);
            }
            if !told {
                told = true;
                let text = format!(
                    "waits until the copies that are under way to {} have arrived: together there is no room",
                    order.to
                );
                events(Event::Note { text });
            }
            tokio::time::sleep(AGAIN).await;
        };
        drawn.plan.hooks = hooks::calls(&drawn.plan, &self.orders.batch.hooks);
        let drawn = drawn;
        let known = |mut one: Done| {
            one.from = Some(drawn.plan.source.clone());
            one
        };
        if drawn.plan.refused() {
            events(Event::Note { text: plan_view::findings(&drawn.plan.findings, Paint::new(false)) });
            return known(done(order, "refused", Exit::Refused, reasons(&drawn.plan.findings)));
        }
        let begun = drawn.begun(false);
        let waiting = Waiting {
            gate: self.gate,
            replan: Replan {
                fleet: self.fleet,
                hosts: &hosts,
                renderer,
                hooks: Some(&self.orders.batch.hooks),
                plan: &drawn.plan,
                begun: &begun,
            },
            seen: generation,
            asked: Instant::now(),
            fresh: OnceLock::new(),
            room: Mutex::new(Some(room)),
            held: Mutex::new(None),
        };
        let ended = execute::in_turn(&drawn.plan, &begun, &hosts, renderer, &waiting, self.orders.note.as_ref()).await;
        let mut one = known(done(order, ended.outcome, ended.exit, ended.summary));
        one.run = Some(drawn.plan.run.clone());
        one.blackout_milliseconds = ended.blackout;
        if let (Some(seen), Some(budget)) = (ended.blackout, drawn.settings.accept_blackout)
            && i128::from(seen) > budget.as_millis()
        {
            let text = format!(
                "nobody answered for {}, longer than the {budget:#} of `accept_blackout`",
                plan_view::seconds(seen)
            );
            renderer.event(&Event::Note { text: text.clone() });
            one.summary = format!("{} {text}.", one.summary);
        }
        one
    }

    /// How it went, for people, machines and whoever wants to be told.
    async fn tell(&self, all: &[Done]) {
        let mut said = serde_json::json!({ "event": "finished", "title": self.orders.title, "moves": all });
        if let Some(fields) = said.as_object_mut() {
            fields.insert("exit".into(), (worst(all) as u8).into());
        }
        if self.global.json {
            output::say(&said.to_string());
        } else if all.len() > 1 {
            output::say(&table(all));
        } else {
            // The renderer has told of a run; of a move without one, nobody has.
            for one in all.iter().filter(|d| d.run.is_none() && d.exit != Exit::Done) {
                output::complain(&format!("jail {} is not moved: {}", one.jail, sanitize::line(&one.summary)));
            }
        }
        notify::tell(&self.orders.batch.notify, Occasion::Finished, &said).await;
    }
}

/// A line for each move.
fn table(all: &[Done]) -> String {
    let width = |of: &dyn Fn(&Done) -> usize| all.iter().map(of).max().unwrap_or(0);
    let way = |d: &Done| match &d.from {
        Some(from) => format!("{from} to {}", d.to),
        None => format!("to {}", d.to),
    };
    let (jails, ways) = (width(&|d| d.jail.as_str().len()), width(&|d| way(d).len()));
    let mut text = String::new();
    for one in all {
        let blackout = one.blackout_milliseconds.map(|ms| format!("nobody answered for {}", plan_view::seconds(ms)));
        let first = sanitize::line(one.summary.lines().next().unwrap_or_default());
        let why = match (one.exit, blackout) {
            (Exit::Done, Some(blackout)) => blackout,
            (Exit::Done, None) => String::new(),
            (_, _) => first,
        };
        let line = format!("{:jails$}  {:ways$}  {:13}  {why}", one.jail.as_str(), way(one), one.outcome);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let count = |outcome: &[&str]| all.iter().filter(|d| outcome.contains(&d.outcome.as_str())).count();
    let (there, not_tried) = (count(&["moved", "already-there"]), count(&["not-tried"]));
    text.push_str(&format!("{there} of {} there", all.len()));
    let failed = all.len() - there - not_tried;
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    if not_tried > 0 {
        text.push_str(&format!(", {not_tried} not tried"));
    }
    text
}
