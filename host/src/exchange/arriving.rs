//! The body of a request as it arrives. Who ends the socket has to know whether all of it has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

/// What comes of a body: a part, a fault, or its end.
pub type Came = Option<Result<Bytes, hyper::Error>>;

/// A request's body.
pub struct Arriving {
    body: Incoming,
    rest: Rest,
}

/// What is left of a request's body, also when nobody reads it any more. Without one nothing was left from the beginning.
#[derive(Debug, Clone, Default)]
pub struct Rest(Option<Arc<AtomicBool>>);

impl Rest {
    /// Whether some of it may still come.
    pub fn is_coming(&self) -> bool {
        self.0.as_ref().is_some_and(|coming| coming.load(Ordering::Relaxed))
    }

    fn has_come(&self) {
        if let Some(coming) = &self.0 {
            coming.store(false, Ordering::Relaxed);
        }
    }
}

impl Arriving {
    /// Of a request whose head has come.
    pub fn new(body: Incoming) -> Self {
        let rest = Rest((!body.is_end_stream()).then(|| Arc::new(AtomicBool::new(true))));
        Arriving { body, rest }
    }

    /// What is left of it.
    pub fn rest(&self) -> Rest {
        self.rest.clone()
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Its bytes, if the head says how many.
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next bytes.
    pub async fn more(&mut self) -> Came {
        loop {
            let frame = match self.body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.rest.has_come();
                    return None;
                }
            };
            // What follows the body is told to nobody.
            if let Ok(data) = frame.into_data() {
                if self.body.is_end_stream() {
                    self.rest.has_come();
                }
                return Some(Ok(data));
            }
        }
    }
}
