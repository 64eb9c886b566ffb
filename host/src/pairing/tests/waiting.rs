//! Devices that ask for several things at once.

use super::*;

#[test]
fn two_roles_of_a_device_wait_side_by_side() {
    block_on(async {
        let store = Store::in_memory();
        let mut book = open(&store).await;
        let (operator, _, events) = pending(book.admit(remote("a", &["admin"]), 1).await.unwrap());
        assert_eq!(kinds(&events), [format!("requested {operator}")]);
        let (as_node, _, events) = pending(book.admit(node("a"), 2).await.unwrap());
        assert_eq!(kinds(&events), [format!("requested {as_node}")]);
        for round in 3..20 {
            let (id, _, events) = pending(book.admit(remote("a", &["admin"]), round).await.unwrap());
            assert_eq!((id, events.len()), (operator.clone(), 0));
            let (id, _, events) = pending(book.admit(node("a"), round).await.unwrap());
            assert_eq!((id, events.len()), (as_node.clone(), 0));
            book = open(&store).await;
        }
        assert_eq!(book.list(None, &[], 20).pending.len(), 2);
        // One is approved, the other waits on.
        book.approve(&operator, None, None, 21).await.unwrap();
        granted(book.admit(remote("a", &["admin"]), 22).await.unwrap());
        let (id, reason, events) = pending(book.admit(node("a"), 22).await.unwrap());
        assert_eq!((id, reason, events.len()), (as_node.clone(), PairingReason::RoleUpgrade, 0));
        // Removing the device takes with it what it still asks for.
        let (both, ..) = pending(book.admit(Candidate { scopes: scopes(&["x"]), ..node("b") }, 23).await.unwrap());
        let done = book.remove("a", None, 23).await.unwrap();
        assert_eq!(kinds(&done.events), [format!("rejected {as_node}")]);
        assert_eq!(book.list(None, &[], 23).pending[0].request_id, both);
    });
}

#[test]
fn two_wishes_of_a_device_in_one_role_become_one_request() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let (first, ..) = pending(book.admit(remote("a", &["read"]), 1).await.unwrap());
        let (both, _, events) = pending(book.admit(remote("a", &["pairing"]), 2).await.unwrap());
        assert_eq!(kinds(&events), [format!("rejected {first}"), format!("requested {both}")]);
        assert_eq!(book.list(None, &[], 2).pending[0].scopes, scopes(&["pairing", "read"]));
        for wanted in [["read"], ["pairing"], ["read"]] {
            let (id, _, events) = pending(book.admit(remote("a", &wanted), 3).await.unwrap());
            assert_eq!((id, events.len()), (both.clone(), 0), "{wanted:?}");
        }
        let (all, ..) = pending(book.admit(remote("a", &["admin"]), 4).await.unwrap());
        assert_eq!(book.list(None, &[], 4).pending[0].scopes, scopes(&["admin"]), "which covers the others");
        assert_eq!(pending(book.admit(remote("a", &["pairing"]), 5).await.unwrap()).0, all);
        for now in 6..200 {
            let whim = format!("{now}");
            pending(book.admit(remote("b", &[&whim]), now).await.unwrap());
        }
        assert_eq!(book.list(None, &[], 200).pending[0].scopes.len(), 2 * schemas::bounds::MAX_SCOPES);
    });
}

#[test]
fn a_local_approval_leaves_the_other_role_waiting() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let (operator, ..) = pending(book.admit(remote("a", &["read"]), 1).await.unwrap());
        let (as_node, ..) = pending(book.admit(node("a"), 2).await.unwrap());
        let (_, events) = granted(book.admit(local("a", &["read"]), 3).await.unwrap());
        assert_eq!(kinds(&events), [format!("approved {operator}")]);
        assert_eq!(book.list(None, &[], 3).pending[0].request_id, as_node);
    });
}

#[test]
fn a_device_is_one_newcomer_however_many_roles_it_asks_for() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        for (now, device) in (0..).zip(["a", "b"]) {
            pending(book.admit(remote(device, &["read"]), now).await.unwrap());
            let (_, _, events) = pending(book.admit(node(device), 10 + now).await.unwrap());
            assert_eq!(events.len(), 1, "nobody gives way to the second role");
        }
        let (_, _, events) = pending(book.admit(remote("c", &["read"]), 20).await.unwrap());
        assert_eq!(events.len(), 3, "both requests of the oldest give way: {events:?}");
        let devices: Vec<_> = book.list(None, &[], 20).pending.into_iter().map(|request| request.device_id).collect();
        assert_eq!(devices, ["c", "b", "b"]);
    });
}
