//! The book against a model of it that fits on a few pages and knows neither disk nor locks: whatever is done in whatever
//! order, with whatever time in between and however the gateway ends, both say the same: who is let in, by which token, who
//! waits, what is told, and which connections still stand.
//!
//! Here the host itself asks for everything. Who else may ask for what is tried in `authority`, pins in `pinned`.

use std::collections::{BTreeMap, BTreeSet};

use schemas::scope::{any_satisfies, normalized};

use super::*;

const TTL: u64 = 30 * DAY;
const PENDING_TTL: u64 = 300_000;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A device knocks, by a token that was handed out before if `shown` says which.
    Knock {
        device: usize,
        key: bool,
        role: &'static str,
        scopes: Vec<String>,
        local: bool,
        shown: Option<usize>,
    },
    /// A token is shown, and nothing comes of it.
    Show {
        device: usize,
        role: &'static str,
        scopes: Vec<String>,
        which: usize,
    },
    Approve {
        nth: usize,
        narrowed: Option<Vec<String>>,
    },
    Reject {
        nth: usize,
    },
    Rotate {
        device: usize,
        role: &'static str,
        scopes: Option<Vec<String>>,
    },
    Revoke {
        device: usize,
        role: &'static str,
    },
    Remove {
        device: usize,
    },
    Rename {
        device: usize,
    },
    Pass(u64),
    /// The gateway ends in order, or not, and starts again.
    Restart {
        in_order: bool,
    },
}

const DEVICES: [&str; 3] = ["a", "b", "c"];

fn step() -> impl Strategy<Value = Step> {
    let device = || 0..DEVICES.len();
    let role = || prop_oneof![3 => Just("operator"), 1 => Just("node")];
    let scopes =
        || proptest::sample::subsequence(vec!["admin", "read", "write", "pairing"], 0..=2).prop_map(|s| scopes(&s));
    let maybe = || proptest::option::of(scopes());
    let often = proptest::bool::weighted;
    let knock = (device(), often(0.1), role(), scopes(), often(0.3), proptest::option::of(0..8usize))
        .prop_map(|(device, key, role, scopes, local, shown)| Step::Knock { device, key, role, scopes, local, shown });
    let times = vec![1, 60_000, PENDING_TTL - 60_000, PENDING_TTL, 8 * DAY, TTL / 2, TTL];
    prop_oneof![
        8 => knock,
        3 => (device(), role(), scopes(), 0..8usize).prop_map(|(device, role, scopes, which)| Step::Show { device, role, scopes, which }),
        4 => (0..3usize, maybe()).prop_map(|(nth, narrowed)| Step::Approve { nth, narrowed }),
        1 => (0..3usize).prop_map(|nth| Step::Reject { nth }),
        2 => (device(), role(), maybe()).prop_map(|(device, role, scopes)| Step::Rotate { device, role, scopes }),
        2 => (device(), role()).prop_map(|(device, role)| Step::Revoke { device, role }),
        1 => device().prop_map(|device| Step::Remove { device }),
        1 => device().prop_map(|device| Step::Rename { device }),
        3 => proptest::sample::select(times).prop_map(Step::Pass),
        1 => often(0.5).prop_map(|in_order| Step::Restart { in_order }),
    ]
}

/// What should be known of a device.
#[derive(Debug, Clone, PartialEq)]
struct Device {
    key: String,
    roles: Vec<String>,
    scopes: Vec<String>,
    label: Option<String>,
    via: &'static str,
    tokens: BTreeMap<String, Token>,
}

#[derive(Debug, Clone, PartialEq)]
struct Token {
    scopes: Vec<String>,
    issued_at: u64,
    /// The text, once it was handed out.
    text: Option<String>,
    /// The one that this one replaced and that is good until this one is used.
    before: Option<(String, u64)>,
    revoked: bool,
    /// Another number is another one: connections that came by the one before must fall.
    number: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    id: String,
    device: String,
    key: String,
    role: String,
    scopes: Vec<String>,
    is_repair: bool,
    since: u64,
}

/// All that should be known.
#[derive(Debug, Clone, Default)]
struct Model {
    now: u64,
    devices: BTreeMap<String, Device>,
    waiting: Vec<Waiting>,
    /// Devices as they would be read after a crash: what was put off is missing.
    on_disk: BTreeMap<String, Device>,
    numbers: u64,
}

/// What should come of a knock. Ids and tokens that are new are not foretold.
#[derive(Debug, PartialEq)]
enum Expected {
    Paired { events: Vec<String> },
    Pending { id: Option<String>, reason: PairingReason, events: Vec<String> },
}

impl Model {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn is_alive(&self, waiting: &Waiting) -> bool {
        self.now - waiting.since < PENDING_TTL
    }

    fn known(&self, device: &str, key: &str) -> Option<&Device> {
        self.devices.get(device).filter(|known| known.key == key)
    }

    fn need(&self, candidate: &Candidate) -> Option<PairingReason> {
        match self.known(&candidate.device_id, &candidate.public_key) {
            None => Some(PairingReason::NotPaired),
            Some(device) if !device.roles.contains(&candidate.role) => Some(PairingReason::RoleUpgrade),
            Some(device) if !covers(&device.scopes, &candidate.scopes) => Some(PairingReason::ScopeUpgrade),
            Some(_) => None,
        }
    }

    /// A change that is on disk before it is seen.
    fn put(&mut self, id: &str, device: Device) {
        self.on_disk.insert(id.to_string(), device.clone());
        self.devices.insert(id.to_string(), device);
    }

    fn mint(&mut self, device: &mut Device, role: &str, scopes: &[String]) {
        let number = device.tokens.get(role).map(|token| token.number).unwrap_or_else(|| self.number());
        let (scopes, issued_at) = (normalized(scopes), self.now);
        let token = Token { scopes, issued_at, text: None, before: None, revoked: false, number };
        device.tokens.insert(role.to_string(), token);
    }

    /// A good token stays, and is renewed in the second half of its life; else there is a new one.
    fn ensure(&mut self, device: &mut Device, role: &str, scopes: &[String]) {
        let now = self.now;
        match device.tokens.get_mut(role) {
            Some(token) if !token.revoked && now - token.issued_at < TTL && covers(&token.scopes, scopes) => {
                if now - token.issued_at >= TTL / 2 {
                    token.before = token.text.take().map(|text| (text, token.issued_at));
                    token.issued_at = now;
                }
            }
            _ => self.mint(device, role, scopes),
        }
    }

    /// The one way in: another key is another device.
    fn approve(&mut self, id: &str, key: &str, role: &str, asked: &[String], via: &'static str) {
        let known = self.known(id, key).cloned();
        let mut device = known.unwrap_or_else(|| Device {
            key: key.to_string(),
            roles: Vec::new(),
            scopes: Vec::new(),
            label: None,
            via,
            tokens: BTreeMap::new(),
        });
        let is_no_more = device.roles.iter().any(|known| known == role) && covers(&device.scopes, asked);
        if !device.roles.iter().any(|known| known == role) {
            device.roles.push(role.to_string());
        }
        device.scopes = normalized(&device.scopes.iter().chain(asked).collect::<Vec<_>>());
        device.via = via;
        if is_no_more {
            self.ensure(&mut device, role, asked);
        } else {
            self.mint(&mut device, role, asked);
        }
        self.put(id, device);
    }

    fn knock(&mut self, candidate: &Candidate) -> Expected {
        let Candidate { device_id, public_key, role, scopes, .. } = candidate;
        let Some(reason) = self.need(candidate) else {
            let mut device = self.devices[device_id].clone();
            let before = device.clone();
            self.ensure(&mut device, role, scopes);
            // Nothing is written where nothing changes but when it was last seen.
            if device == before {
                drop(self.devices.insert(device_id.clone(), device))
            } else {
                self.put(device_id, device)
            }
            return Expected::Paired { events: Vec::new() };
        };
        let place = self.waiting.iter().position(|waiting| waiting.device == *device_id && waiting.role == *role);
        let own = place.map(|place| self.waiting[place].clone());
        let alive = own.as_ref().filter(|own| self.is_alive(own));
        if candidate.local {
            let is_same = |own: &Waiting| own.key == *public_key && normalized(&own.scopes) == normalized(scopes);
            let events = match alive {
                Some(own) if is_same(own) => vec![format!("approved {}", own.id)],
                Some(own) => vec![format!("rejected {}", own.id), "approved".to_string()],
                None => vec!["approved".to_string()],
            };
            if let Some(place) = place {
                self.waiting.remove(place);
            }
            self.approve(device_id, public_key, role, scopes, "silent");
            return Expected::Paired { events };
        }
        if let Some(own) = alive.filter(|own| own.key == *public_key && covers(&own.scopes, scopes)) {
            return Expected::Pending { id: Some(own.id.clone()), reason, events: Vec::new() };
        }
        let mut wanted = scopes.clone();
        let mut events = Vec::new();
        if let Some(own) = alive {
            wanted.extend(own.scopes.iter().filter(|scope| !any_satisfies(scopes, scope)).cloned());
            events.push(format!("rejected {}", own.id));
        }
        events.push("requested".to_string());
        let (now, superseded) = (self.now, alive.map(|own| own.id.clone()));
        self.waiting.retain(|waiting| now - waiting.since < PENDING_TTL && Some(&waiting.id) != superseded.as_ref());
        self.waiting.push(Waiting {
            id: String::new(),
            device: device_id.clone(),
            key: public_key.clone(),
            role: role.clone(),
            scopes: wanted,
            is_repair: reason != PairingReason::NotPaired,
            since: self.now,
        });
        Expected::Pending { id: None, reason, events }
    }

    /// Whether a token lets in, and what becomes of it if it does.
    fn show(&mut self, device: &str, role: &str, text: &str, scopes: &[String]) -> Result<u64, TokenRefusal> {
        let device = self.devices.get_mut(device).ok_or(TokenRefusal::DeviceNotPaired)?;
        if !device.roles.iter().any(|known| known == role) {
            return Err(TokenRefusal::RoleMissing);
        }
        let token = device.tokens.get_mut(role).ok_or(TokenRefusal::TokenMissing)?;
        let is_current = token.text.as_deref() == Some(text);
        let issued_at = match &token.before {
            _ if token.revoked => return Err(TokenRefusal::TokenRevoked),
            _ if is_current => token.issued_at,
            Some((before, issued_at)) if before == text => *issued_at,
            _ => return Err(TokenRefusal::TokenMismatch),
        };
        if self.now - issued_at >= TTL {
            return Err(TokenRefusal::TokenExpired);
        }
        if !covers(&token.scopes, scopes) {
            return Err(TokenRefusal::ScopeMismatch);
        }
        if is_current {
            token.before = None;
        }
        Ok(token.number)
    }
}

/// The book, the model, and what was handed out to devices and connections.
struct World {
    store: Store,
    book: Pairing,
    model: Model,
    /// Every token that was ever handed out.
    handed: Vec<String>,
    /// Connections that were let in: device, role, what the book said of the token, and what the model says of it.
    connections: Vec<(String, String, u64, u64)>,
}

type Outcome = Result<(), TestCaseError>;

impl World {
    async fn new() -> World {
        let store = Store::in_memory();
        let book = open(&store).await;
        World { store, book, model: Model::default(), handed: Vec::new(), connections: Vec::new() }
    }

    async fn step(&mut self, step: &Step) -> Outcome {
        let now = self.model.now;
        match step {
            Step::Pass(ms) => self.model.now += ms,
            Step::Restart { in_order } => self.restart(*in_order).await,
            Step::Knock { device, key, role, scopes, local, shown } => {
                let id = DEVICES[*device];
                // One address each, so that nobody makes room for anybody else.
                let remote_ip = (!local).then(|| format!("203.0.113.{device}"));
                let scopes = if *role == "node" { Vec::new() } else { scopes.clone() };
                let public_key = format!("key-{id}-{key}");
                let (role, local) = (role.to_string(), *local);
                let candidate = Candidate { role, scopes, local, remote_ip, public_key, ..remote(id, &[]) };
                self.knock(candidate, *shown).await?;
            }
            Step::Show { device, role, scopes, which } => {
                self.show(DEVICES[*device], role, scopes, *which)?;
            }
            Step::Approve { nth, narrowed } => self.approve(*nth, narrowed.as_deref()).await?,
            Step::Reject { nth } => {
                let Some(own) = self.nth(*nth) else { return Ok(()) };
                let done = self.book.reject(&own.id, None, now).await.expect("it waits");
                prop_assert_eq!(kinds(&done.events), [format!("rejected {}", own.id)]);
                self.model.waiting.retain(|waiting| waiting.id != own.id);
            }
            Step::Rotate { device, role, scopes } => self.rotate(DEVICES[*device], role, scopes.as_deref()).await?,
            Step::Revoke { device, role } => self.revoke(DEVICES[*device], role).await?,
            Step::Remove { device } => self.remove(DEVICES[*device]).await?,
            Step::Rename { device } => {
                let (id, label) = (DEVICES[*device], format!("at {now}"));
                let done = self.book.rename(id, &label, None).await;
                prop_assert_eq!(done.is_ok(), self.model.devices.contains_key(id));
                if let Some(mut known) = self.model.devices.get(id).cloned() {
                    known.label = Some(label);
                    self.model.put(id, known);
                }
            }
        }
        self.compare()
    }

    async fn restart(&mut self, in_order: bool) {
        if in_order {
            self.book.flush().await.expect("memory takes it");
            self.model.on_disk = self.model.devices.clone();
        }
        self.book = open(&self.store).await;
        self.model.devices = self.model.on_disk.clone();
        // With the gateway went all connections.
        self.connections.clear();
    }

    fn show(
        &mut self,
        id: &str,
        role: &str,
        scopes: &[String],
        which: usize,
    ) -> Result<Option<TokenUse>, TestCaseError> {
        let Some(text) = self.handed.get(which).cloned() else { return Ok(None) };
        let seen = self.book.verify_device_token(id, role, &text, scopes, self.model.now);
        let expected = self.model.show(id, role, &text, scopes);
        prop_assert_eq!(seen.map(drop), expected.map(drop));
        Ok(seen.ok())
    }

    async fn knock(&mut self, mut candidate: Candidate, shown: Option<usize>) -> Outcome {
        let Candidate { device_id: id, role, scopes, .. } = candidate.clone();
        if let Some(which) = shown {
            candidate.token_use = self.show(&id, &role, &scopes, which)?;
        }
        let now = self.model.now;
        let expected = self.model.knock(&candidate);
        match (self.book.admit(candidate, now).await.expect("memory takes it"), expected) {
            (Admission::Paired { granted, epoch, events, .. }, Expected::Paired { events: expected }) => {
                prop_assert!(fits(&kinds(&events), &expected), "{:?} {:?}", kinds(&events), expected);
                self.handed_out(&id, &role, granted, epoch)?;
            }
            (
                Admission::Pending { request_id, reason, events },
                Expected::Pending { id, reason: why, events: expected },
            ) => {
                prop_assert_eq!(reason, why);
                prop_assert!(fits(&kinds(&events), &expected), "{:?} {:?}", kinds(&events), expected);
                match id {
                    Some(id) => prop_assert_eq!(id, request_id),
                    None => {
                        let is_new = self.model.waiting.iter().all(|waiting| waiting.id != request_id);
                        prop_assert!(is_new, "an id is given once");
                        self.model.waiting.last_mut().expect("it was noted").id = request_id;
                    }
                }
            }
            (admission, expected) => prop_assert!(false, "{admission:?}, expected {expected:?}"),
        }
        Ok(())
    }

    /// A device was let in and told its token: the one it has, or one that nobody ever saw.
    fn handed_out(&mut self, id: &str, role: &str, granted: Granted, epoch: u64) -> Outcome {
        let text = granted.device_token.expect("a paired device is handed its token");
        let device = self.model.devices.get_mut(id).expect("it is paired");
        let token = device.tokens.get_mut(role).expect("in this role");
        prop_assert_eq!((&granted.scopes, granted.issued_at_ms), (&token.scopes, Some(token.issued_at)));
        match &token.text {
            Some(known) => prop_assert_eq!(known, &text),
            None => {
                prop_assert!(!self.handed.contains(&text), "a token that was good once is not good again");
                token.text = Some(text.clone());
                let told = self.model.devices[id].clone();
                // The text follows from what is on disk.
                if let Some(kept) = self.model.on_disk.get_mut(id).and_then(|kept| kept.tokens.get_mut(role)) {
                    kept.text = told.tokens[role].text.clone();
                }
                self.handed.push(text);
            }
        }
        let number = self.model.devices[id].tokens[role].number;
        self.connections.push((id.to_string(), role.to_string(), epoch, number));
        Ok(())
    }

    /// A request that an operator may decide about, in the order in which they are listed.
    fn nth(&self, nth: usize) -> Option<Waiting> {
        let listed = self.book.list(None, &[], self.model.now).pending;
        let id = &listed.get(nth)?.request_id;
        self.model.waiting.iter().find(|waiting| waiting.id == *id).cloned()
    }

    async fn approve(&mut self, nth: usize, narrowed: Option<&[String]>) -> Outcome {
        let Some(own) = self.nth(nth) else { return Ok(()) };
        let scopes = narrowed.unwrap_or(&own.scopes).to_vec();
        let outlived = self.model.devices.get(&own.device).filter(|known| known.key != own.key).cloned();
        match self.book.approve(&own.id, None, narrowed, self.model.now).await {
            Err(error) => {
                prop_assert!(!covers(&own.scopes, &scopes));
                prop_assert_eq!(error.into_error_shape().message, "device pairing approval denied");
            }
            Ok(done) => {
                prop_assert!(covers(&own.scopes, &scopes));
                prop_assert_eq!(kinds(&done.events), [format!("approved {}", own.id)]);
                prop_assert_eq!(fallen(&done.invalidated), outlived.map_or(Vec::new(), |known| known.roles));
                self.model.waiting.retain(|waiting| waiting.id != own.id);
                self.model.approve(&own.device, &own.key, &own.role, &scopes, "owner");
            }
        }
        Ok(())
    }

    async fn rotate(&mut self, id: &str, role: &str, wanted: Option<&[String]>) -> Outcome {
        let done = self.book.rotate(id, role, wanted, None, self.model.now).await;
        let Some(mut device) = self.model.devices.get(id).cloned() else {
            prop_assert_eq!(refusal(done), "unknown deviceId/role");
            return Ok(());
        };
        let old = device.tokens.get(role).map(|token| token.scopes.clone());
        let scopes = wanted.map(normalized).or(old).unwrap_or_default();
        if !device.roles.iter().any(|known| known == role) || !covers(&device.scopes, &scopes) {
            prop_assert_eq!(refusal(done), "device token rotation denied");
            return Ok(());
        }
        let done = done.expect("it may");
        prop_assert_eq!((&done.result.scopes, done.result.token), (&scopes, None));
        prop_assert_eq!(fallen(&done.invalidated), [role]);
        self.model.mint(&mut device, role, &scopes);
        let number = self.model.number();
        device.tokens.get_mut(role).expect("it was minted").number = number;
        self.model.put(id, device);
        Ok(())
    }

    async fn revoke(&mut self, id: &str, role: &str) -> Outcome {
        let done = self.book.revoke(id, role, None, self.model.now).await;
        let mut device = self.model.devices.get(id).cloned();
        let number = self.model.number();
        let Some(token) = device.as_mut().and_then(|device| device.tokens.get_mut(role)) else {
            prop_assert_eq!(refusal(done), "unknown deviceId/role");
            return Ok(());
        };
        let done = done.expect("there is one");
        prop_assert_eq!(fallen(&done.invalidated), [role]);
        (token.revoked, token.before, token.number) = (true, None, number);
        self.model.put(id, device.expect("it was found"));
        Ok(())
    }

    async fn remove(&mut self, id: &str) -> Outcome {
        let done = self.book.remove(id, None, self.model.now).await;
        let Some(device) = self.model.devices.remove(id) else {
            prop_assert_eq!(refusal(done), "unknown deviceId");
            return Ok(());
        };
        self.model.on_disk.remove(id);
        let done = done.expect("there is one");
        prop_assert_eq!(fallen(&done.invalidated), device.roles);
        let told: BTreeSet<String> = kinds(&done.events).into_iter().collect();
        let own = self.model.waiting.iter().filter(|waiting| waiting.device == id && self.model.is_alive(waiting));
        prop_assert_eq!(told, own.map(|waiting| format!("rejected {}", waiting.id)).collect::<BTreeSet<_>>());
        self.model.waiting.retain(|waiting| waiting.device != id);
        Ok(())
    }

    /// What is true of the book at this moment, by both.
    fn compare(&self) -> Outcome {
        let model = &self.model;
        let listed = self.book.list(None, &[], model.now);
        let waiting: BTreeMap<String, Waiting> = listed
            .pending
            .into_iter()
            .map(|request| {
                prop_assert_eq!(&request.roles, std::slice::from_ref(&request.role));
                let (id, device, key) = (request.request_id, request.device_id, request.public_key);
                let PendingRequest { role, scopes, is_repair, ts: since, .. } = request;
                Ok((id.clone(), Waiting { id, device, key, role, scopes, is_repair, since }))
            })
            .collect::<Result<_, TestCaseError>>()?;
        let expected = model.waiting.iter().filter(|waiting| model.is_alive(waiting));
        prop_assert_eq!(waiting, expected.map(|waiting| (waiting.id.clone(), waiting.clone())).collect());
        prop_assert_eq!(listed.paired.len(), model.devices.len());
        for device in listed.paired {
            let known = &model.devices[&device.device_id];
            prop_assert_eq!(
                (&device.public_key, &device.roles, &device.scopes),
                (&known.key, &known.roles, &known.scopes)
            );
            prop_assert_eq!((&device.label, device.approved_via.as_str()), (&known.label, known.via));
            prop_assert_eq!(device.tokens.len(), known.tokens.len());
            for token in &device.tokens {
                let own = &known.tokens[&token.role];
                let issued_at = token.rotated_at_ms.unwrap_or(token.created_at_ms);
                prop_assert_eq!((&token.scopes, issued_at), (&own.scopes, own.issued_at));
                prop_assert_eq!(token.revoked_at_ms.is_some(), own.revoked);
            }
        }
        for (id, role, epoch, number) in &self.connections {
            let token = model.devices.get(id).and_then(|device| device.tokens.get(role));
            let stands = token.is_some_and(|token| token.number == *number);
            prop_assert_eq!(self.book.stands(id, role, *epoch), stands, "{} as {}", id, role);
        }
        Ok(())
    }
}

fn fallen(invalidated: &[Invalidated]) -> Vec<&str> {
    invalidated.iter().map(|fallen| fallen.role.as_str()).collect()
}

/// Whether these events were expected; of those with an id that nobody could know only the word was.
fn fits(events: &[String], expected: &[String]) -> bool {
    let is_one = |(event, expected): (&String, &String)| {
        event == expected || (!expected.contains(' ') && event.split(' ').next() == Some(expected))
    };
    events.len() == expected.len() && events.iter().zip(expected).all(is_one)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_book_and_its_model_agree(steps in proptest::collection::vec(step(), 1..=60)) {
        block_on(async {
            let mut world = World::new().await;
            for (place, step) in steps.iter().enumerate() {
                let agreed = world.step(step).await;
                agreed.map_err(|error| TestCaseError::fail(format!("step {place}, {step:?}: {error}")))?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}
