mod authority;
mod invites;
mod model;
mod pinned;
mod waiting;

use super::*;
use proptest::prelude::*;
use schemas::hello::Granted;
use serde_json::json;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

async fn open(store: &Store) -> Pairing {
    let settings = PairingSettings { max_pending: 4, max_pending_per_ip: 2, ..PairingSettings::default() };
    Pairing::load(store, GatewayKey::from_bytes([9; 32]), settings).await.unwrap()
}

fn scopes(list: &[&str]) -> Vec<String> {
    list.iter().map(|scope| format!("operator.{scope}")).collect()
}

fn remote(device: &str, wanted: &[&str]) -> Candidate {
    Candidate {
        device_id: device.to_string(),
        public_key: format!("key-{device}"),
        role: "operator".to_string(),
        scopes: scopes(wanted),
        display_name: None,
        platform: Some("linux".to_string()),
        device_family: None,
        client_id: Some("cli".to_string()),
        client_mode: Some("cli".to_string()),
        remote_ip: Some("203.0.113.1".to_string()),
        local: false,
        pairing_optional: false,
        token_use: None,
        pins: false,
        invited: None,
    }
}

fn local(device: &str, wanted: &[&str]) -> Candidate {
    Candidate { local: true, remote_ip: None, ..remote(device, wanted) }
}

fn node(device: &str) -> Candidate {
    Candidate { role: "node".into(), scopes: Vec::new(), ..remote(device, &[]) }
}

fn authority(held: &[&str]) -> Authority {
    Authority { scopes: scopes(held), ..Authority::default() }
}

fn granted(admission: Admission) -> (Granted, Vec<PairingEvent>) {
    match admission {
        Admission::Paired { granted, events, .. } => (granted, events),
        other => panic!("not paired: {other:?}"),
    }
}

fn pending(admission: Admission) -> (String, PairingReason, Vec<PairingEvent>) {
    match admission {
        Admission::Pending { request_id, reason, events } => (request_id, reason, events),
        other => panic!("not pending: {other:?}"),
    }
}

fn kinds(events: &[PairingEvent]) -> Vec<String> {
    let word = |event: &PairingEvent| match event {
        PairingEvent::Requested(request) => format!("requested {}", request.request_id),
        PairingEvent::Resolved { request_id, decision, .. } => format!("{decision:?} {request_id}").to_lowercase(),
    };
    events.iter().map(word).collect()
}

fn refusal<T: std::fmt::Debug>(outcome: Result<Done<T>, ManageError>) -> String {
    outcome.unwrap_err().into_error_shape().message
}

fn verify(book: &Pairing, device: &str, token: &Granted, wanted: &[&str], now: u64) -> Result<TokenUse, TokenRefusal> {
    book.verify_device_token(device, "operator", token.device_token.as_deref().unwrap(), &scopes(wanted), now)
}

#[test]
fn a_remote_device_waits_is_approved_and_comes_back() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let (id, reason, events) = pending(book.admit(remote("a", &["admin"]), 1_000).await.unwrap());
        assert_eq!((reason.name(), kinds(&events)), ("not-paired", vec![format!("requested {id}")]));
        let (again, _, events) = pending(book.admit(remote("a", &["admin"]), 2_000).await.unwrap());
        assert_eq!((again, events.len()), (id.clone(), 0), "one request a device, announced once");

        let book = open(&store).await;
        let done = book.approve(&id, Some(&authority(&["admin"])), None, 3_000).await.unwrap();
        assert_eq!(kinds(&done.events), [format!("approved {id}")]);
        assert_eq!(refusal(book.approve(&id, None, None, 3_000).await), "unknown requestId");

        let book = open(&store).await;
        let (token, events) = granted(book.admit(remote("a", &["admin"]), 4_000).await.unwrap());
        assert_eq!((token.scopes.clone(), events.len()), (scopes(&["admin"]), 0));
        assert_eq!(token.issued_at_ms, Some(3_000));
        let (same, _) = granted(book.admit(remote("a", &["read"]), 5_000).await.unwrap());
        assert_eq!(same.device_token, token.device_token, "admin covers read, and the token stays");
    });
}

#[test]
fn records_have_the_recorded_shapes() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let (id, _, events) = pending(book.admit(remote("a", &["admin", "pairing"]), 1_000).await.unwrap());
        let request = json!({
            "requestId": id, "deviceId": "a", "publicKey": "key-a", "platform": "linux", "clientId": "cli",
            "clientMode": "cli", "role": "operator", "roles": ["operator"],
            "scopes": ["operator.admin", "operator.pairing"], "remoteIp": "203.0.113.1", "silent": false,
            "isRepair": false, "ts": 1_000,
        });
        assert_eq!(serde_json::to_value(&events[0]).unwrap(), request);
        let list = serde_json::to_value(book.list(None, &[], 1_500)).unwrap();
        assert_eq!(list, json!({ "pending": [request], "paired": [] }));
        let done = book.approve(&id, None, None, 2_000).await.unwrap();
        assert_eq!(
            serde_json::to_value(&done.events[0]).unwrap(),
            json!({ "requestId": id, "deviceId": "a", "decision": "approved", "ts": 2_000 })
        );
        let device = json!({
            "deviceId": "a", "publicKey": "key-a", "platform": "linux", "clientId": "cli", "clientMode": "cli",
            "role": "operator", "roles": ["operator"], "scopes": ["operator.admin", "operator.pairing"],
            "remoteIp": "203.0.113.1", "approvedVia": "owner", "createdAtMs": 2_000, "approvedAtMs": 2_000,
            "tokens": [{ "role": "operator", "scopes": ["operator.admin", "operator.pairing"], "createdAtMs": 2_000 }],
        });
        assert_eq!(serde_json::to_value(done.result).unwrap(), json!({ "requestId": id, "device": device }));
        let rotated = book.rotate("a", "operator", None, None, 3_000).await.unwrap();
        assert_eq!(
            serde_json::to_value(rotated.result).unwrap(),
            json!({ "deviceId": "a", "role": "operator", "scopes": ["operator.admin", "operator.pairing"],
                "rotatedAtMs": 3_000, "tokenDelivery": "withheld-cross-device" })
        );
        let revoked = book.revoke("a", "operator", None, 4_000).await.unwrap();
        assert_eq!(
            serde_json::to_value(revoked.result).unwrap(),
            json!({ "deviceId": "a", "role": "operator", "revokedAtMs": 4_000 })
        );
    });
}

#[test]
fn a_local_device_is_approved_at_once_even_after_knocking_from_outside() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let (id, ..) = pending(book.admit(remote("a", &["admin"]), 1_000).await.unwrap());
        let (_, events) = granted(book.admit(local("a", &["admin"]), 2_000).await.unwrap());
        assert_eq!(kinds(&events), [format!("approved {id}")]);
        assert!(book.list(None, &[], 2_000).pending.is_empty());

        let (id, reason, _) = pending(book.admit(remote("b", &["read"]), 1_000).await.unwrap());
        assert_eq!(reason, PairingReason::NotPaired);
        let (_, events) = granted(book.admit(local("b", &["admin"]), 2_000).await.unwrap());
        assert_eq!(kinds(&events)[0], format!("rejected {id}"));
        assert!(kinds(&events)[1].starts_with("approved ") && events.len() == 2);
    });
}

#[test]
fn a_changed_request_supersedes_the_older_one() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        granted(book.admit(local("a", &["read"]), 0).await.unwrap());
        let (first, reason, _) = pending(book.admit(remote("a", &["write"]), 1_000).await.unwrap());
        assert_eq!(reason.name(), "scope-upgrade");
        let (second, _, events) = pending(book.admit(remote("a", &["admin"]), 2_000).await.unwrap());
        assert_eq!(kinds(&events), [format!("rejected {first}"), format!("requested {second}")]);
        assert!(book.list(None, &[], 2_000).pending[0].is_repair);
        let node = Candidate { role: "node".into(), scopes: Vec::new(), ..remote("a", &[]) };
        let (_, reason, _) = pending(book.admit(node, 3_000).await.unwrap());
        assert_eq!(reason.name(), "role-upgrade");
    });
}

#[test]
fn requests_expire_and_make_room() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let (old, ..) = pending(book.admit(remote("a", &["read"]), 0).await.unwrap());
        assert_eq!(book.list(None, &[], 299_999).pending.len(), 1);
        assert_eq!(book.list(None, &[], 300_000).pending.len(), 0);
        assert_eq!(refusal(book.approve(&old, None, None, 300_000).await), "unknown requestId");
        let (new, _, events) = pending(book.admit(remote("a", &["read"]), 300_000).await.unwrap());
        assert_eq!(kinds(&events), [format!("requested {new}")], "an expired one vanishes without an event");

        let (second, ..) = pending(book.admit(remote("b", &["read"]), 300_001).await.unwrap());
        let (_, _, events) = pending(book.admit(remote("c", &["read"]), 300_002).await.unwrap());
        assert_eq!(kinds(&events)[0], format!("rejected {new}"), "two of one address are the limit");
        let elsewhere = Candidate { remote_ip: Some("198.51.100.1".into()), ..remote("d", &["read"]) };
        assert_eq!(pending(book.admit(elsewhere, 300_003).await.unwrap()).2.len(), 1);
        let on_disk = store.run(|db| devices::load(db)).await.unwrap().1;
        assert_eq!(on_disk.len(), 3);
        assert!(on_disk.iter().any(|request| request.request_id == second));
    });
}

#[test]
fn devices_that_were_paired_before_are_not_pushed_out() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        for device in ["a", "b"] {
            granted(book.admit(local(device, &["read"]), 0).await.unwrap());
            pending(book.admit(remote(device, &["admin"]), 1).await.unwrap());
        }
        assert!(matches!(book.admit(remote("c", &["read"]), 2).await.unwrap(), Admission::Busy));
        assert_eq!(book.list(None, &[], 2).pending.len(), 2);
        let of_b = book.list(None, &["b".into(), "x".into()], 2);
        let (pending, paired) = (&of_b.pending, &of_b.paired);
        assert_eq!((pending.len(), &*pending[0].device_id, paired.len(), &*paired[0].device_id), (1, "b", 1, "b"));
    });
}

#[test]
fn an_approval_gives_no_more_than_the_approver_holds() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let (id, ..) = pending(book.admit(remote("a", &["admin"]), 0).await.unwrap());
        let helper = authority(&["pairing", "read"]);
        assert_eq!(refusal(book.approve(&id, Some(&helper), None, 1).await), "device pairing approval denied");
        let narrowed = scopes(&["read"]);
        let done = book.approve(&id, Some(&helper), Some(&narrowed), 1).await.unwrap();
        assert_eq!(done.result.device.scopes, narrowed);
        let (id, reason, _) = pending(book.admit(remote("a", &["admin"]), 2).await.unwrap());
        assert_eq!(reason, PairingReason::ScopeUpgrade);
        let wider = scopes(&["admin", "read"]);
        let root = authority(&["admin"]);
        assert!(book.approve(&id, Some(&root), Some(&wider), 3).await.is_ok(), "read is within the admin asked for");

        let node = Candidate { role: "node".into(), scopes: Vec::new(), ..remote("n", &[]) };
        let (id, ..) = pending(book.admit(node.clone(), 0).await.unwrap());
        assert_eq!(refusal(book.approve(&id, Some(&helper), None, 1).await), "device pairing approval denied");
        assert!(book.approve(&id, Some(&root), None, 1).await.is_ok());
        let (token, _) = granted(book.admit(node, 2).await.unwrap());
        assert_eq!((token.role.as_str(), token.scopes.len()), ("node", 0));
    });
}

#[test]
fn a_caller_at_a_device_manages_that_device_only() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        for device in ["a", "b"] {
            granted(book.admit(local(device, &["read", "pairing"]), 0).await.unwrap());
        }
        let at_a = Authority { device_id: Some("a".into()), via_device_token: true, ..authority(&["read", "pairing"]) };
        assert_eq!(book.list(Some(&at_a), &[], 1).paired.len(), 1);
        assert!(book.list(Some(&at_a), &["b".into()], 1).paired.is_empty());
        assert_eq!(refusal(book.rotate("b", "operator", None, Some(&at_a), 1).await), "device token rotation denied");
        assert_eq!(refusal(book.revoke("b", "operator", Some(&at_a), 1).await), "device token revocation denied");
        assert_eq!(refusal(book.remove("b", Some(&at_a), 1).await), "device removal denied");
        assert_eq!(refusal(book.rename("b", "x", Some(&at_a)).await), "device rename denied");
        let own = book.rotate("a", "operator", None, Some(&at_a), 2).await.unwrap();
        assert_eq!(own.result.token_delivery, TokenDelivery::InBand);
        assert!(!format!("{:?}", own.result).contains(own.result.token.as_ref().unwrap()));
        let token = own.result.token.unwrap();
        assert!(book.verify_device_token("a", "operator", &token, &scopes(&["read"]), 3).is_ok());
        let renamed = book.rename("a", "  kitchen ", Some(&at_a)).await.unwrap();
        assert_eq!(renamed.result.label, "kitchen");
        assert!(refusal(book.rename("a", &"x".repeat(65), None).await).starts_with("label must"));
    });
}

#[test]
fn a_rotation_stays_within_what_was_approved() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let (old, _) = granted(book.admit(local("a", &["read"]), 0).await.unwrap());
        let root = authority(&["admin"]);
        for (role, wanted) in [("operator", scopes(&["admin"])), ("node", Vec::new())] {
            let denied = refusal(book.rotate("a", role, Some(&wanted), Some(&root), 1).await);
            assert_eq!(denied, "device token rotation denied", "{role} {wanted:?}");
        }
        assert_eq!(refusal(book.rotate("z", "operator", None, Some(&root), 1).await), "unknown deviceId/role");
        let done = book.rotate("a", "operator", Some(&[]), Some(&root), 1).await.unwrap();
        assert_eq!((done.result.token, done.invalidated.len()), (None, 1));
        assert_eq!(verify(&book, "a", &old, &[], 2), Err(TokenRefusal::TokenMismatch));
        assert_eq!(book.list(None, &[], 2).paired[0].scopes, scopes(&["read"]), "the approval itself is not touched");
        assert_eq!(refusal(book.revoke("a", "node", None, 2).await), "unknown deviceId/role");
    });
}

#[test]
fn reasons_come_in_their_order() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let (token, _) = granted(book.admit(local("a", &["read"]), 0).await.unwrap());
        let secret = token.device_token.clone().unwrap();
        let check = |device: &str, role: &str, token: &str, wanted: &[&str], now: u64| {
            book.verify_device_token(device, role, token, &scopes(wanted), now).err()
        };
        assert_eq!(check("z", "operator", &secret, &["admin"], 1), Some(TokenRefusal::DeviceNotPaired));
        assert_eq!(check("a", "node", &secret, &["admin"], 1), Some(TokenRefusal::RoleMissing));
        assert_eq!(check("a", "operator", "x", &["admin"], 1), Some(TokenRefusal::TokenMismatch));
        assert_eq!(check("a", "operator", &secret, &["admin"], 1), Some(TokenRefusal::ScopeMismatch));
        assert_eq!(check("a", "operator", &secret, &["admin"], 40 * DAY), Some(TokenRefusal::TokenExpired));
        assert_eq!(check("a", "operator", &secret, &[], 1), None);
        book.revoke("a", "operator", None, 2).await.unwrap();
        assert_eq!(check("a", "operator", "x", &["admin"], 3), Some(TokenRefusal::TokenRevoked));
    });
}

#[test]
fn tokens_are_renewed_and_the_old_one_lives_until_the_new_one_is_used() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let (first, _) = granted(book.admit(local("a", &["read"]), 0).await.unwrap());
        let (same, _) = granted(book.admit(local("a", &["read"]), 14 * DAY).await.unwrap());
        assert_eq!(same, first);
        let (second, _) = granted(book.admit(local("a", &["read"]), 16 * DAY).await.unwrap());
        assert_ne!(second.device_token, first.device_token);
        assert_eq!(second.issued_at_ms, Some(16 * DAY));

        let book = open(&store).await;
        assert!(verify(&book, "a", &first, &["read"], 17 * DAY).is_ok(), "the new one may not have arrived");
        let (again, _) = granted(book.admit(local("a", &["read"]), 17 * DAY).await.unwrap());
        assert_eq!(again, second, "and is handed out again");
        assert_eq!(verify(&book, "a", &first, &["read"], 31 * DAY), Err(TokenRefusal::TokenExpired));
        assert!(verify(&book, "a", &second, &["read"], 18 * DAY).is_ok());
        assert_eq!(verify(&book, "a", &first, &["read"], 18 * DAY), Err(TokenRefusal::TokenMismatch));
        book.flush().await.unwrap();
        let book = open(&store).await;
        assert_eq!(verify(&book, "a", &first, &["read"], 18 * DAY), Err(TokenRefusal::TokenMismatch));
    });
}

#[test]
fn removal_kills_tokens_and_connections() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let admission = book.admit(local("a", &["admin"]), 0).await.unwrap();
        let Admission::Paired { granted, epoch, .. } = admission else { panic!("not paired") };
        assert!(book.stands("a", "operator", epoch));
        let done = book.remove("a", Some(&authority(&["admin"])), 1).await.unwrap();
        assert_eq!(done.invalidated, [Invalidated { device_id: "a".into(), role: "operator".into() }]);
        assert!(!book.stands("a", "operator", epoch));
        assert_eq!(verify(&book, "a", &granted, &[], 2), Err(TokenRefusal::DeviceNotPaired));
        book.admit(local("a", &["admin"]), 3).await.unwrap();
        assert_eq!(verify(&book, "a", &granted, &[], 4), Err(TokenRefusal::TokenMismatch), "for good");
        assert!(!book.stands("a", "operator", epoch));
    });
}

#[test]
fn a_token_revoked_between_looking_and_admitting_lets_nobody_in() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let (token, _) = granted(book.admit(local("a", &["read"]), 0).await.unwrap());
        let token_use = verify(&book, "a", &token, &["read"], 1).unwrap();
        let comes_by_token = || Candidate { token_use: Some(token_use), ..local("a", &["read"]) };
        granted(book.admit(comes_by_token(), 1).await.unwrap());
        book.revoke("a", "operator", None, 2).await.unwrap();
        assert!(matches!(book.admit(comes_by_token(), 3).await.unwrap(), Admission::TokenFallen));
        let (fresh, _) = granted(book.admit(local("a", &["read"]), 4).await.unwrap());
        assert_ne!(fresh.device_token, token.device_token, "the shared secret gets a fresh one");
        assert!(matches!(book.admit(comes_by_token(), 5).await.unwrap(), Admission::TokenFallen));
    });
}

#[test]
fn optional_pairing_leaves_no_trace_and_still_gives_a_known_device_its_token() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let page = |wanted: &[&str]| Candidate { pairing_optional: true, ..remote("a", wanted) };
        assert!(matches!(book.admit(page(&["admin"]), 0).await.unwrap(), Admission::Skipped));
        assert_eq!(book.list(None, &[], 0), PairingList { pending: Vec::new(), paired: Vec::new() });
        granted(book.admit(local("a", &["read"]), 1).await.unwrap());
        assert!(granted(book.admit(page(&["read"]), 2).await.unwrap()).0.device_token.is_some());
    });
}

#[test]
fn visits_are_written_behind_and_nothing_else_is() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        granted(book.admit(local("a", &["read"]), 1).await.unwrap());
        let renamed = Candidate { display_name: Some("n".into()), ..remote("a", &["read"]) };
        granted(book.admit(renamed, 2).await.unwrap());
        let stored = store.run(|db| devices::load(db)).await.unwrap().0;
        assert_eq!((stored[0].last_seen_at_ms, stored[0].display_name.clone()), (Some(1), None));
        book.flush().await.unwrap();
        let stored = store.run(|db| devices::load(db)).await.unwrap().0;
        assert_eq!(stored[0].last_seen_at_ms, Some(2));
        assert_eq!(stored[0].remote_ip.as_deref(), Some("203.0.113.1"));
        let shown = serde_json::to_string(&book.list(None, &[], 3)).unwrap();
        assert!(!shown.contains(&stored[0].tokens[0].mint), "nothing that makes a token is shown");
    });
}

#[test]
fn what_the_disk_refuses_did_not_happen() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let refuse = "CREATE TRIGGER full BEFORE INSERT ON devices BEGIN SELECT RAISE(ABORT, 'disk full'); END";
        store.run(move |db| db.execute_batch(refuse)).await.unwrap();
        assert!(matches!(book.admit(local("a", &["read"]), 1).await, Err(StoreError::Failed(_))));
        assert!(book.list(None, &[], 1).paired.is_empty());
        store.run(|db| db.execute_batch("DROP TRIGGER full")).await.unwrap();
        granted(book.admit(local("a", &["read"]), 2).await.unwrap());
    });
}

#[test]
fn a_change_completes_though_nobody_waits_for_it() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let (release, held) = std::sync::mpsc::channel::<()>();
        store
            .submit("holds", move |_| {
                let _ = held.recv();
                Ok(())
            })
            .unwrap();
        {
            let leaving = book.admit(local("a", &["read"]), 1);
            let mut leaving = std::pin::pin!(leaving);
            let waker = std::task::Waker::noop();
            let mut context = std::task::Context::from_waker(waker);
            assert!(leaving.as_mut().poll(&mut context).is_pending());
        }
        drop(release);
        let (token, events) = granted(book.admit(local("a", &["read"]), 2).await.unwrap());
        assert_eq!((token.issued_at_ms, events.len()), (Some(1), 0), "the second attempt finds the first one's device");
    });
}
