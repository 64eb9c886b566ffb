//! Room for one session more. Programs that name no session leave one for each of their requests, and would shut people out
//! when there are `max_sessions`: the oldest of these sessions are given up for others.

use std::collections::HashSet;
use std::time::Duration;

use database::Answer;
use database::rusqlite::Connection;
use plugin_api::MethodError;
use plugin_api::contracts::run::{ActiveRuns, RunsOf};

use crate::Sessions;
use crate::manage::tell_of_removed;
use crate::store::{sessions, transcripts};

pub const RUNS: &str = "agent.runs";
/// How long whoever runs agents has to say what runs.
const TO_ANSWER: Duration = Duration::from_secs(5);
/// Times that a session is given up for one that is to be made; others may take its place.
const TRIES: usize = 4;

impl Sessions {
    /// Does what may make a session, and gives up another one when there is no place for it.
    pub(crate) async fn with_room<T>(&self, make: impl Fn() -> Answer<T>) -> Result<T, MethodError> {
        for _ in 0..TRIES {
            match make().await {
                Err(full) if sessions::is_full(&full) => {
                    if !self.give_up_oldest().await? {
                        return Err(full);
                    }
                }
                done => return done,
            }
        }
        make().await
    }

    /// Gives up the oldest session of one request where nothing runs; whether there was one. Its transcript is archived.
    async fn give_up_oldest(&self) -> Result<bool, MethodError> {
        let busy = self.busy().await?;
        let (archives, watch, host) = (self.archives(), self.watch.clone(), self.host.clone());
        let job = move |db: &Connection| {
            let Some(session) = sessions::oldest_single(db, &busy)? else { return Ok((None, 0)) };
            let now = schemas::now_ms();
            sessions::remove(db, &session.key)?;
            let id = &session.session_id;
            transcripts::archive(db, id, &format!("{id}.deleted.{now}"), now)?;
            Ok((Some(session), transcripts::prune(db, archives)?))
        };
        let after = move |(given_up, removed): &(Option<sessions::Session>, u64)| {
            if let Some(session) = given_up {
                watch.changed(&session.key, &session.agent_id, "delete");
                host.info("the oldest session of one request was given up for another session (max_sessions)");
            }
            tell_of_removed(&host, *removed);
        };
        let (given_up, _) = self.store.transaction_then(&self.host, job, after).await?;
        Ok(given_up.is_some())
    }

    /// Keys of the sessions where something runs or waits to run; none where nobody runs agents.
    async fn busy(&self) -> Result<HashSet<String>, MethodError> {
        match self.host.invoke(RUNS, &RunsOf::default()).timeout(TO_ANSWER).send::<ActiveRuns>().await {
            Ok(active) => Ok(active.runs.into_iter().map(|run| run.session_key).collect()),
            Err(error) if error.shape().message == format!("unknown method: {RUNS}") => Ok(HashSet::new()),
            Err(error) => Err(error),
        }
    }
}
