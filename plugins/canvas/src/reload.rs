//! Pages that reload when a file changes: a script in each page opens a WebSocket, on which `reload` is said.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use plugin_api::http::{self, Exchange, Response};
use tokio::sync::{Notify, watch};

use crate::{Canvas, quiet};

const SCRIPT: &str = include_str!("page/reload.js");
/// What a page hears.
const RELOAD: &str = "reload";
/// Pages are told after so many quiet times at the latest, though somebody may still be writing.
const MOST_ROUNDS: u32 = 20;
/// How often it looks whether a folder that was taken away is there again.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Who waits for changes.
pub struct Reload {
    /// A number that is another one after each change; none before the folder is watched.
    changes: watch::Sender<Option<u64>>,
    places: Arc<AtomicUsize>,
}

/// One of the places of those who wait.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(places: &Arc<AtomicUsize>) -> Option<Self> {
        let taken = places.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        taken.is_ok().then(|| Place(places.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Reload {
    /// With places for so many pages.
    pub fn new(places: usize) -> Self {
        Reload { changes: watch::Sender::new(None), places: Arc::new(AtomicUsize::new(places)) }
    }

    /// The number of the last change.
    pub async fn since(&self) -> u64 {
        let mut changes = self.changes.subscribe();
        let known = changes.wait_for(Option::is_some).await.ok().and_then(|change| *change);
        known.unwrap_or_default()
    }

    /// Tells a page of changes for as long as it listens. One that names an older change hears of the newer one at once.
    pub async fn follow(&self, exchange: Exchange) -> http::Result {
        if !exchange.wants_upgrade() {
            let refusal = Response::text("upgrade required").with_status(426).header("upgrade", "websocket");
            return exchange.respond(quiet(refusal)).await;
        }
        let Some(_place) = Place::take(&self.places) else {
            return exchange.respond(quiet(Response::status(503))).await;
        };
        let current = self.since().await;
        let mut changes = self.changes.subscribe();
        let known = exchange.query().and_then(|query| query.strip_prefix("since=")?.parse().ok());
        let mut heard = known.unwrap_or(current);
        let mut socket = exchange.upgrade()?;
        loop {
            let change = changes.borrow_and_update().unwrap_or_default();
            if change != heard {
                heard = change;
                socket.text(RELOAD).await?;
            }
            tokio::select! {
                // Whatever a page says is passed over.
                came = socket.next() => if came?.is_none() {
                    return Ok(());
                },
                changed = changes.changed() => if changed.is_err() {
                    return Ok(());
                },
            }
        }
    }
}

/// Changes as the system tells of them.
#[derive(Default)]
struct Touches {
    count: AtomicU64,
    came: Notify,
    /// The folder itself was taken away, and its watch with it.
    is_lost: AtomicBool,
}

/// Watches the folder until it is dropped.
pub async fn watch(canvas: &Canvas) {
    let touches = Arc::new(Touches::default());
    // Held as long as this runs.
    let mut _watcher = begin(canvas, &touches).await;
    // Another one than before a restart: a page that was open meanwhile may have missed a change.
    canvas.reload.changes.send_replace(Some(schemas::now_ms()));
    let quiet = Duration::from_millis(canvas.config.reload_debounce_ms);
    loop {
        touches.came.notified().await;
        for _ in 0..MOST_ROUNDS {
            let before = touches.count.load(Ordering::Acquire);
            canvas.host.sleep(quiet).await;
            if touches.count.load(Ordering::Acquire) == before {
                break;
            }
        }
        if touches.is_lost.swap(false, Ordering::AcqRel) {
            // Whoever builds pages often makes their folder anew.
            while !is_there(canvas).await {
                canvas.host.sleep(LOOK_EVERY).await;
            }
            _watcher = begin(canvas, &touches).await;
        }
        canvas.reload.changes.send_modify(|change| *change = change.map(|change| change + 1));
    }
}

async fn is_there(canvas: &Canvas) -> bool {
    let root = canvas.root.clone();
    canvas.host.blocking(move || root.is_dir()).await.unwrap_or_default()
}

/// Begins to watch, or says why it does not.
async fn begin(canvas: &Canvas, touches: &Arc<Touches>) -> Option<RecommendedWatcher> {
    let (root, touches) = (canvas.root.clone(), touches.clone());
    match canvas.host.blocking(move || watcher(&root, touches)).await.ok()? {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            canvas.host.warn(&format!("pages of the canvas do not reload by themselves: {error}"));
            None
        }
    }
}

/// Blocks until all folders below are watched.
fn watcher(root: &Path, touches: Arc<Touches>) -> notify::Result<RecommendedWatcher> {
    let root = root.canonicalize()?;
    let below = root.clone();
    let tell = move |event: notify::Result<Event>| {
        let is_about_root = |event: &Event| event.paths.contains(&below);
        if event.as_ref().is_ok_and(|event| takes_away(event) && is_about_root(event)) {
            touches.is_lost.store(true, Ordering::Release);
        }
        // An error may stand for changes that were lost.
        if event.map_or(true, |event| concerns(&below, &event)) {
            touches.count.fetch_add(1, Ordering::AcqRel);
            touches.came.notify_one();
        }
    };
    let mut watcher = RecommendedWatcher::new(tell, Config::default().with_follow_symlinks(false))?;
    watcher.watch(&root, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Whether what it is about is not where it was any more.
fn takes_away(event: &Event) -> bool {
    event.kind.is_remove() || matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)))
}

/// Whether something may look different: what is hidden is not shown.
fn concerns(root: &Path, event: &Event) -> bool {
    let is_shown = |path: &Path| {
        let mut names = path.strip_prefix(root).unwrap_or(path).components();
        !names.any(|name| name.as_os_str().as_encoded_bytes().starts_with(b"."))
    };
    !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(|path| is_shown(path)))
}

/// A page with the script, before the end of its body or else at its own end.
pub fn with_script(mut page: Vec<u8>, since: u64) -> Vec<u8> {
    const END: &[u8] = b"</body>";
    // Two bytes a character: nothing can be put into it.
    if page.starts_with(b"\xff\xfe") || page.starts_with(b"\xfe\xff") {
        return page;
    }
    let place = page.windows(END.len()).rposition(|window| window.eq_ignore_ascii_case(END)).unwrap_or(page.len());
    let script = format!("<script data-since=\"{since}\">{SCRIPT}</script>\n");
    page.splice(place..place, script.into_bytes());
    page
}

#[cfg(test)]
mod tests {
    use notify::event::AccessKind;

    use super::*;

    #[test]
    fn the_script_stands_at_the_end_of_the_body() {
        let text = |page: &str| String::from_utf8(with_script(page.into(), 7)).expect("text");
        let page = text("<body>a</BODY>b</Body></html>");
        assert!(page.starts_with("<body>a</BODY>b<script data-since=\"7\">"), "{page}");
        assert!(page.ends_with("</script>\n</Body></html>"), "{page}");
        assert!(text("no page").starts_with("no page<script"));
        assert!(!SCRIPT.contains("</script"), "it would end there");
        assert_eq!(with_script(b"\xff\xfe<\0".to_vec(), 7), b"\xff\xfe<\0");
    }

    #[test]
    fn what_is_not_shown_reloads_nothing() {
        let event = |kind: EventKind, path: &str| Event::new(kind).add_path(path.into());
        let changed = EventKind::Modify(ModifyKind::Any);
        let root = Path::new("/srv/.me/canvas");
        assert!(concerns(root, &event(changed, "/srv/.me/canvas/a/b.css")));
        assert!(!concerns(root, &event(changed, "/srv/.me/canvas/a/.b.css.swp")));
        assert!(!concerns(root, &event(EventKind::Access(AccessKind::Any), "/srv/.me/canvas/a")));
        assert!(concerns(root, &Event::new(EventKind::Other)), "who knows");
    }
}
