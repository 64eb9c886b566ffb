//! Forms with files in them, `multipart/form-data`, as services take uploads.

use bytes::Bytes;

/// A form that is being filled in.
pub struct Form {
    boundary: String,
    body: Vec<u8>,
}

impl Default for Form {
    fn default() -> Self {
        // As random as this is, no file holds it by chance.
        Form { boundary: format!("clawhost-{}", uuid::Uuid::new_v4().simple()), body: Vec::new() }
    }
}

impl Form {
    /// With a text.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.begin(name, "");
        self.body.extend_from_slice(b"\r\n");
        self.body.extend_from_slice(value.as_bytes());
        self.body.extend_from_slice(b"\r\n");
        self
    }

    /// With a file. A kind that cannot stand in a header becomes `application/octet-stream`.
    pub fn file(mut self, name: &str, file_name: &str, kind: &str, content: &[u8]) -> Self {
        let is_fit = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let kind = if is_fit { kind } else { "application/octet-stream" };
        self.begin(name, &format!("; filename=\"{}\"", quoted(file_name)));
        self.body.extend_from_slice(format!("content-type: {kind}\r\n\r\n").as_bytes());
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(b"\r\n");
        self
    }

    /// Its `content-type`, and its body.
    pub fn finish(mut self) -> (String, Bytes) {
        self.body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        (format!("multipart/form-data; boundary={}", self.boundary), Bytes::from(self.body))
    }

    fn begin(&mut self, name: &str, more: &str) {
        let head =
            format!("--{}\r\ncontent-disposition: form-data; name=\"{}\"{more}\r\n", self.boundary, quoted(name));
        self.body.extend_from_slice(head.as_bytes());
    }
}

/// A name as it stands between quotes: what would end them, or the line, is encoded as browsers do.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_its_bytes_and_no_name_breaks_out_of_its_line() {
        let form = Form::default().text("chat", "7").file("photo", "a\"\r\nx: y.png", "image/png", &[0, 255, 13, 10]);
        let (kind, body) = form.file("f", "f", "a\r\nb", b"").finish();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let mut expected = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"chat\"\r\n\r\n7\r\n\
             --{boundary}\r\ncontent-disposition: form-data; name=\"photo\"; filename=\"a%22%0D%0Ax: y.png\"\r\n\
             content-type: image/png\r\n\r\n"
        )
        .into_bytes();
        expected.extend_from_slice(&[0, 255, 13, 10]);
        expected.extend_from_slice(
            format!(
                "\r\n--{boundary}\r\ncontent-disposition: form-data; name=\"f\"; filename=\"f\"\r\n\
                 content-type: application/octet-stream\r\n\r\n\r\n--{boundary}--\r\n"
            )
            .as_bytes(),
        );
        assert_eq!(body, expected);
        assert_ne!(Form::default().finish().0, Form::default().finish().0);
    }
}
