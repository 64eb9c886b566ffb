//! The rows themselves, as pure state: every function is told what time it is. Freshness goes by the monotonic clock, so
//! that a wall clock set back neither keeps rows for ever nor throws them away; `ts` is only for people.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::PresenceEntry;
use schemas::scope::normalized;

use crate::announcement::MAX_ITEMS;
use crate::list::Written;

/// Of so many connections of a row it is kept what they brought along.
const REMEMBERED: usize = 16;

/// Everyone but the gateway itself: rows by key, bounded in number and age.
pub(crate) struct Rows {
    rows: HashMap<String, Row>,
    limit: usize,
    ttl: Duration,
    /// The rows as they were last asked for, while they still are like that.
    written: Option<Arc<Written>>,
}

struct Row {
    shown: PresenceEntry,
    /// Connections that are open. A row with any of them does not expire.
    conns: HashSet<u64>,
    /// What the newest of them brought along, oldest first: a crowd behind one row costs no more than a few.
    newest: VecDeque<(u64, PresenceEntry)>,
    /// Roles and scopes that a `system-event` named; those of connections come and go with them.
    named: Lists,
    touched: Instant,
}

#[derive(Default)]
struct Lists {
    roles: Vec<String>,
    scopes: Vec<String>,
}

impl Rows {
    /// No rows yet. `limit` counts the gateway's own row, which is kept elsewhere and so never pushed out.
    pub(crate) fn new(limit: usize, ttl: Duration) -> Self {
        Rows { rows: HashMap::new(), limit: limit.saturating_sub(1).max(1), ttl, written: None }
    }

    /// A connection was accepted.
    pub(crate) fn opened(&mut self, key: &str, conn: u64, entry: PresenceEntry, now: Instant) {
        let row = self.row(key, now);
        overlay(&mut row.shown, &entry);
        row.conns.insert(conn);
        row.newest.retain(|(other, _)| *other != conn);
        if row.newest.len() == REMEMBERED {
            row.newest.pop_front();
        }
        row.newest.push_back((conn, entry));
        row.unite();
    }

    /// A connection has gone; false when it had no row (any more).
    ///
    /// A device with several connections stays "connected" until the last of them goes, and then shows what the one
    /// that is left brought along.
    pub(crate) fn closed(&mut self, key: &str, conn: u64, now: Instant, now_ms: u64) -> bool {
        let Some(row) = self.rows.get_mut(key) else { return false };
        if !row.conns.remove(&conn) {
            return false;
        }
        self.written = None;
        row.newest.retain(|(other, _)| *other != conn);
        row.touched = now;
        match row.newest.back() {
            Some((_, left)) => {
                overlay(&mut row.shown, left);
                row.unite();
            }
            // Of those that are left nothing is known but that they are there.
            None if !row.conns.is_empty() => {}
            None => row.shown.reason = Some("disconnect".to_string()),
        }
        row.shown.ts = now_ms;
        true
    }

    /// Somebody says something of a machine. Gives the row as it was and as it is.
    pub(crate) fn announced(
        &mut self,
        key: &str,
        mut news: PresenceEntry,
        now: Instant,
    ) -> (Option<PresenceEntry>, PresenceEntry) {
        let before = self.rows.get(key).map(|row| row.shown.clone());
        let named =
            Lists { roles: news.roles.take().unwrap_or_default(), scopes: news.scopes.take().unwrap_or_default() };
        let row = self.row(key, now);
        overlay(&mut row.shown, &news);
        row.named.roles.extend(named.roles);
        row.named.scopes.extend(named.scopes);
        row.named.roles = normalized(&row.named.roles);
        row.named.scopes = normalized(&row.named.scopes);
        row.named.roles.truncate(MAX_ITEMS);
        row.named.scopes.truncate(MAX_ITEMS);
        row.unite();
        (before, row.shown.clone())
    }

    /// Forgets rows that nobody renewed; true when there were any.
    pub(crate) fn sweep(&mut self, now: Instant) -> bool {
        let before = self.rows.len();
        let ttl = self.ttl;
        self.rows.retain(|_, row| row.is_fresh(now, ttl));
        self.rows.len() < before
    }

    /// The rows as they are listed. Stale ones are left out even when no sweep has met them yet.
    ///
    /// Lists are asked for far more often than they change, so one is written once.
    pub(crate) fn written(&mut self, now: Instant) -> serde_json::Result<Arc<Written>> {
        if let Some(written) = self.written.as_ref().filter(|written| written.holds_at(now)) {
            return Ok(written.clone());
        }
        let fresh = self.rows.iter().filter(|(_, row)| row.is_fresh(now, self.ttl));
        let mut rows: Vec<(&str, &PresenceEntry)> = fresh.map(|(key, row)| (key.as_str(), &row.shown)).collect();
        rows.sort_by(|(a_key, a), (b_key, b)| b.ts.cmp(&a.ts).then_with(|| a_key.cmp(b_key)));
        let until = self.rows.values().filter_map(|row| row.expires(self.ttl)).filter(|at| *at > now).min();
        let written = Arc::new(Written::new(rows.into_iter().map(|(_, entry)| entry), until)?);
        self.written = Some(written.clone());
        Ok(written)
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row of this key, made if need be. At the limit the stalest row goes, those without a connection first.
    fn row(&mut self, key: &str, now: Instant) -> &mut Row {
        self.written = None;
        if !self.rows.contains_key(key) && self.rows.len() >= self.limit {
            let stalest = self.rows.iter().min_by_key(|(_, row)| (!row.conns.is_empty(), row.touched));
            if let Some(key) = stalest.map(|(key, _)| key.clone()) {
                self.rows.remove(&key);
            }
        }
        let row = self.rows.entry(key.to_string()).or_insert_with(|| Row {
            shown: PresenceEntry::default(),
            conns: HashSet::new(),
            newest: VecDeque::new(),
            named: Lists::default(),
            touched: now,
        });
        row.touched = now;
        row
    }
}

impl Row {
    fn is_fresh(&self, now: Instant, ttl: Duration) -> bool {
        self.expires(ttl).is_none_or(|at| now < at)
    }

    /// When it is stale, if nobody renews it. Never while it has a connection.
    fn expires(&self, ttl: Duration) -> Option<Instant> {
        if self.conns.is_empty() { self.touched.checked_add(ttl) } else { None }
    }

    /// Roles and scopes of everything that is behind this row.
    fn unite(&mut self) {
        let Row { shown, newest, named, .. } = self;
        unite(&mut shown.roles, &named.roles, newest.iter().filter_map(|(_, entry)| entry.roles.as_deref()));
        unite(&mut shown.scopes, &named.scopes, newest.iter().filter_map(|(_, entry)| entry.scopes.as_deref()));
    }
}

/// All of these together; it stays as it is if it is that already, as it is for the connections of one program.
fn unite<'a>(shown: &mut Option<Vec<String>>, own: &'a [String], brought: impl Iterator<Item = &'a [String]>) {
    let mut all: Vec<&str> = own.iter().chain(brought.flatten()).map(String::as_str).collect();
    all.sort_unstable();
    all.dedup();
    if !shown.iter().flatten().eq(all.iter()) {
        *shown = (!all.is_empty()).then(|| all.into_iter().map(str::to_string).collect());
    }
}

/// Writes what is known anew over what was known; roles and scopes are united elsewhere.
fn overlay(shown: &mut PresenceEntry, news: &PresenceEntry) {
    for (old, new) in [
        (&mut shown.host, &news.host),
        (&mut shown.ip, &news.ip),
        (&mut shown.version, &news.version),
        (&mut shown.platform, &news.platform),
        (&mut shown.device_family, &news.device_family),
        (&mut shown.model_identifier, &news.model_identifier),
        (&mut shown.mode, &news.mode),
        (&mut shown.reason, &news.reason),
        (&mut shown.device_id, &news.device_id),
        (&mut shown.instance_id, &news.instance_id),
        (&mut shown.text, &news.text),
    ] {
        if new.is_some() {
            old.clone_from(new);
        }
    }
    if news.last_input_seconds.is_some() {
        shown.last_input_seconds = news.last_input_seconds;
    }
    if news.tags.is_some() {
        shown.tags.clone_from(&news.tags);
    }
    shown.ts = news.ts;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::PresenceList;

    const TTL: Duration = Duration::from_secs(300);

    fn entry(host: &str, role: &str, scopes: &[&str], ts: u64) -> PresenceEntry {
        PresenceEntry {
            host: Some(host.into()),
            mode: Some("ui".into()),
            reason: Some("connect".into()),
            roles: Some(vec![role.into()]),
            scopes: (!scopes.is_empty()).then(|| scopes.iter().map(|scope| scope.to_string()).collect()),
            ts,
            ..PresenceEntry::default()
        }
    }

    fn hosts(rows: &mut Rows, now: Instant) -> Vec<String> {
        listed(rows, u64::MAX, now).split_off(1)
    }

    fn listed(rows: &mut Rows, own_ts: u64, now: Instant) -> Vec<String> {
        let own = PresenceEntry { host: Some("own".into()), ts: own_ts, ..PresenceEntry::default() };
        let list = PresenceList::new(&own, rows.written(now).unwrap()).unwrap();
        let list: Vec<PresenceEntry> = serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
        list.into_iter().map(|entry| entry.host.unwrap()).collect()
    }

    fn only(rows: &Rows) -> PresenceEntry {
        assert_eq!(rows.len(), 1);
        rows.rows.values().next().unwrap().shown.clone()
    }

    #[test]
    fn a_crowd_behind_one_row_is_counted_and_only_the_newest_are_remembered() {
        const CROWD: u64 = 1000;
        let (mut rows, now) = (Rows::new(8, TTL), Instant::now());
        for conn in 1..=CROWD {
            rows.opened("d", conn, entry("mac", "operator", &["operator.read"], conn), now);
        }
        assert_eq!((rows.len(), rows.rows["d"].conns.len()), (1, CROWD as usize));
        assert_eq!(rows.rows["d"].newest.len(), REMEMBERED);
        // The newest go first: of the others nothing is known but that they are there.
        for conn in (2..=CROWD).rev() {
            assert!(rows.closed("d", conn, now, conn), "{conn}");
        }
        let row = &rows.rows["d"].shown;
        assert_eq!(
            (row.reason.as_deref(), row.scopes.as_deref()),
            (Some("connect"), Some(&["operator.read".to_string()][..]))
        );
        assert!(rows.closed("d", 1, now, 1) && !rows.closed("d", 1, now, 1));
        assert_eq!(rows.rows["d"].shown.reason.as_deref(), Some("disconnect"));
        assert!(rows.rows["d"].conns.is_empty());
    }

    #[test]
    fn what_is_said_again_and_again_does_not_add_up() {
        let (mut rows, now) = (Rows::new(200, TTL), Instant::now());
        for round in 0..10 * MAX_ITEMS as u64 {
            let scope = format!("scope-{round}");
            rows.announced("d", entry("phone", &format!("role-{round}"), &[&scope], round), now);
        }
        let row = only(&rows);
        assert_eq!((row.roles.unwrap().len(), row.scopes.unwrap().len()), (MAX_ITEMS, MAX_ITEMS));
    }

    #[test]
    fn connections_of_one_device_share_a_row() {
        let (mut rows, now) = (Rows::new(200, TTL), Instant::now());
        rows.opened("d", 1, entry("phone", "node", &[], 10), now);
        rows.opened("d", 2, entry("phone app", "operator", &["operator.write", "operator.read"], 20), now);
        let row = only(&rows);
        assert_eq!(row.host.as_deref(), Some("phone app"));
        assert_eq!(row.roles.unwrap(), ["node", "operator"]);
        assert_eq!(row.scopes.unwrap(), ["operator.read", "operator.write"]);

        assert!(rows.closed("d", 2, now, 30));
        let row = only(&rows);
        assert_eq!(
            (row.host.as_deref(), row.reason.as_deref(), row.ts, row.scopes),
            (Some("phone"), Some("connect"), 30, None)
        );
        assert_eq!(row.roles.unwrap(), ["node"]);

        assert!(rows.closed("d", 1, now, 40));
        let row = only(&rows);
        assert_eq!((row.reason.as_deref(), row.ts), (Some("disconnect"), 40));
        assert_eq!(row.roles.unwrap(), ["node"], "the last row says what it was");
        assert!(!rows.closed("d", 1, now, 50) && !rows.closed("x", 9, now, 50));
    }

    #[test]
    fn what_a_system_event_says_stays_beside_the_connections() {
        let (mut rows, now) = (Rows::new(200, TTL), Instant::now());
        rows.opened("d", 1, entry("mac", "operator", &["operator.read"], 10), now);
        let news = PresenceEntry {
            last_input_seconds: Some(7),
            tags: Some(vec!["desk".into()]),
            roles: Some(vec!["node".into()]),
            ts: 20,
            ..PresenceEntry::default()
        };
        let (before, after) = rows.announced("d", news, now);
        assert_eq!(before.unwrap().last_input_seconds, None);
        assert_eq!((after.host.as_deref(), after.last_input_seconds), (Some("mac"), Some(7)));
        assert_eq!(after.roles.unwrap(), ["node", "operator"]);
        rows.opened("d", 2, entry("mac", "operator", &[], 30), now);
        assert_eq!(only(&rows).tags.unwrap(), ["desk"]);
    }

    #[test]
    fn only_rows_without_a_connection_expire_and_the_wall_clock_does_not_matter() {
        let (mut rows, start) = (Rows::new(200, TTL), Instant::now());
        rows.opened("open", 1, entry("open", "operator", &[], 900), start);
        rows.opened("gone", 2, entry("gone", "operator", &[], 900), start);
        rows.closed("gone", 2, start + Duration::from_secs(10), 1);
        assert!(!rows.sweep(start + Duration::from_secs(309)), "touched again when it closed");
        let late = start + Duration::from_secs(310);
        assert_eq!(hosts(&mut rows, late), ["open"], "not shown although still there");
        assert!(rows.sweep(late));
        assert_eq!(rows.len(), 1);
        assert!(!rows.sweep(start + Duration::from_secs(1_000_000)));
    }

    #[test]
    fn at_the_limit_the_stalest_goes_and_closed_ones_first() {
        let (mut rows, start) = (Rows::new(4, TTL), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for n in 1..=3 {
            rows.opened(&format!("k{n}"), n, entry(&format!("h{n}"), "operator", &[], n), at(n));
        }
        rows.closed("k3", 3, at(4), 4);
        rows.opened("k5", 5, entry("h5", "operator", &[], 5), at(5));
        assert_eq!(hosts(&mut rows, at(6)), ["h5", "h2", "h1"], "three and the gateway's own");
        rows.opened("k6", 6, entry("h6", "operator", &[], 6), at(6));
        assert_eq!(hosts(&mut rows, at(6)), ["h6", "h5", "h2"]);
    }

    #[test]
    fn latest_first_and_the_own_row_wins_a_tie() {
        let (mut rows, now) = (Rows::new(200, TTL), Instant::now());
        for (key, ts) in [("b", 5), ("a", 5), ("c", 9)] {
            rows.opened(key, ts, entry(key, "operator", &[], ts), now);
        }
        assert_eq!(listed(&mut rows, 9, now), ["own", "c", "a", "b"]);
        assert_eq!(listed(&mut rows, 6, now), ["c", "own", "a", "b"], "a clock was set back");
    }

    #[test]
    fn a_list_is_written_once_until_it_changes() {
        let (mut rows, start) = (Rows::new(200, TTL), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        rows.opened("a", 1, entry("a", "operator", &[], 1), start);
        rows.opened("b", 2, entry("b", "operator", &[], 2), start);
        let first = rows.written(start).unwrap();
        assert!(Arc::ptr_eq(&first, &rows.written(at(9_999)).unwrap()), "who is connected stays");
        assert!(rows.closed("b", 2, at(10), 3));
        assert!(!Arc::ptr_eq(&first, &rows.written(at(10)).unwrap()));
        let second = rows.written(at(309)).unwrap();
        assert_eq!(hosts(&mut rows, at(309)), ["b", "a"]);
        assert_eq!(hosts(&mut rows, at(310)), ["a"], "a row got stale");
        let third = rows.written(at(310)).unwrap();
        assert!(!Arc::ptr_eq(&second, &third));
        rows.announced("a", entry("anew", "operator", &[], 4), at(311));
        assert_eq!(hosts(&mut rows, at(311)), ["anew"]);
        assert!(rows.sweep(at(400)));
        assert!(!rows.closed("b", 2, at(400), 5));
    }
}
