//! Whoever does what with the book, in whatever order: nobody gives more than they hold, or touches a device or role
//! that is not theirs to touch.

use std::collections::HashMap;

use super::*;

/// One thing that happens to the book.
#[derive(Debug, Clone)]
enum Step {
    Knock { device: u8, key: u8, node: bool, local: bool, by_token: bool, wanted: Vec<String> },
    Act { by: Option<Authority>, deed: Deed },
    Invite { by: Option<Authority>, node: bool, wanted: Option<Vec<String>> },
    Redeem { nth: usize, device: u8, key: u8, wanted: Vec<String> },
    Restart,
}

/// What somebody asks of the book.
#[derive(Debug, Clone)]
enum Deed {
    Approve { nth: usize, narrowed: Option<Vec<String>> },
    Reject { nth: usize },
    Rotate { device: u8, role: &'static str, wanted: Option<Vec<String>> },
    Revoke { device: u8, role: &'static str },
    Remove { device: u8 },
    Rename { device: u8 },
}

/// What a deed would touch, told from the book before it.
#[derive(Debug, Default)]
struct Touched {
    device_id: String,
    roles: Vec<String>,
    scopes: Vec<String>,
}

/// The book, and what the test knows of it by itself.
struct World {
    store: Store,
    book: Pairing,
    /// By device: the key it was approved with, and everything that was approved for it by somebody who held it.
    ceiling: HashMap<String, (String, Vec<String>)>,
    /// By device and role: the token it was last handed.
    tokens: HashMap<(String, String), String>,
    /// What was invited to and not used yet: token, role and scopes.
    invites: Vec<(String, String, Vec<String>)>,
}

type Outcome = Result<(), TestCaseError>;

fn some_scopes() -> impl Strategy<Value = Vec<String>> {
    let names = ["operator.admin", "operator.read", "operator.write", "operator.pairing", "operator.x", "other"];
    proptest::sample::subsequence(names.to_vec(), 0..=3).prop_map(|list| list.into_iter().map(str::to_string).collect())
}

/// The host for its owner, an operator, a device by its token, or an administrator.
fn somebody() -> impl Strategy<Value = Option<Authority>> {
    let at = || (0u8..3).prop_map(|device| device.to_string());
    let operator = (some_scopes(), proptest::option::of(at())).prop_map(|(scopes, device_id)| Authority {
        scopes,
        device_id,
        via_device_token: false,
    });
    let device = (some_scopes(), at()).prop_map(|(scopes, at)| Authority {
        scopes,
        device_id: Some(at),
        via_device_token: true,
    });
    let admin = at().prop_map(|at| Authority { device_id: Some(at), via_device_token: true, ..authority(&["admin"]) });
    prop_oneof![
        1 => Just(None),
        3 => operator.prop_map(Some),
        4 => device.prop_map(Some),
        1 => admin.prop_map(Some),
    ]
}

fn some_deed() -> impl Strategy<Value = Deed> {
    let role = || proptest::sample::select(vec!["operator", "node"]);
    let fewer = || proptest::option::of(some_scopes());
    prop_oneof![
        4 => (0usize..3, fewer()).prop_map(|(nth, narrowed)| Deed::Approve { nth, narrowed }),
        1 => (0usize..3).prop_map(|nth| Deed::Reject { nth }),
        3 => (0u8..3, role(), fewer()).prop_map(|(device, role, wanted)| Deed::Rotate { device, role, wanted }),
        2 => (0u8..3, role()).prop_map(|(device, role)| Deed::Revoke { device, role }),
        1 => (0u8..3).prop_map(|device| Deed::Remove { device }),
        1 => (0u8..3).prop_map(|device| Deed::Rename { device }),
    ]
}

fn some_step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![9 => Just(0u8), 1 => Just(1u8)];
    let often = |weight| proptest::bool::weighted(weight);
    let knock = (0u8..3, key, often(0.25), often(0.25), any::<bool>(), some_scopes()).prop_map(
        |(device, key, node, local, by_token, wanted)| Step::Knock { device, key, node, local, by_token, wanted },
    );
    let invite = (somebody(), often(0.25), proptest::option::of(some_scopes()))
        .prop_map(|(by, node, wanted)| Step::Invite { by, node, wanted });
    let key = prop_oneof![9 => Just(0u8), 1 => Just(1u8)];
    let redeem = (0usize..4, 0u8..3, key, some_scopes()).prop_map(|(nth, device, key, wanted)| Step::Redeem {
        nth,
        device,
        key,
        wanted,
    });
    prop_oneof![
        5 => knock,
        10 => (somebody(), some_deed()).prop_map(|(by, deed)| Step::Act { by, deed }),
        2 => invite,
        3 => redeem,
        1 => Just(Step::Restart),
    ]
}

impl World {
    async fn new() -> World {
        let store = Store::in_memory();
        let book = open(&store).await;
        World { store, book, ceiling: HashMap::new(), tokens: HashMap::new(), invites: Vec::new() }
    }

    async fn step(&mut self, step: Step, now: u64) -> Outcome {
        match step {
            Step::Knock { device, key, node: as_node, local, by_token, wanted } => {
                let device = device.to_string();
                let scopes = if as_node { Vec::new() } else { wanted };
                let role = if as_node { "node" } else { "operator" }.to_string();
                let public_key = format!("key-{device}-{key}");
                let candidate = Candidate { role, scopes, local, public_key, ..remote(&device, &[]) };
                self.knock(candidate, by_token, now).await?;
            }
            Step::Act { by, deed } => self.act(by, deed, now).await?,
            Step::Invite { by, node, wanted } => self.invite(by, node, wanted, now)?,
            Step::Redeem { nth, device, key, wanted } => {
                let public_key = format!("key-{device}-{key}");
                let candidate = Candidate { scopes: wanted, public_key, ..remote(&device.to_string(), &[]) };
                self.redeem(nth, candidate, now).await?;
            }
            Step::Restart => {
                self.book.flush().await.unwrap();
                self.book = open(&self.store).await;
                for (token, role, _) in self.invites.drain(..) {
                    prop_assert!(self.book.verify_bootstrap_token("0", &role, &token, now).is_none());
                }
            }
        }
        self.holds(now)
    }

    async fn knock(&mut self, mut candidate: Candidate, by_token: bool, now: u64) -> Outcome {
        let Candidate { device_id, role, scopes, .. } = candidate.clone();
        let place = (device_id.clone(), role.clone());
        if let Some(token) = self.tokens.get(&place).filter(|_| by_token) {
            candidate.token_use = self.book.verify_device_token(&device_id, &role, token, &scopes, now).ok();
        }
        match self.book.admit(candidate.clone(), now).await.unwrap() {
            Admission::Paired { granted, events, .. } => {
                // Whoever was at the door without being known came from this machine, whose owner asks for it.
                if !events.is_empty() {
                    prop_assert!(candidate.local);
                    self.approved(&candidate.public_key, &device_id, &scopes);
                }
                self.tokens.extend(granted.device_token.map(|token| (place, token)));
            }
            Admission::Pending { request_id, .. } => {
                candidate.token_use = None;
                let (again, _, events) = pending(self.book.admit(candidate, now).await.unwrap());
                prop_assert_eq!((again, events.len()), (request_id, 0));
            }
            Admission::InvitationFallen => prop_assert!(false, "nobody was invited"),
            Admission::Skipped | Admission::TokenFallen | Admission::Busy => {}
        }
        Ok(())
    }

    fn invite(&mut self, by: Option<Authority>, node: bool, wanted: Option<Vec<String>>, now: u64) -> Outcome {
        let role = node.then(|| "node".to_string());
        let invite = Invite { role, scopes: wanted, ..Invite::default() };
        let Ok(made) = self.book.invite(invite, by.as_ref(), now) else { return Ok(()) };
        // Whoever is invited is another device than the inviter's.
        let device_id = "another".to_string();
        let touched = Touched { device_id, roles: vec![made.role.clone()], scopes: made.scopes.clone() };
        prop_assert!(may(by.as_ref(), &touched), "{:?} may not invite to {:?}", by, touched);
        self.invites.push((made.token.to_string(), made.role, made.scopes));
        Ok(())
    }

    async fn redeem(&mut self, nth: usize, mut candidate: Candidate, now: u64) -> Outcome {
        let Some((token, role, invited_to)) = self.invites.get(nth).cloned() else { return Ok(()) };
        let device_id = candidate.device_id.clone();
        let Some(invited) = self.book.verify_bootstrap_token(&device_id, &role, &token, now) else { return Ok(()) };
        prop_assert_eq!(&invited.scopes, &invited_to);
        prop_assert!(self.book.verify_bootstrap_token("another", &role, &token, now).is_none());
        candidate.scopes = schemas::scope::meet(&invited.scopes, &candidate.scopes);
        (candidate.role, candidate.invited) = (role.clone(), Some(invited));
        let (granted, events) = granted(self.book.admit(candidate.clone(), now).await.unwrap());
        prop_assert!(!events.is_empty() && covers(&invited_to, &granted.scopes));
        prop_assert!(self.book.verify_bootstrap_token(&device_id, &role, &token, now).is_none(), "it is used");
        prop_assert!(matches!(self.book.admit(candidate.clone(), now).await.unwrap(), Admission::InvitationFallen));
        self.invites.remove(nth);
        self.approved(&candidate.public_key, &device_id, &granted.scopes);
        self.tokens.extend(granted.device_token.map(|token| ((device_id, role), token)));
        Ok(())
    }

    async fn act(&mut self, by: Option<Authority>, deed: Deed, now: u64) -> Outcome {
        let before = self.book.list(None, &[], now);
        let Some(touched) = touched(&before, &deed) else { return Ok(()) };
        let asked = match &deed {
            Deed::Approve { nth, .. } | Deed::Reject { nth } => Some(before.pending[*nth].clone()),
            _ => None,
        };
        let done = self.carry_out(by.as_ref(), &deed, asked.as_ref(), now).await?;
        let after = self.book.list(None, &[], now);
        if !done {
            prop_assert_eq!(before, after, "a refusal changes nothing");
            return Ok(());
        }
        prop_assert!(may(by.as_ref(), &touched), "{:?} may not {:?}, which touches {:?}", by, deed, touched);
        prop_assert_eq!(others(&before, &touched), others(&after, &touched), "another device was changed");
        match (deed, asked) {
            (Deed::Approve { .. }, Some(request)) => {
                self.approved(&request.public_key, &request.device_id, &touched.scopes);
            }
            (Deed::Remove { .. }, _) => {
                self.ceiling.remove(&touched.device_id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the book did it.
    async fn carry_out(
        &self,
        by: Option<&Authority>,
        deed: &Deed,
        asked: Option<&PendingRequest>,
        now: u64,
    ) -> Result<bool, TestCaseError> {
        let book = &self.book;
        let request_id = asked.map_or("", |request| request.request_id.as_str());
        Ok(match deed {
            Deed::Approve { narrowed, .. } => book.approve(request_id, by, narrowed.as_deref(), now).await.is_ok(),
            Deed::Reject { .. } => book.reject(request_id, by, now).await.is_ok(),
            Deed::Revoke { device, role } => book.revoke(&device.to_string(), role, by, now).await.is_ok(),
            Deed::Remove { device } => book.remove(&device.to_string(), by, now).await.is_ok(),
            Deed::Rename { device } => book.rename(&device.to_string(), &format!("at {now}"), by).await.is_ok(),
            Deed::Rotate { device, role, wanted } => {
                let device = device.to_string();
                let Ok(done) = book.rotate(&device, role, wanted.as_deref(), by, now).await else { return Ok(false) };
                let is_itself = by.is_some_and(|by| by.via_device_token && by.device_id.as_ref() == Some(&device));
                prop_assert_eq!(done.result.token.is_some(), is_itself, "a token is told to its own device only");
                true
            }
        })
    }

    /// Notes what was approved. Another key is another device, which inherits nothing.
    fn approved(&mut self, key: &str, device_id: &str, scopes: &[String]) {
        let (known, held) = self.ceiling.entry(device_id.to_string()).or_default();
        if known != key {
            *known = key.to_string();
            held.clear();
        }
        held.extend(scopes.iter().cloned());
    }

    /// What is true of the book at all times.
    fn holds(&self, now: u64) -> Outcome {
        let listed = self.book.list(None, &[], now);
        let mut places: Vec<_> = listed.pending.iter().map(|request| (&request.device_id, &request.role)).collect();
        places.sort();
        places.dedup();
        prop_assert_eq!(places.len(), listed.pending.len(), "a device waits once a role");
        for device in &listed.paired {
            let (_, held) = self.ceiling.get(&device.device_id).cloned().unwrap_or_default();
            prop_assert!(covers(&held, &device.scopes), "only {:?} was approved for {:?}", held, device);
            for token in &device.tokens {
                prop_assert!(covers(&device.scopes, &token.scopes), "a token reaches further than {:?}", device);
            }
        }
        Ok(())
    }
}

fn touched(before: &PairingList, deed: &Deed) -> Option<Touched> {
    let paired = |device: &u8| before.paired.iter().find(|known| known.device_id == device.to_string());
    let device_id = |device: &u8| device.to_string();
    match deed {
        Deed::Approve { nth, narrowed } => before.pending.get(*nth).map(|request| Touched {
            device_id: request.device_id.clone(),
            roles: request.roles.clone(),
            scopes: narrowed.clone().unwrap_or_else(|| request.scopes.clone()),
        }),
        Deed::Reject { nth } => {
            let request = before.pending.get(*nth)?;
            Some(Touched { device_id: request.device_id.clone(), ..Touched::default() })
        }
        Deed::Rotate { device, role, wanted } => {
            let known = paired(device)?;
            let token = known.tokens.iter().find(|token| token.role == *role);
            // By the token it makes, and by the one that ends with it.
            let old = token.map(|token| token.scopes.clone()).unwrap_or_default();
            let scopes = wanted.iter().flatten().cloned().chain(old).collect();
            Some(Touched { device_id: device_id(device), roles: vec![role.to_string()], scopes })
        }
        Deed::Revoke { device, role } => {
            let token = paired(device)?.tokens.iter().find(|token| token.role == *role)?;
            let roles = vec![role.to_string()];
            Some(Touched { device_id: device_id(device), roles, scopes: token.scopes.clone() })
        }
        Deed::Remove { device } => paired(device).map(|known| Touched {
            device_id: device_id(device),
            roles: known.roles.clone(),
            scopes: known.scopes.clone(),
        }),
        Deed::Rename { device } => {
            paired(device).map(|_| Touched { device_id: device_id(device), ..Touched::default() })
        }
    }
}

/// The rule: an administrator may all that their scopes cover, others operators only, a device's session only itself.
fn may(by: Option<&Authority>, touched: &Touched) -> bool {
    let Some(by) = by else { return true };
    let is_admin = by.scopes.iter().any(|scope| scope == "operator.admin");
    let is_own = by.device_id.as_ref() == Some(&touched.device_id);
    covers(&by.scopes, &touched.scopes)
        && (is_admin || !by.via_device_token || is_own)
        && (is_admin || touched.roles.iter().all(|role| role == "operator"))
}

/// All but the device that was touched.
fn others(list: &PairingList, touched: &Touched) -> PairingList {
    let mut list = list.clone();
    list.pending.retain(|request| request.device_id != touched.device_id);
    list.paired.retain(|device| device.device_id != touched.device_id);
    list
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn nobody_does_more_than_they_may(steps in proptest::collection::vec(some_step(), 20..=40)) {
        block_on(async {
            let mut world = World::new().await;
            for (now, step) in steps.into_iter().enumerate() {
                world.step(step, now as u64).await?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}
