//! Server-sent events, from bytes that may be cut anywhere.

/// An event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its kind; empty when the stream names none.
    pub kind: String,
    /// What it says: its `data` lines, joined.
    pub data: String,
}

/// Takes a stream apart. It keeps the event that has not ended yet, so whoever reads the stream bounds its length.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return, which ended a line: a line feed after it belongs to it.
    after_return: bool,
    begun: bool,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// Takes more of the stream, and gives the events that have ended with it.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut ended = Vec::new();
        for &byte in bytes {
            let belongs = std::mem::replace(&mut self.after_return, byte == b'\r') && byte == b'\n';
            match byte {
                b'\n' if belongs => {}
                b'\n' | b'\r' => ended.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        ended
    }

    /// The end of the stream: an event without the empty line after it counts all the same.
    pub fn finish(&mut self) -> Option<Event> {
        let last = if self.line.is_empty() { None } else { self.end_line() };
        last.or_else(|| self.end_event())
    }

    /// How many bytes it keeps of an event that has not ended.
    pub fn kept(&self) -> usize {
        self.line.len() + self.event.kind.len() + self.event.data.len()
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let mut line = line.as_ref();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.kind = value.to_string(),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments have no field before their colon; ids and times to reconnect are of no use here.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str) -> Event {
        Event { kind: kind.to_string(), data: data.to_string() }
    }

    #[test]
    fn wherever_a_stream_is_cut_its_events_are_the_same() {
        let stream = "\u{feff}: hello\r\n\r\nevent: one\r\ndata: {\"a\":\"é\"}\r\n\r\ndata:two\rdata: three\r\revent: none\n\n\
                      id: 7\nretry: 10\ndata\n\ndata: [DONE]";
        let expected = [event("one", "{\"a\":\"é\"}"), event("", "two\nthree"), event("", ""), event("", "[DONE]")];
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let mut parser = Parser::default();
                let bytes = stream.as_bytes();
                let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                let mut events: Vec<Event> = parts.into_iter().flat_map(|part| parser.push(part)).collect();
                events.extend(parser.finish());
                assert_eq!(events, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn an_event_ends_with_its_empty_line_and_not_before() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"data: 1\n"), []);
        assert_eq!(parser.push(b"data: 23"), []);
        assert_eq!(parser.kept(), "1".len() + "data: 23".len());
        assert_eq!(parser.push(b"\n\n"), [event("", "1\n23")]);
        assert_eq!((parser.finish(), parser.kept()), (None, 0));
        assert_eq!((parser.push(b": a comment\n"), parser.kept()), (vec![], 0), "comments are not kept");
    }
}
