//! A service of somebody else: its address, its key, and how it is asked. The key itself is in no configuration: it is
//! read from a file of its owner's, or from the environment, with every request, so that a changed one counts at once.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Uri};
use plugin_api::contracts::backend::code;
use plugin_api::{CreateError, Host, MethodError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::backend;

/// Largest file that is taken for a key.
const LARGEST_KEY: u64 = 16 * 1024;
/// Headers that configuration may not set: what they say is said by the request itself, or is a key.
const NOT_CONFIGURED: [&str; 9] = [
    "api-key",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "transfer-encoding",
    "x-api-key",
];

/// `providers.<name>`: a service beside the main one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Its address, `http` or `https`.
    pub base_url: String,
    /// A file that holds its key, with access for its owner only; an absolute path.
    #[serde(default)]
    pub api_key_file: Option<String>,
    /// The variable of the environment that holds its key. Without either it is asked without a key.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// The model that answers when none is named.
    #[serde(default)]
    pub model: Option<String>,
    /// Headers to send along.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    /// What it is called: in messages, and as the model's provider.
    pub name: String,
    /// The model that answers when none is named.
    pub model: Option<String>,
    base: String,
    key: Option<KeySource>,
    headers: HeaderMap,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file of its owner's.
    File(PathBuf),
    /// In a variable of the environment.
    Env(String),
}

/// A key. It has no `Display`, and its `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A key that was made, and not read.
    pub fn new(key: impl Into<String>) -> Self {
        Key(key.into())
    }

    /// The key, to be sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A text without it.
    pub fn hidden_in(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_string() } else { text.replace(&self.0, "[key]") }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[key]")
    }
}

impl KeySource {
    /// As two keys of a configuration say it, of which at most one may be set. What is wrong comes with the name of the
    /// key that it is about.
    pub fn of<'a>(
        (file_key, file): (&'a str, Option<&str>),
        (env_key, env): (&'a str, Option<&str>),
    ) -> Result<Option<Self>, (&'a str, String)> {
        match (file, env) {
            (Some(_), Some(_)) => Err((file_key, format!("{env_key} is set as well; only one of the two may be"))),
            (Some(file), None) if !Path::new(file).is_absolute() => {
                Err((file_key, "an absolute path is needed".to_string()))
            }
            (Some(file), None) => Ok(Some(KeySource::File(file.into()))),
            (None, Some(variable)) if variable.is_empty() || variable.contains(['=', '\0']) => {
                Err((env_key, "the name of a variable is needed".to_string()))
            }
            (None, Some(variable)) => Ok(Some(KeySource::Env(variable.to_string()))),
            (None, None) => Ok(None),
        }
    }

    /// The key that is there now; or why there is none, for the log.
    pub async fn read(&self, host: &Host) -> Result<Key, String> {
        let key = match self {
            KeySource::Env(variable) => {
                std::env::var(variable).map_err(|_| format!("the variable {variable} is not set, or is no text"))?
            }
            KeySource::File(path) => {
                let file = path.clone();
                let read = host.blocking(move || read_key(&file)).await.map_err(|error| error.to_string())?;
                read.map_err(|why| format!("the key's file {}: {why}", path.display()))?
            }
        };
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the key is empty, or holds what no key does".to_string());
        }
        Ok(Key(key.to_string()))
    }
}

/// An address of a service as it is used: `http` or `https`, without a name, key, query or fragment in it, and without a
/// slash at its end.
pub fn address(text: &str) -> Option<&str> {
    let base = text.trim().trim_end_matches('/');
    let is_fit = base.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.query().is_none()
    });
    (is_fit && !base.contains('#')).then_some(base)
}

impl Service {
    /// A service as configured. `place` is what stands before its keys in messages: `providers.ollama.`, or nothing.
    pub fn new(name: &str, place: &str, config: &ServiceConfig) -> Result<Self, CreateError> {
        let wrong = |key: &str, why: String| Err(CreateError::new(format!("{place}{key}: {why}")));
        let Some(base) = address(&config.base_url) else {
            let why =
                "an address such as \"https://example.org/v1\" is needed, http or https, without a name or key in it";
            return wrong("base_url", why.to_string());
        };
        let file = ("api_key_file", config.api_key_file.as_deref());
        let key = match KeySource::of(file, ("api_key_env", config.api_key_env.as_deref())) {
            Ok(key) => key,
            Err((key, why)) => return wrong(key, why),
        };
        let mut headers = HeaderMap::new();
        for (header, value) in &config.headers {
            if NOT_CONFIGURED.contains(&header.to_ascii_lowercase().as_str()) {
                let why = "is not for configuration; keys belong into api_key_file or api_key_env";
                return wrong("headers", format!("{header} {why}"));
            }
            match (HeaderName::try_from(header), HeaderValue::try_from(value)) {
                (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
                _ => return wrong("headers", format!("{header:?} is no header, or its value cannot be sent")),
            }
        }
        let model = config.model.as_deref().map(str::trim).filter(|model| !model.is_empty()).map(str::to_string);
        Ok(Service { name: name.to_string(), model, base: base.to_string(), key, headers })
    }

    /// Its address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its key; `None` if it is asked without one.
    pub async fn key(&self, host: &Host) -> Result<Option<Key>, MethodError> {
        let Some(source) = &self.key else { return Ok(None) };
        source.read(host).await.map(Some).map_err(|why| {
            let message = format!("{}: there is no key for this service, or it cannot be read", self.name);
            backend::error(code::AUTH, None, message).log(why)
        })
    }

    /// A request to an address below its own, with JSON in it if it has a body.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Request<Full<Bytes>>, MethodError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers.clone());
            headers.insert("user-agent", HeaderValue::from_static(concat!("clawhost/", env!("CARGO_PKG_VERSION"))));
            if body.is_some() {
                headers.insert("content-type", HeaderValue::from_static("application/json"));
            }
        }
        Ok(request.body(Full::new(Bytes::from(body.unwrap_or_default())))?)
    }
}

/// Puts a key into a header, which no log shows then.
pub fn secret_header(request: &mut Request<Full<Bytes>>, name: &'static str, value: &str) -> Result<(), MethodError> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| backend::error(code::AUTH, None, "the key cannot be sent in a header".to_string()))?;
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Ok(())
}

fn read_key(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".to_string());
    }
    if metadata.mode() & 0o077 != 0 {
        return Err("others than its owner may use the file; run chmod 600 on it".to_string());
    }
    let mut text = String::new();
    file.take(LARGEST_KEY + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LARGEST_KEY { Err(format!("it is larger than {LARGEST_KEY} bytes")) } else { Ok(text) }
}

/// Whose model is meant: that of the service that its first segment names, or the main one's. What is left of the name is
/// the model, if anything is.
pub fn choose<'a>(
    main: &'a Service,
    others: &'a BTreeMap<String, Service>,
    model: Option<&'a str>,
) -> Result<(&'a Service, &'a str), MethodError> {
    let asked = model.map(str::trim).filter(|model| !model.is_empty());
    let (first, rest) = asked.map_or(("", None), |model| match model.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (model, None),
    });
    let (service, named) = match others.get(first) {
        Some(service) => (service, rest.filter(|rest| !rest.is_empty())),
        None => (main, asked),
    };
    let model = named.or(service.model.as_deref()).ok_or_else(|| {
        let message = format!("{}: no model is named, and its configuration has none", service.name);
        backend::error(code::UNKNOWN_MODEL, None, message)
    })?;
    Ok((service, model))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn config(base_url: &str) -> ServiceConfig {
        ServiceConfig { base_url: base_url.to_string(), ..ServiceConfig::default() }
    }

    #[test]
    fn what_is_wrong_in_the_configuration_is_named_with_its_key() {
        let refused = |config: ServiceConfig| Service::new("x", "providers.x.", &config).unwrap_err().to_string();
        for address in ["", "example.org", "ftp://example.org", "http://", "http://me:key@example.org", "http://a?b=c"]
        {
            assert!(refused(config(address)).starts_with("providers.x.base_url: "), "{address}");
        }
        let base = || config("http://127.0.0.1:1/v1/");
        assert_eq!(Service::new("x", "", &base()).unwrap().base(), "http://127.0.0.1:1/v1");
        let both = ServiceConfig { api_key_file: Some("/k".into()), api_key_env: Some("K".into()), ..base() };
        assert!(refused(both).contains("only one of the two"));
        let relative = ServiceConfig { api_key_file: Some("k".into()), ..base() };
        assert!(refused(relative).contains("an absolute path"));
        for header in ["Authorization", "x-api-key", "a b", "Host"] {
            let headers = BTreeMap::from([(header.to_string(), "v".to_string())]);
            let told = refused(ServiceConfig { headers, ..base() });
            assert!(told.starts_with("providers.x.headers: ") && told.contains(header), "{told}");
        }
    }

    #[test]
    fn a_key_file_is_its_owners_only_and_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "secret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read_key(&path).unwrap_err().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_key(&path).unwrap(), "secret\n");
        std::fs::write(&path, "x".repeat(LARGEST_KEY as usize + 1)).unwrap();
        assert!(read_key(&path).unwrap_err().contains("larger"));
        assert!(read_key(folder.path()).unwrap_err().contains("not a file"));
    }

    #[test]
    fn a_model_names_its_service_by_its_first_segment() {
        let main = Service::new("openai", "", &config("https://a")).unwrap();
        let with_default = ServiceConfig { model: Some("llama".to_string()), ..config("http://b") };
        let others = BTreeMap::from([("ollama".to_string(), Service::new("ollama", "", &with_default).unwrap())]);
        let chosen = |model: Option<&'static str>| {
            choose(&main, &others, model).map(|(service, model)| (service.name.clone(), model.to_string()))
        };
        let pair = |service: &str, model: &str| (service.to_string(), model.to_string());
        assert_eq!(chosen(Some("ollama/a/b")).unwrap(), pair("ollama", "a/b"));
        assert_eq!(chosen(Some("ollama")).unwrap(), pair("ollama", "llama"));
        assert_eq!(chosen(Some("gpt")).unwrap(), pair("openai", "gpt"));
        assert_eq!(chosen(Some("other/gpt")).unwrap(), pair("openai", "other/gpt"));
        assert_eq!(chosen(None).unwrap_err().shape().details.as_ref().unwrap()["code"], code::UNKNOWN_MODEL);
    }
}
