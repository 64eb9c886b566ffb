//! Looks at the gateway from beside the load: its ticks, its memory, its descriptors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clawhost_tests::support::{Gateway, resident_kib};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::TICK_MS;
use crate::judge::{self, Look};
use crate::load::{Plan, Tally};

/// How long a gateway may take to let go of everything that its load left.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is seen.
pub struct Watch {
    started: Instant,
    looks: Arc<Mutex<Vec<Look>>>,
    ticks: Arc<[AtomicU64; 2]>,
    tasks: JoinSet<()>,
    tally: Arc<Tally>,
}

impl Watch {
    pub fn start(gateway: Arc<Gateway>, plan: Arc<Plan>, tally: Arc<Tally>, every: Duration) -> Self {
        let mut watch = Watch {
            started: Instant::now(),
            looks: Arc::default(),
            ticks: Arc::default(),
            tasks: JoinSet::new(),
            tally,
        };
        watch.look(&gateway);
        let (looks, started, pid, end) = (watch.looks.clone(), watch.started, gateway.pid(), plan.clone());
        watch.tasks.spawn(async move {
            while timeout(every, end.ended()).await.is_err() {
                look(&looks, started, pid);
            }
        });
        let ticks = watch.ticks.clone();
        watch.tasks.spawn(async move {
            let mut client = gateway.operator(&["operator.read"]).await;
            let mut last = None;
            while !plan.is_over() {
                let tick = client.event("tick").await.payload.unwrap_or_default()["ts"].as_u64().unwrap_or_default();
                let missing = last.map_or(0, |last| judge::missing(last, tick, TICK_MS));
                ticks[0].fetch_add(1, Ordering::Relaxed);
                ticks[1].fetch_add(missing, Ordering::Relaxed);
                last = Some(tick);
                client.forget_events("");
            }
            client.close().await;
        });
        watch
    }

    /// Waits until nobody looks any more.
    pub async fn ended(&mut self) {
        self.tally.join(&mut self.tasks).await;
    }

    /// Looks a last time, once the gateway has let go of what its load left.
    pub async fn afterwards(&self, gateway: &Gateway) {
        let at_rest = async {
            for line in ["clawhost_connections ", "clawhost_calls_in_flight "] {
                while gateway.metric(line).await != 0.0 {}
            }
        };
        if timeout(PATIENCE, at_rest).await.is_err() {
            self.tally.fault("connections or calls are left though everybody has gone".to_string());
        }
        self.look(gateway);
    }

    pub fn looks(&self) -> Vec<Look> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ticks that came, and those that did not.
    pub fn ticks(&self) -> (u64, u64) {
        (self.ticks[0].load(Ordering::Relaxed), self.ticks[1].load(Ordering::Relaxed))
    }

    fn look(&self, gateway: &Gateway) {
        look(&self.looks, self.started, gateway.pid());
    }
}

fn look(looks: &Mutex<Vec<Look>>, started: Instant, pid: u32) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).unwrap_or(0) as u64;
    let look = Look { at: started.elapsed().as_secs_f64(), resident_kib: resident_kib(pid).unwrap_or(0), descriptors };
    looks.lock().unwrap_or_else(PoisonError::into_inner).push(look);
}
