//! Looks at the gateway from beside the load: its ticks, its memory, its descriptors.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawhost_tests::support::{Gateway, resident_kib};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::TICK_MS;
use crate::judge::{Look, Ticks};
use crate::load::{Plan, SPARE, Tally};

/// How long a gateway may take to let go of everything that its load left.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is seen.
pub struct Watch {
    started: Instant,
    looks: Arc<Mutex<Vec<Look>>>,
    ticks: Arc<Mutex<Ticks>>,
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
        let tally = watch.tally.clone();
        watch.tasks.spawn(async move {
            while timeout(every, end.ended()).await.is_err() && look(&looks, &tally, started, pid) {}
        });
        let ticks = watch.ticks.clone();
        watch.tasks.spawn(async move {
            let mut client = gateway.operator(&["operator.read"]).await;
            while !plan.is_over() {
                let tick = client.event("tick").await.payload.unwrap_or_default();
                lock(&ticks).hear(tick["ts"].as_u64().expect("a tick shows the time"), TICK_MS);
                client.forget_events("");
            }
            client.close().await;
        });
        watch
    }

    /// Waits until nobody looks any more.
    pub async fn ended(&mut self) {
        self.tally.join(&mut self.tasks, Some(Instant::now() + SPARE)).await;
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
        lock(&self.looks).clone()
    }

    pub fn ticks(&self) -> Ticks {
        lock(&self.ticks).clone()
    }

    fn look(&self, gateway: &Gateway) {
        look(&self.looks, &self.tally, self.started, gateway.pid());
    }
}

/// Looks once. What cannot be looked at is a fault, since nothing that is said of it afterwards would be true.
fn look(looks: &Mutex<Vec<Look>>, tally: &Tally, started: Instant, pid: u32) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map(|files| files.count() as u64);
    let (Some(resident_kib), Ok(descriptors)) = (resident_kib(pid), descriptors) else {
        tally.fault("nobody can look at the gateway's memory and descriptors".to_string());
        return false;
    };
    lock(looks).push(Look { at: started.elapsed().as_secs_f64(), resident_kib, descriptors });
    true
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_cannot_be_looked_at_is_a_fault() {
        let (looks, tally) = (Mutex::default(), Tally::default());
        assert!(look(&looks, &tally, Instant::now(), std::process::id()));
        assert!(!look(&looks, &tally, Instant::now(), u32::MAX), "nobody has this number");
        assert_eq!((lock(&looks).len(), tally.all().1.len()), (1, 1));
    }
}
