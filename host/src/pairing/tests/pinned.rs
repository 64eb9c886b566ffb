//! What a device is pinned to.

use super::*;

/// A client of protocol 4 on this platform, of this family.
fn four(candidate: Candidate, platform: &str, family: Option<&str>) -> Candidate {
    let (platform, device_family) = (Some(platform.to_string()), family.map(str::to_string));
    Candidate { platform, device_family, pins: true, ..candidate }
}

async fn let_in(book: &Pairing, candidate: Candidate, now_ms: u64) -> Granted {
    let (id, ..) = pending(book.admit(candidate.clone(), now_ms).await.unwrap());
    book.approve(&id, None, None, now_ms).await.unwrap();
    granted(book.admit(candidate, now_ms).await.unwrap()).0
}

fn reason(admission: Admission) -> &'static str {
    pending(admission).1.name()
}

#[test]
fn another_platform_or_family_waits_and_its_approval_pins_it() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let token = let_in(&book, four(node("a"), "macos", Some("Mac")), 1).await;
        let book = open(&store).await;
        for spelling in ["macos", "darwin", " MacOS ", "Darwin"] {
            let (same, _) = granted(book.admit(four(node("a"), spelling, Some("mac ")), 2).await.unwrap());
            assert_eq!(same.device_token, token.device_token, "{spelling}");
        }
        for (platform, family) in [("ios", Some("Mac")), ("macos", Some("iPhone")), ("macos", None), ("", Some("Mac"))]
        {
            let refused = book.admit(four(node("a"), platform, family), 3).await.unwrap();
            assert_eq!(reason(refused), "metadata-upgrade", "{platform} {family:?}");
        }
        assert_eq!(
            book.list(None, &[], 3).pending.len(),
            1,
            "each describes itself anew and takes the place of the one before"
        );

        let changed = four(node("a"), "ios", Some("iPhone"));
        let (id, ..) = pending(book.admit(changed.clone(), 4).await.unwrap());
        let book = open(&store).await;
        assert_eq!(pending(book.admit(changed.clone(), 5).await.unwrap()).0, id, "it waits on, over a restart");
        assert!(book.list(None, &[], 5).pending[0].is_repair);
        let done = book.approve(&id, None, None, 6).await.unwrap();
        assert!(done.invalidated.is_empty());
        let (kept, _) = granted(book.admit(changed, 7).await.unwrap());
        assert_eq!(kept.device_token, token.device_token, "it may have nothing else to come back with");
        let back = book.admit(four(node("a"), "macos", Some("Mac")), 8).await.unwrap();
        assert_eq!(reason(back), "metadata-upgrade");
    });
}

#[test]
fn protocol_3_shows_what_it_says_and_pins_nothing() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let phone = Candidate { platform: Some("ios".into()), ..node("a") };
        let_in(&book, four(node("a"), "linux", None), 1).await;
        granted(book.admit(phone.clone(), 2).await.unwrap());
        assert_eq!(book.list(None, &[], 2).paired[0].platform.as_deref(), Some("ios"), "it is shown");
        assert_eq!(reason(book.admit(four(node("a"), "ios", None), 3).await.unwrap()), "metadata-upgrade");

        // Approved from protocol 3, it is pinned when it comes with protocol 4 for the first time: on disk at once.
        let_in(&book, Candidate { device_id: "b".into(), public_key: "key-b".into(), ..phone }, 4).await;
        granted(book.admit(four(node("b"), "linux", Some("Linux")), 5).await.unwrap());
        let book = open(&store).await;
        granted(book.admit(four(node("b"), "linux", Some("Linux")), 6).await.unwrap());
        assert_eq!(reason(book.admit(four(node("b"), "ios", None), 7).await.unwrap()), "metadata-upgrade");
    });
}

#[test]
fn each_role_is_pinned_by_itself() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let_in(&book, four(remote("a", &["read"]), "linux", None), 1).await;
        let_in(&book, four(node("a"), "linux", Some("Linux")), 2).await;
        for now in 3..6 {
            granted(book.admit(four(remote("a", &["read"]), "linux", None), now).await.unwrap());
            granted(book.admit(four(node("a"), "linux", Some("Linux")), now).await.unwrap());
        }
    });
}

#[test]
fn this_machine_pins_itself_anew_by_the_secret_and_never_by_a_device_token() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let here = |platform: &str| four(local("a", &["read"]), platform, None);
        let (token, _) = granted(book.admit(here("linux"), 1).await.unwrap());
        let token_use = Some(verify(&book, "a", &token, &["read"], 2).unwrap());
        let by_token = Candidate { token_use, pairing_optional: true, ..here("windows") };
        assert_eq!(reason(book.admit(by_token.clone(), 2).await.unwrap()), "metadata-upgrade");
        let (_, events) = granted(book.admit(here("win32"), 3).await.unwrap());
        assert!(kinds(&events)[0].starts_with("approved "));
        granted(book.admit(by_token, 4).await.unwrap());
    });
}
