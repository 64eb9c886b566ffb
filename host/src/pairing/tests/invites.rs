use super::*;
use crate::auth::Invited;

const TTL: u64 = 600_000;

fn to(scopes: &[String]) -> Invite {
    Invite { scopes: Some(scopes.to_vec()), ..Invite::default() }
}

fn made(book: &Pairing, wanted: &[&str], by: Option<&Authority>) -> String {
    book.invite(to(&scopes(wanted)), by, 0).unwrap_or_else(|error| panic!("{error:?}")).token.to_string()
}

fn shown(book: &Pairing, token: &str, device: &str, now: u64) -> Option<Invited> {
    book.verify_bootstrap_token(device, "operator", token, now)
}

fn invited(device: &str, wanted: &[&str], by: Option<Invited>) -> Candidate {
    Candidate { invited: by, ..remote(device, wanted) }
}

#[test]
fn a_token_is_for_one_device_and_one_time() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let token = made(&book, &["read"], None);
        assert_eq!(token.len(), 43);
        let first = shown(&book, &token, "a", 1);
        assert_eq!(first.as_ref().map(|it| it.scopes.clone()), Some(scopes(&["read"])));
        assert_eq!(shown(&book, &token, "b", 2), None, "another device showed it first");
        assert_eq!(shown(&book, &token, "a", 3), first, "nothing came of it yet");
        let (granted, events) = granted(book.admit(invited("a", &["read"], first.clone()), 4).await.unwrap());
        assert_eq!((granted.scopes, events.len()), (scopes(&["read"]), 1));
        assert_eq!(shown(&book, &token, "a", 5), None);
        assert!(matches!(book.admit(invited("a", &["read"], first), 6).await, Ok(Admission::InvitationFallen)));
        let device = &book.list(None, &[], 6).paired[0];
        assert_eq!((device.approved_via.as_str(), device.scopes.clone()), ("bootstrap", scopes(&["read"])));
    });
}

#[test]
fn it_grants_what_was_invited_to_for_as_long_as_said() {
    block_on(async {
        let store = Store::in_memory();
        let book = open(&store).await;
        let token = made(&book, &["read"], None);
        assert_eq!(book.verify_bootstrap_token("a", "node", &token, 1), None, "another role");
        let wide = invited("a", &["read", "write"], shown(&book, &token, "a", 1));
        assert!(matches!(book.admit(wide, 2).await, Ok(Admission::InvitationFallen)), "the one approval looks too");
        let late = shown(&book, &token, "a", TTL - 1);
        assert!(late.is_some());
        assert_eq!(shown(&book, &token, "a", TTL), None);
        assert!(matches!(book.admit(invited("a", &["read"], late), TTL).await, Ok(Admission::InvitationFallen)));
        assert_eq!(shown(&book, "", "a", 1), None);
        let early = Invite { ends_at_ms: Some(5), ..Invite::default() };
        assert_eq!(book.invite(early, None, 0).ok().map(|it| it.expires_at_ms), Some(5));
        let again = open(&store).await;
        let token = made(&book, &["read"], None);
        assert!(shown(&again, &token, "a", 1).is_none() && shown(&book, &token, "a", 1).is_some());
    });
}

#[test]
fn nobody_invites_to_more_than_they_hold() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let denied = |invite: Invite, by: &Authority| match book.invite(invite, Some(by), 0) {
            Err(InviteError::Refused(error)) => error.message,
            Err(InviteError::Full) => "full".to_string(),
            Ok(_) => "made".to_string(),
        };
        let reader = authority(&["pairing", "read"]);
        assert_eq!(denied(to(&scopes(&["write"])), &reader), "device invitation denied");
        assert_eq!(
            denied(Invite { role: Some("node".into()), ..Invite::default() }, &reader),
            "device invitation denied"
        );
        assert_eq!(
            denied(Invite { role: Some("x".into()), ..Invite::default() }, &reader),
            "role must be operator or node"
        );
        let both = Invite { role: Some("node".into()), ..to(&scopes(&["read"])) };
        assert_eq!(denied(both, &authority(&["admin"])), "a node has no scopes");
        let at_a_device = Authority { device_id: Some("a".into()), via_device_token: true, ..authority(&["read"]) };
        assert_eq!(denied(to(&scopes(&["read"])), &at_a_device), "device invitation denied", "it manages itself only");
        let usual = |by| book.invite(Invite::default(), by, 0).ok().map(|it| it.scopes);
        assert_eq!(usual(Some(&reader)), Some(scopes(&["read"])));
        assert_eq!(usual(None), Some(scopes(&["read", "write"])));
        for _ in 2..32 {
            made(&book, &["read"], None);
        }
        assert!(matches!(book.invite(Invite::default(), None, 0), Err(InviteError::Full)));
        assert!(book.invite(Invite::default(), None, TTL).is_ok(), "those that are over make room");
    });
}

#[test]
fn what_ends_the_inviter_ends_the_invitation() {
    block_on(async {
        let book = open(&Store::in_memory()).await;
        let inviter = || Authority { device_id: Some("boss".into()), via_device_token: true, ..authority(&["admin"]) };
        for deed in ["revoke", "rotate", "remove"] {
            granted(book.admit(local("boss", &["admin"]), 1).await.unwrap());
            let token = made(&book, &["read"], Some(&inviter()));
            let first = shown(&book, &token, "a", 2);
            assert!(first.is_some(), "{deed}");
            match deed {
                "revoke" => drop(book.revoke("boss", "operator", None, 3).await.unwrap()),
                "rotate" => drop(book.rotate("boss", "operator", None, None, 3).await.unwrap()),
                _ => drop(book.remove("boss", None, 3).await.unwrap()),
            }
            assert_eq!(shown(&book, &token, "a", 4), None, "{deed}");
            let admission = book.admit(invited("a", &["read"], first), 4).await;
            assert!(matches!(admission, Ok(Admission::InvitationFallen)), "{deed}");
        }
    });
}
