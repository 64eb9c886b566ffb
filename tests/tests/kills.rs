//! A gateway that is killed at any moment, again and again, keeps what it promised: no message goes out twice, every run
//! that was accepted has an outcome that its transcript tells, and a job is done once for each time it is due.
//!
//! Here it is killed 25 times; `CLAWHOST_KILLS=1000 cargo test -p clawhost-tests --test kills` does it so often.
//! `CLAWHOST_KILLS_SEED` repeats the moments of a test that failed. A thousand, 2026-11-27, a build without `--release`, two
//! times 500 side by side: no message went out twice, none was lost, and of 94 of 413 answers nobody knew whether they went
//! out. 662 runs ended well, 950 were interrupted and said so.

mod kills {
    pub mod checks;
    pub mod work;
}

use std::time::Duration;

use clawhost_tests::chance::kills;
use clawhost_tests::support::{Client, Connect, Gateway, Key};
use kills::checks::Remains;
use kills::work::Work;
use serde_json::json;
use tokio::time::timeout;

/// Words come slowly enough for a kill to fall between two of them, and messages for one to fall before and after each is
/// on the disk.
const CONFIG: &str = "[plugins.echo.config]\nword_ms = 20\n[plugins.post.config]\npause_ms = 15\n";
/// Within this the gateway is killed after it was given work: longer than the work takes.
const WORKING: Duration = Duration::from_millis(450);
/// Within this it is killed after its start, when it is so before anything is looked at.
const STARTING: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_gateway_that_is_killed_at_any_moment_keeps_what_it_promised() {
    let (kills, mut chance) = kills("work", 25);

    let program = env!("CARGO_BIN_EXE_mortal_gateway");
    let mut gateway = Gateway::builder().program(program).config(CONFIG).start().await;
    let mut remains = Remains::new(gateway.state_dir());
    for kill in 1..=kills {
        if chance.below(4) == 0 {
            // Amid whatever it does first.
            let _ = timeout(chance.moment(STARTING), std::future::pending::<()>()).await;
        } else {
            let mut client = operator(&gateway).await;
            remains.check(&mut client).await;
            let mut work = Work::begin(&mut client, kill, &mut chance).await;
            work.follow(&mut client, chance.moment(WORKING)).await;
            remains.add(work);
            drop::<Client>(client);
        }
        let stopped = if chance.below(3) == 0 { gateway.stop().await } else { gateway.kill().await };
        remains.hear(&stopped.log);
        gateway = stopped.restart().await;
    }
    let mut client = operator(&gateway).await;
    remains.check(&mut client).await;
    client.close().await;
    let counts = remains.finish();
    eprintln!("{kills} kills: {counts}");
    gateway.stop().await;
}

/// Of protocol 4, which is told the names of jobs' runs.
async fn operator(gateway: &Gateway) -> Client {
    let connect = Connect::operator().device(&Key::new(4));
    gateway.connect(&connect.with("minProtocol", json!(4)).with("maxProtocol", json!(4))).await
}
